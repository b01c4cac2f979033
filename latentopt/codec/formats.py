"""What a codec writes: latentopt's own streams, or those of the model's own coder.

A decoder in the field knows integers around the model's means, and nothing else. So all of a recipe
that speaks of anything else is fixed in its format, and only the search is left.
"""

from collections.abc import Mapping

from latentopt.bitstream.headers import LATTICE
from latentopt.errors import WordError

OWN = "latentopt"
"""The format of latentopt's own files."""

NATIVE = "compressai"
"""The format of the model's own ``compress`` and ``decompress``."""

FIXED: Mapping[str, Mapping[str, object]] = {
    OWN: {},
    NATIVE: {
        "quant": "int",
        "shift": None,
        "direction": "density",
        "scales": False,
        "adaptive": False,
        "pmf": "exact",
        "portable": False,
        "channel": LATTICE,
        "context": False,
        "dither": None,
        "spread": None,
        "progressive": False,
        "postfilter": False,
        "prepacked": None,
        "gop": None,
        "ahead": None,
    },
}
"""By format, what a recipe's fields must be."""


def asked(words: Mapping[str, object]) -> dict[str, object]:
    """What asks for something: None says nothing, and False only switches something off.

    >>> asked({"quant": None, "scales": False, "dither": 0})  # 0 is a seed
    {'dither': 0}
    """
    return {word: v for word, v in words.items() if v is not None and v is not False}


def check_unsearched(what: tuple[str, object], words: Mapping[str, object]) -> None:
    """Raises InputError where something is said that goes with a choice of lattice points.

    Args:
        what: the word that excludes that, and what was said if the word is not enough.
    """
    excluded = ("effort", "scales", "adaptive", "context")
    if any(map(words.get, excluded)) or words.get("pmf") == "paper":
        raise WordError(
            "{} excludes {}, {}, {}, {} and {}: leave them out, or use the preset plain in place "
            "of one that has them",
            *(what, *((word, None) for word in excluded), ("pmf", "paper")),
        )


UNCUT: Mapping[str, object] = {
    **{"shift": None, "scales": False, "context": False},
    "postfilter": False,
}
"""What a progressive recipe has not: what of a string speaks of all channels at once."""


def check_progressive(words: Mapping[str, object]) -> None:
    """Raises InputError where something is said that no string in maps can have."""
    if not words.get("progressive"):
        return
    excluded = [name for name in (*UNCUT, "dither", "spread") if words.get(name)]
    if words.get("channel", LATTICE) != LATTICE:
        excluded.append("channel")
    if excluded:
        raise WordError(
            f"{{}} excludes {', '.join('{}' for _ in excluded)}: its channels cross one by one",
            *(("progressive", True), *((word, None) for word in excluded)),
        )


def check_unquantized(words: Mapping[str, object]) -> None:
    """Raises InputError where a lattice is said, and samples, which know of none."""
    if words.get("spread") is not None and words.get("quant") is not None:
        raise WordError(
            "{} and {} exclude each other: samples are on no lattice",
            *(("spread", None), ("quant", None)),
        )


def check_fixed(name: str, words: Mapping[str, object]) -> None:
    """Raises InputError, naming the word, unless what is said is what a format fixes."""
    for word, fixed in FIXED[name].items():
        given = words.get(word, fixed)
        if given != fixed and not (given is False and fixed is None):
            raise WordError(
                "{} is not for {}, whose decoder is the model's own: leave it out",
                *((word, given), ("format", name)),
            )
