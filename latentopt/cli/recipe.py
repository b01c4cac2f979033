"""The options that say what an encoder does, and the recipe that they make."""

import argparse
import sys
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from latentopt.cli import arguments

if TYPE_CHECKING:
    from latentopt.codec.recipe import Recipe

# As the library has them, whose import takes seconds; a test compares.
QUANTS = ("int", "hex", "oct", "d4", "e8", "auto")
SHIFTS = ("secant", "grid", "none")
DIRECTIONS = ("density", "sign", "split")
PMFS = ("exact", "paper")
PRESETS = ("paper", "fast", "default", "slow", "best")

CLIP_OPTIONS = ("gop", "parts", "ahead", "size", "rate")
"""Of `add_clip_arguments`."""
GOP = 8
_SLOW = ("slow", "best")  # presets of many steps, worth a bar of their own


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every codec."""
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


def add_clip_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of video codecs."""
    add = parser.add_argument_group("video codecs").add_argument
    gop_help = f"frames per key frame (default: {GOP})"
    add("--gop", type=arguments.count, metavar="N", help=gop_help)
    parts_help = "of image, motion, residual: what to search"
    add("--parts", type=arguments.names, metavar="P,P", help=parts_help)
    add("--ahead", action="store_true", help="choose shifts with the next frame's cost in view")
    size_help = "of raw .yuv, unless its name says"
    add("--size", type=arguments.size, metavar="WxH", help=size_help)
    add("--rate", type=Fraction, metavar="FPS", help="frames per second, unless the file says")


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
