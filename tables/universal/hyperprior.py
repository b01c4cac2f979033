"""Figure 6, the hyperprior model: the embedded mean-scale hyperprior, trained on by noise or SR."""

from tables.universal import PAPER
from tables.universal.codecs.curves import Curves

_UN, _SR = "hyperprior-un", "hyperprior-sr"
WAYS = {
    "UN + Q": (_UN, "int"),
    "UN + UQ": (_UN, "dither"),
    "UN + UQ + SR": (_SR, "dither+soft"),
    "UN + SR, rounded": (_SR, "int"),
    "UN + UQ + SR, gradients drawn": ("hyperprior-sr-no-eg", "dither+soft"),
}
"""Trained curve and configuration."""


class Hyperprior(Curves):
    """Means of each curve's points, and Bjøntegaard differences where there are four."""

    name = "hyperprior"
    title = "a hyperprior model: rounding, dither, soft rounding"
    source = f"{PAPER}, Figure 6, a plot without numbers"
    ways, qualities = WAYS, ("psnr_db", "ms_ssim")
    notes = (
        "Bytes written. BD-rates are against UN + Q. The embedded mean-scale hyperprior, trained "
        "on from its weights for a minute a rate; the paper's was trained from the beginning, for "
        "much longer.",
    )


EXPERIMENT = Hyperprior()
