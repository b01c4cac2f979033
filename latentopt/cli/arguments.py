"""Types of arguments for argparse, and options that do not go together."""

import argparse
import math
import re
from collections.abc import Sequence
from fractions import Fraction

from latentopt import media
from latentopt.errors import InputError


def add_max_pixels(parser: argparse.ArgumentParser) -> None:
    """Declare the limit of an image's size, the same for both directions."""
    parser.add_argument(
        "--max-pixels",
        type=pixels,
        metavar="N",
        help=f"largest image, which bounds the memory that it takes (default: {media.MAX_PIXELS})",
    )


def max_pixels(args: argparse.Namespace) -> int:
    """The largest image that is coded."""
    return args.max_pixels or media.MAX_PIXELS


def count(text: str) -> int:
    """A number of frames."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames")
    return int(text)


def whole(text: str) -> int:
    """A number of things, at least one."""
    if not (text.isdecimal() and text.isascii() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


_UNITS = {"": 1, "k": 1000, "M": 1000**2, "Ki": 1024, "Mi": 1024**2}


def byte_count(text: str) -> float:
    """A number of bytes, with a unit or without: 50000, 50k, 1.5MB, 64KiB."""
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([kKM]?i?)B?", text)
    unit = found and found[2].replace("K", "k").replace("ki", "Ki")
    if not found or unit not in _UNITS or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes, such as 50k or 64KiB")
    return float(found[1]) * _UNITS[unit]


def number(text: str) -> int:
    """A number of files."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of files")
    return int(text)


def names(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def size(text: str) -> tuple[int, int]:
    """(width, height)."""
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 352x288")
    return int(found[1]), int(found[2])


def pixels(text: str) -> int:
    """A number of pixels."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pixels")
    return int(text)


def seed(text: str) -> int:
    """A seed of 32 bits."""
    if not (text.isdecimal() and text.isascii() and int(text) < 1 << 32):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 4294967295")
    return int(text)


def alpha(text: str) -> float:
    """How sharp soft rounding is."""
    value = positive(text)
    if value > 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0 to 64")
    return value


def sigma(text: str) -> float:
    """Deviation of Gaussian noise."""
    value = positive(text)
    if not 0.1 <= value <= 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0.1 to 16")
    return value


def positive(text: str) -> float:
    """A positive finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def rate(text: str) -> Fraction:
    """Frames per second, as a decimal number or a fraction."""
    found = re.fullmatch(r"(\d{1,10}(?:\.\d{1,9})?)(?:/(\d{1,10}))?", text)
    numerator, per = (Fraction(found[1]), int(found[2] or 1)) if found else (0, 1)
    if not (numerator and per):
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate such as 25, 29.97 or 30000/1001")
    return Fraction(numerator, per)


def refuse(
    args: argparse.Namespace, options: Sequence[str], why: str, unlike: str | None = None
) -> None:
    """InputError where one of the options was given, which mean nothing here.

    Args:
        why: what they are for.
        unlike: what there is instead; None: the codec is not of that kind.
    """
    unset = (None, False)
    given = [name for name in options if all(getattr(args, name) is not value for value in unset)]
    if given:
        unlike = unlike or f"{args.codec} is not one"
        raise InputError(f"--{given[0].replace('_', '-')} is {why}, and {unlike}")
