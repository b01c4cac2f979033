"""Figures 5 and 6, the linear model: rounding (Q), dither (UQ), and soft rounding with it."""

from tables.universal import PAPER
from tables.universal.codecs.curves import Curves

IMAGES = ("kodim03", "kodim16", "kodim23")
"""Those of the paper's pages of this model."""

WAYS = {
    "UN + Q": ("linear-un", "int"),
    "UN + UQ": ("linear-un", "dither"),
    "UN + UQ + means": ("linear-un", "dither+mean"),
    "UN + UQ + SR": ("linear-sr", "dither+soft"),
    "UN + SR, rounded": ("linear-sr", "int"),
    "UN + UQ + SR + means": ("linear-sr", "dither+soft+mean"),
    "α annealed, gradients drawn": ("linear-sr-no-eg", "dither+soft"),
    "α 16, gradients expected": ("linear-sr16", "dither+soft"),
    "α 16, gradients drawn": ("linear-sr16-no-eg", "dither+soft"),
    "orthogonal start, UN + Q": ("orthogonal-un", "int"),
    "orthogonal start, UN + UQ": ("orthogonal-un", "dither"),
    "orthogonal start, UN + UQ + SR": ("orthogonal-sr", "dither+soft"),
}
"""Trained curve and configuration."""


class Linear(Curves):
    """Means of each curve's points, and Bjøntegaard differences where there are four."""

    name = "linear"
    title = "the linear model: rounding, dither, soft rounding"
    source = f"{PAPER}, Figures 5 and 6, plots without numbers"
    ways, images, qualities = WAYS, IMAGES, ("psnr_db", "ms_ssim")
    notes = (
        "Bytes written, of the three images of the paper's pages. BD-rates are against UN + Q. The "
        "paper's models were trained for much longer, on other photographs.",
    )


EXPERIMENT = Linear()
