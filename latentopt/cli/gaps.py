"""`latentopt gaps`: what stands between a codec's latent and its quantizer."""

import argparse
from pathlib import Path

from latentopt.bench import options
from latentopt.errors import InputError
from latentopt.zoo import catalog

EPILOG = """example:
  latentopt gaps --codec tiny-mbt2018-mean --data kodak --out results/gaps

what the columns say: docs/reference/gaps.md"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_subject(
        parser, f"{', '.join(options.IMAGE_SETS)}, a folder, a file or a glob (default: kodak)"
    )
    out = "folder to write the table, the channels and a histogram to"
    parser.add_argument("--out", type=Path, metavar="DIR", help=out)
    parser.set_defaults(data="kodak")


def run(args: argparse.Namespace) -> int:
    options.check_subject(args)
    codec = catalog.canonical(args.codec)
    if catalog.is_video(codec):
        raise InputError(f"{codec} codes clips, and gaps are of image codecs")
    from latentopt.bench.gaps import report

    return report.run(args)
