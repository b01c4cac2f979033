"""`latentopt explain`: where the bits of an image's file went."""

import argparse
from pathlib import Path

from latentopt.cli import model
from latentopt.cli.coded import is_video, naming, read_container, recipe_for
from latentopt.cli.outputs import check_output, check_png
from latentopt.cli.progress import progress
from latentopt.errors import InputError

EPILOG = """example:
  latentopt explain photo.lo --codec tiny-mbt2018-mean --quality 3 --plot bits.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=Path, metavar="F", help="file that encode wrote")
    add("--plot", type=Path, metavar="P.png", help="PNG to write: where in the image the bits went")
    model.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    if is_video(args.file):
        raise InputError(f"{args.file}: is a video, and explain is for images; use info")
    if args.plot:
        check_output(args.plot, [args.file, args.weights])
        check_png(args.plot, "explain")
    with progress() as stage:
        if args.plot:  # imported early, so that what is missing is missed early
            from latentopt.bench.plots import plot_bits

        stage("reading the file")
        _, container = read_container(args.file)
        recipe = recipe_for(args.file, container)
        with naming(args.file):
            codec = model.image_codec(args, stage, recipe, container.identity)
            stage("decoding")
            explanation = codec.explain(args.file)
        if args.plot:
            plot_bits(explanation, codec.load(args.file), args.plot)
    print(f"{args.file}: {explanation}")
    return 0
