"""`latentopt report`: one HTML page of what bdrate measured."""

import argparse
import sys
from pathlib import Path

from latentopt.cli.outputs import check_output
from latentopt.cli.progress import progress

EPILOG = """examples:
  latentopt report results/tiny-mbt2018-mean-kodak
  latentopt report results/mine -o mine.html --image kodim23.png --weights 'checkpoints/*.pt'

The page needs nothing but a browser. Its slider codes one image again, where data and weights are
to be had; else the page says why it has none."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="folder that bdrate wrote")
    add("-o", "--output", type=Path, metavar="P.html", help="page (default: DIR/report.html)")
    add("--image", metavar="NAME", help="which image the slider shows (default: the first)")
    add(
        "--weights",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="checkpoints that were measured, folders of them, or globs",
    )


def run(args: argparse.Namespace) -> int:
    from latentopt.bench.kept import measurements

    output = args.output or args.folder / "report.html"
    check_output(output, [measurements(args.folder), *args.weights])
    with progress() as stage:
        from latentopt.report import report

        stage("writing the page")
        reason = report(args.folder, output, args.image, args.weights)
    if reason:
        print(f"latentopt: no slider: {reason}", file=sys.stderr)
    print(output)
    return 0
