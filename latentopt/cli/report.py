"""`latentopt report`: one HTML page of what bdrate measured."""

import argparse
import sys
from pathlib import Path

from latentopt.cli.arguments import count
from latentopt.cli.outputs import check_output
from latentopt.cli.progress import progress

EPILOG = """examples:
  latentopt report results/tiny-mbt2018-mean-kodak
  latentopt report results/mine -o mine.html --image kodim23.png --weights 'checkpoints/*.pt'

The page needs nothing but a browser. One image, or the first frames of one clip, is coded again to
be shown before and after, where data and weights are to be had; else the page says why not."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="folder that bdrate wrote")
    add("-o", "--output", type=Path, metavar="P.html", help="page (default: DIR/report.html)")
    add("--image", metavar="NAME", help="image or clip to code again (default: the first)")
    most = "how many frames of a clip are coded again, at most (default: 16)"
    add("--frames", type=count, default=16, metavar="N", help=most)
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
        reason = report(args.folder, output, args.image, args.weights, args.frames)
    if reason:
        print(f"latentopt: nothing is coded again: {reason}", file=sys.stderr)
    print(output)
    return 0
