"""`latentopt explain`: where the bits of a file went."""

import argparse
import json
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.bitstream.headers import SAMPLE
from latentopt.cli import dcvc, model, native, samples
from latentopt.cli.coded import is_video, naming, opened, read_video_header, recipe_for
from latentopt.cli.described import Described, describe, describe_image
from latentopt.cli.outputs import check_output, check_png
from latentopt.cli.progress import progress
from latentopt.cli.sources import STREAM, Job
from latentopt.errors import InputError

if TYPE_CHECKING:
    from latentopt.codec.explain import LatentExplanation
    from latentopt.codec.explain_clip import FrameExplanation

EPILOG = """examples:
  latentopt explain photo.lo
  latentopt explain photo.lo --plot bits.png
  latentopt explain clip.lov --plot frames.png --against clip.y4m

what the tables say:
  lattice    the grid whose points the latent was rounded to; its points are vectors of elements
  spread     how far from its mean the model expected an element, as a standard deviation
  channel    of the latent, the costliest first
  zero       elements that were rounded to the model's own guess
  escaped    numbers too rare for a table, written plainly
  corrected  channels whose expected spread the encoder raised or lowered, by levels of the model
  part       of a clip's frame: the image of a key frame; else the motion, and what that leaves;
             its bytes are those of the main latent + those of the side latent"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=Path, metavar="F", help="file that encode wrote, or -")
    where = "PNG to write: where in the image, or in which frames of a clip, the bits went"
    add("--plot", type=Path, metavar="P.png", help=where)
    against = (
        "original of a clip, for the PSNR of each frame, or of an image of which samples were sent "
        "(--spread, tiny-pln, …), for their overhead; of other images use latentopt compare"
    )
    add("--against", type=Path, metavar="FILE", help=against)
    add("--json", action="store_true", help="print JSON: docs/reference/json.md")
    model.add_reader_arguments(parser)


def run(args: argparse.Namespace) -> int:
    if args.plot:
        check_output(args.plot, [args.file, *model.weights(args), args.against])
        check_png(args.plot, "explain")
        import latentopt.bench  # noqa: F401 (says which extra is missing)
    if args.file != STREAM and is_video(args.file):
        return _of_clip(args)
    dcvc.check_image(args, args.file)
    job = Job(args.file, STREAM)
    data, container, settled = opened(replace(job, content=_own(job)), args)
    if args.against and container.settings.channel != SAMPLE:
        raise InputError(
            f"--against is for clips and for samples (--spread), and {args.file} is neither: "
            f"latentopt compare {args.against} DECODED.png says how good a decoded image is"
        )
    with progress() as stage:
        stage("reading the file")
        recipe = recipe_for(job.name, container)
        with naming(job.name, model.conflict(settled, container.origin)):
            codec = model.image_codec_for(settled, stage, container, recipe)
            stage("decoding")
            explanation = codec.explain_bytes(data)
        against = None
        if args.plot or args.against:
            x_hat = codec.load_bytes(data)
            against = args.against and samples.Against.of(codec, x_hat, args.against)
        if args.plot:
            from latentopt.bench.plots import plot_bits

            plot_bits(explanation, x_hat, args.plot)
    if args.json:
        latents = [_latent(one) for one in explanation.latents]
        found = {**describe_image(job.name, data), "latents": latents}
        print(json.dumps(found | ({"against": against.described()} if against else {}), indent=2))
    else:
        print(f"{job.name}: {explanation}")
        if against:
            print(f"\n{against.said_of(explanation)}")
    return 0


def _of_clip(args: argparse.Namespace) -> int:
    path: Path = args.file
    header = read_video_header(path)
    model.settle_by(args, header.origin)
    with progress() as stage:
        from latentopt.codec.explain_clip import explain_clip
        from latentopt.media.clips import open_clip

        stage("reading the file")
        with naming(path, model.conflict(args, header.origin)):
            codec = model.clip_codec_for(args, stage, header)
        stage("decoding" if args.against else "reading the frames")
        with ExitStack() as stack, naming(path):
            original = args.against and stack.enter_context(open_clip(args.against))
            explanation = explain_clip(codec, path, original)
        if args.plot:
            from latentopt.bench.plots import plot_frames

            plot_frames(explanation, args.plot)
    if args.json:
        frames = [_frame(frame) for frame in explanation.frames]
        print(json.dumps({**describe(path), "explained_frames": frames}, indent=2))
    else:
        print(f"{path}: {explanation}")
    return 0


def _frame(explained: "FrameExplanation") -> Described:
    return {
        "key": explained.is_key,
        "bytes": explained.bytes,
        "parts": {name: list(sizes) for name, sizes in explained.parts.items()},
        "psnr_db": explained.psnr_db,
    }


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
