"""`latentopt explain`: where the bits of an image's file went."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli import model, native, samples
from latentopt.cli.coded import is_video, naming, opened, recipe_for
from latentopt.cli.described import Described, describe_image
from latentopt.cli.outputs import check_output, check_png
from latentopt.cli.progress import progress
from latentopt.cli.sources import STREAM, Job
from latentopt.errors import InputError

if TYPE_CHECKING:
    from latentopt.codec.explain import LatentExplanation

EPILOG = """examples:
  latentopt explain photo.lo
  latentopt explain photo.lo --plot bits.png

what the tables say:
  lattice    the grid whose points the latent was rounded to; its points are vectors of elements
  spread     how far from its mean the model expected an element, as a standard deviation
  channel    of the latent, the costliest first
  zero       elements that were rounded to the model's own guess
  escaped    numbers too rare for a table, written plainly
  corrected  channels whose expected spread the encoder raised or lowered, by levels of the model"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=Path, metavar="F", help="file that encode wrote, or -")
    add("--plot", type=Path, metavar="P.png", help="PNG to write: where in the image the bits went")
    original = "the image that was encoded: say what its samples cost above their information"
    add("--original", type=Path, metavar="IMAGE", help=original)
    add("--json", action="store_true", help="print JSON: docs/reference/json.md")
    model.add_reader_arguments(parser)


def run(args: argparse.Namespace) -> int:
    if args.file != STREAM and is_video(args.file):
        raise InputError(f"{args.file}: is a video, and explain is for images; use info")
    if args.plot:
        check_output(args.plot, [args.file, args.weights])
        check_png(args.plot, "explain")
        import latentopt.bench  # noqa: F401 (says which extra is missing)
    job = Job(args.file, STREAM)
    data, container, settled = opened(replace(job, content=_own(job)), args)
    with progress() as stage:
        stage("reading the file")
        recipe = recipe_for(job.name, container)
        with naming(job.name, model.conflict(settled, container.origin)):
            codec = model.image_codec_for(settled, stage, container, recipe)
            stage("decoding")
            explanation = codec.explain_bytes(data)
        above = samples.overhead(codec, args.original, explanation) if args.original else ""
        if args.plot:
            from latentopt.bench.plots import plot_bits

            plot_bits(explanation, codec.load_bytes(data), args.plot)
    if args.json:
        latents = [_latent(one) for one in explanation.latents]
        print(json.dumps({**describe_image(job.name, data), "latents": latents}, indent=2))
    else:
        print(f"{job.name}: {explanation}")
        print(f"\nabove KL:\n{above}" if above else "", end="\n" if above else "")
    return 0


def _own(job: Job) -> bytes:
    """The content, unless it is for another decoder, of whose choices nothing is known."""
    data = job.data()
    if native.is_foreign(data):
        raise InputError(
            f"{job.name}: is for CompressAI's own decoder, whose strings explain nothing: use info"
        )
    return data


def _latent(explained: "LatentExplanation") -> Described:
    """All of it but the bits of each position, of which `--plot` makes a picture."""
    found = asdict(explained)
    del found["bits"]
    if explained.corrections is not None:
        found["corrections"] = explained.corrections.tolist()
    return found
