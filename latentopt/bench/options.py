"""The options of `latentopt bdrate`; what is wrong with them is told without PyTorch."""

import argparse
import math
import os
from pathlib import Path

from latentopt import engine
from latentopt.errors import InputError
from latentopt.zoo import catalog

DEFAULT_CONFIGS = "baseline,int,hex,oct,oct+shift,fast,default"
DEFAULT_GOP = 8
"""Frames from key frame to key frame, as in the paper."""
PARTS = ("image", "motion", "residual")
"""Of a video codec; see `latentopt.wrap`."""
IMAGE_SETS, CLIP_SETS = ("kodak", "clic2020", "sample"), ("video", "uvg")
"""Data sets known by name."""

_MOST_THREADS = max(64, os.cpu_count() or 1)  # far more end the process
_VIDEO_OPTIONS = ("gop", "frames", "ahead", "parts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that `latentopt bdrate` reads."""
    data = (
        f"{', '.join(IMAGE_SETS)}, a folder, a file or a glob (default: kodak); of a "
        f"video codec {', '.join(CLIP_SETS)}, a clip, a folder or a glob (default: video)"
    )
    add_subject(parser, data)
    add = parser.add_argument
    add("--steps", default="1", metavar="S,S", help="quantization step multipliers (default: 1)")
    add("--configs", default=DEFAULT_CONFIGS, help=f"comma-separated (default: {DEFAULT_CONFIGS})")
    add("--device", default="cpu", help="cpu (default) or cuda")
    add("--batch-size", type=int, default=1, help="images of equal size coded together")
    add("--out", type=Path, help="output folder (default: results/CODEC-DATA)")
    _add_exchange(parser)
    _add_clips(parser)
    engine.add_arguments(parser)


def add_subject(parser: argparse.ArgumentParser, data: str) -> None:
    """Declare what names weights and images; ``data`` says of which the latter can be."""
    add = parser.add_argument
    add("--codec", required=True, help="one that `latentopt zoo list` shows")
    add("--data", help=data)
    add("--weights", nargs="+", metavar="FILE", help="checkpoints, folders of them, or globs")
    add("--qualities", metavar="Q,Q", help="which of the codec's weights (default: all)")
    trained = "what the weights were trained for"
    add("--metric", default="mse", choices=catalog.METRICS, help=trained)
    add("--limit", type=int, metavar="N", help="only the first N images or clips")
    add("--threads", type=int, help="CPU threads (default: PyTorch's choice)")
    add("--quiet", action="store_true", help="no progress bar")


def _add_exchange(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    export_help = "write the results as JSON of CompressAI's tools, too, in a folder of OUT"
    add("--export", choices=("compressai",), help=export_help)
    import_help = "a curve of others in that JSON, for plot and report; may be repeated"
    add(
        "--import",
        dest="imported",
        action="append",
        type=Path,
        default=[],
        metavar="FILE.json",
        help=import_help,
    )


def _add_clips(parser: argparse.ArgumentParser) -> None:
    video = parser.add_argument_group("of a video codec")
    gop_help = f"frames from one key frame to the next (default: {DEFAULT_GOP})"
    video.add_argument("--gop", type=int, metavar="N", help=gop_help)
    video.add_argument("--frames", type=int, metavar="N", help="only the first N of each clip")
    ahead_help = "choose step sizes of the shift with the next frame in view"
    video.add_argument("--ahead", action="store_true", default=None, help=ahead_help)
    parts_help = f"what the configurations are for, of {','.join(PARTS)} (default: wrap's choice)"
    video.add_argument("--parts", metavar="P,P", help=parts_help)


def check(args: argparse.Namespace) -> None:
    """Refuse what is wrong with the options of `bdrate`, whatever the data and the weights are.

    Raises:
        InputError: the message names the option.
    """
    check_subject(args)
    engine.check(args)
    _check_counts(args, "batch_size")
    numbers(args.steps, "--steps")
    given = [name for name in _VIDEO_OPTIONS if getattr(args, name) is not None]
    if given and not catalog.is_video(codec := catalog.canonical(args.codec)):
        raise InputError(f"--{given[0]} is for video codecs, and {codec} codes images")


def check_subject(args: argparse.Namespace) -> None:
    """The same of what :func:`add_subject` declares.

    Raises:
        InputError: the message names the option.
    """
    codec = catalog.canonical(args.codec)
    if args.threads is not None and not 1 <= args.threads <= _MOST_THREADS:
        raise InputError(f"--threads {args.threads}: must be from 1 to {_MOST_THREADS}")
    _check_counts(args, "limit")
    if args.weights and args.qualities:
        raise InputError("--weights and --qualities exclude each other: give one")
    for quality in qualities(args):
        catalog.check_quality(codec, quality, args.metric)


def _check_counts(args: argparse.Namespace, name: str) -> None:
    value = getattr(args, name)
    if value is not None and value < 1:
        raise InputError(f"--{name.replace('_', '-')} {value}: must be at least 1")


def names(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def numbers(text: str, option: str) -> list[float]:
    """What stands between commas, as numbers; InputError where one is none."""
    try:
        return [float(name) for name in names(text)]
    except ValueError as error:
        raise InputError(f"{option} {text!r}: expected numbers separated by commas") from error


def qualities(args: argparse.Namespace) -> list[int]:
    """Those that were asked for; none: all."""
    found = numbers(args.qualities or "", "--qualities")
    if not all(math.isfinite(q) and q == int(q) for q in found):
        raise InputError(f"--qualities {args.qualities}: qualities are whole numbers")
    return [int(q) for q in found]
