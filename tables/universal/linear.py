"""Figures 5 and 6, the linear model: rounding (Q), dither (UQ), and soft rounding with it."""

from tables.universal import PAPER
from tables.universal.codecs.curves import Curves

WAYS = {
    "UN + Q": ("linear-un", "int"),
    "UN + UQ": ("linear-un", "dither"),
    "UN + UQ + means": ("linear-un", "dither+mean"),
    "UN + UQ + SR": ("linear-sr", "dither+soft"),
    "UN + SR, rounded": ("linear-sr", "int"),
    "UN + UQ + SR + means": ("linear-sr", "dither+soft+mean"),
}
"""Trained curve and configuration."""


class Linear(Curves):
    """Means of each curve's points, and Bjøntegaard differences where there are four."""

    name = "linear"
    title = "the linear model: rounding, dither, soft rounding"
    source = f"{PAPER}, Figures 5 and 6, plots without numbers"
    ways, qualities = WAYS, ("psnr_db", "ms_ssim")
    notes = (
        "Bytes written. BD-rates are against UN + Q. The paper's models were trained for much "
        "longer, on other photographs.",
    )


EXPERIMENT = Linear()
