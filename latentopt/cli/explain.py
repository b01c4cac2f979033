"""`latentopt explain`: where the bits of an image's file went."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli import model
from latentopt.cli.coded import is_video, naming, read_container, recipe_for
from latentopt.cli.described import Described, describe
from latentopt.cli.outputs import check_output, check_png
from latentopt.cli.progress import progress
from latentopt.errors import InputError

if TYPE_CHECKING:
    from latentopt.codec.explain import LatentExplanation

EPILOG = """examples:
  latentopt explain photo.lo
  latentopt explain photo.lo --plot bits.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=Path, metavar="F", help="file that encode wrote")
    add("--plot", type=Path, metavar="P.png", help="PNG to write: where in the image the bits went")
    add("--json", action="store_true", help="print JSON: docs/reference/json.md")
    model.add_reader_arguments(parser)


def run(args: argparse.Namespace) -> int:
    if is_video(args.file):
        raise InputError(f"{args.file}: is a video, and explain is for images; use info")
    if args.plot:
        check_output(args.plot, [args.file, args.weights])
        check_png(args.plot, "explain")
    _, container = read_container(args.file)
    model.settle_by(args, container.origin)
    with progress() as stage:
        if args.plot:  # imported early, so that what is missing is missed early
            from latentopt.bench.plots import plot_bits

        stage("reading the file")
        recipe = recipe_for(args.file, container)
        with naming(args.file, model.conflict(args, container.origin)):
            codec = model.image_codec_for(args, stage, container, recipe)
            stage("decoding")
            explanation = codec.explain(args.file)
        if args.plot:
            plot_bits(explanation, codec.load(args.file), args.plot)
    if args.json:
        found = {**describe(args.file), "latents": [_latent(one) for one in explanation.latents]}
        print(json.dumps(found, indent=2))
    else:
        print(f"{args.file}: {explanation}")
    return 0


def _latent(explained: "LatentExplanation") -> Described:
    """All of it but the bits of each position, of which `--plot` makes a picture."""
    found = asdict(explained)
    del found["bits"]
    if explained.corrections is not None:
        found["corrections"] = explained.corrections.tolist()
    return found
