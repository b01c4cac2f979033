"""What was measured inside of codecs: things in place of rounding, artefacts, posteriors."""

from collections.abc import Callable, Mapping
from functools import partial

from tables.figures.paper import short

_GAPS = ("loss", "bpp", "PSNR", "discrete_2", "kl_levels_bits", "noise_db")

BLOCKS: Mapping[str, Callable[[], str]] = {
    "gap-training": partial(short, "gap_training", "kodak", _GAPS),
    "artefacts": partial(short, "artefacts", "kodak"),
    "powers": partial(short, "powers", "kodak"),
}
