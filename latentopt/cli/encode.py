"""`latentopt encode`: an image or a clip to a file."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli import arguments, model
from latentopt.cli.outputs import check_output
from latentopt.cli.progress import Stage, frames, progress
from latentopt.errors import InputError

if TYPE_CHECKING:
    from latentopt.codec.recipe import Recipe

# As the library has them, whose import takes seconds; a test compares.
QUANTS = ("int", "hex", "oct", "d4", "e8", "auto")
SHIFTS = ("secant", "grid", "none")
DIRECTIONS = ("density", "sign", "split")
PMFS = ("exact", "paper")
PRESETS = ("paper", "fast", "default", "slow", "best")

EPILOG = """examples:
  latentopt encode photo.png -o photo.lo --codec tiny-mbt2018-mean --quality 3
  latentopt encode photo.png -o photo.lo --codec tiny-mbt2018-mean --quality 3 --preset best
  latentopt encode clip.y4m -o clip.lov --codec tiny-ssf2020 --quality 3 --gop 8

A preset is a choice of the options --quant, --shift, --direction and --scales, and of how long to
search; options that are given as well prevail."""

_SLOW = ("slow", "best")  # presets of many steps, worth a bar of their own
_GOP = 8
_CLIP_OPTIONS = ("gop", "parts", "ahead", "size", "rate")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("image", type=Path, metavar="IN", help="8-bit image: PNG, JPEG, WebP, …; or a clip")
    add("-o", "--output", type=Path, required=True, metavar="F", help="file to write")
    model.add_arguments(parser)
    _add_recipe(parser)
    _add_clip(parser)


def run(args: argparse.Namespace) -> int:
    check_output(args.output, [args.image, args.weights])
    with progress() as stage:
        from latentopt import zoo

        video = not args.dcvc_repo and zoo.is_video(args.codec)
        _check_kind(args, video)
        encode = _encode_clip if video else _encode_image
        print(f"{encode(args, stage)}: {args.output}")
    return 0


def _check_kind(args: argparse.Namespace, video: bool) -> None:
    """Refuse a clip for an image codec; what an image's name says is left to its reader."""
    from latentopt.media.clips import READABLE
    from latentopt.media.images import SUFFIXES

    suffix = args.image.suffix.lower()
    if not video and suffix in READABLE and suffix not in SUFFIXES:
        raise InputError(
            f"{args.image}: is a clip, and {args.codec} codes images; "
            "use a video codec, such as tiny-ssf2020"
        )


def recipe(args: argparse.Namespace) -> "Recipe":
    """What the options say, on top of their preset."""
    from latentopt.codec.recipe import Recipe, get_preset
    from latentopt.encoder import Ahead

    base = get_preset(args.preset) if args.preset else Recipe()
    if args.preset in _SLOW and sys.stderr.isatty():
        base = _with_bar(base)
    return base.but(
        quant=args.quant,
        shift=False if args.shift == "none" else args.shift,
        direction=args.direction,
        scales=args.scales,
        pmf=args.pmf,
        portable=args.portable,
        parts=args.parts,
        gop=args.gop,
        ahead=Ahead() if args.ahead else None,
    )


def _with_bar(quiet: "Recipe") -> "Recipe":
    """The same, with a progress bar; for codecs with a context model, too."""
    effort = quiet.effort and replace(quiet.effort, progress=True)
    contextual = quiet.contextual and _with_bar(quiet.contextual)
    return replace(quiet, effort=effort, contextual=contextual)


def _encode_image(args: argparse.Namespace, stage: Stage) -> str:
    """What was written, in words."""
    from latentopt.media.images import read_image

    arguments.refuse(args, _CLIP_OPTIONS, "for video codecs")
    stage("reading the image")
    _check_size(args.image)
    x = read_image(args.image)  # (1, 3, H, W)
    codec = model.image_codec(args, stage, recipe(args))
    stage("encoding")
    size = codec.save(args.output, x)
    height, width = x.shape[-2:]
    return f"{size} bytes, {8 * size / (width * height):.4f} bpp"


def _encode_clip(args: argparse.Namespace, stage: Stage) -> str:
    """What was written, in words."""
    from latentopt.codec.wrap import wrap_video
    from latentopt.media.clips import open_clip

    stage("reading the clip")
    with open_clip(args.image, size=args.size, rate=args.rate) as clip:
        made = recipe(args).but(gop=args.gop or _GOP)
        codec = wrap_video(model.model(args, stage), made)
        stage("encoding")
        with frames(clip.count) as done:
            size, written = codec.save(args.output, clip, clip.format.rate, lambda _: done())
    pixels = clip.format.width * clip.format.height * written
    return f"{written} frames, {size} bytes, {8 * size / pixels:.4f} bpp"


def _check_size(path: Path) -> None:
    """Refuse an image that the format cannot hold, or that the decoder would refuse."""
    from latentopt.bitstream.image_file import MAX_SIDE
    from latentopt.codec.image import MAX_PIXELS
    from latentopt.media.images import image_size

    width, height = image_size(path)
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InputError(
            f"{path}: {width}x{height} is more than {MAX_SIDE} a side or {MAX_PIXELS} pixels; "
            "cut it into tiles"
        )


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--preset", choices=PRESETS, help="what to spend for fewer bytes (default: none)")
    add("--quant", choices=QUANTS, help="lattice (default: oct)")
    add("--shift", choices=SHIFTS, help="latent shift search (default: secant)")
    add("--direction", choices=DIRECTIONS, help="where to (default: density)")
    add(
        "--scales",
        action=argparse.BooleanOptionalAction,
        help="correct the scales of each channel (default: no)",
    )
    add("--pmf", choices=PMFS, default="exact", help="probability tables (default: exact)")
    add(
        "--no-portable",
        dest="portable",
        action="store_false",
        help="faster, but the file decodes only on a machine like this one",
    )


def _add_clip(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("video codecs").add_argument
    gop_help = f"frames per key frame (default: {_GOP})"
    add("--gop", type=arguments.count, metavar="N", help=gop_help)
    parts_help = "of image, motion, residual: what to search"
    add("--parts", type=arguments.names, metavar="P,P", help=parts_help)
    add("--ahead", action="store_true", help="choose shifts with the next frame's cost in view")
    size_help = "of raw .yuv, unless its name says"
    add("--size", type=arguments.size, metavar="WxH", help=size_help)
    add(
        "--rate", type=arguments.rate, metavar="FPS", help="frames per second, unless the file says"
    )
