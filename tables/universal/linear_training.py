"""Figure 5, ablations: how the linear model is trained."""

from tables.universal import PAPER
from tables.universal.codecs.curves import Curves

WAYS = {
    "UN + Q": ("linear-un", "int"),
    "α annealed, gradients expected": ("linear-sr", "dither+soft"),
    "α annealed, gradients drawn": ("linear-sr-no-eg", "dither+soft"),
    "α 16, gradients expected": ("linear-sr16", "dither+soft"),
    "α 16, gradients drawn": ("linear-sr16-no-eg", "dither+soft"),
    "four times as long, UN + Q": ("linear-un-long", "int"),
    "four times as long, UN + UQ": ("linear-un-long", "dither"),
    "four times as long, UN + UQ + SR": ("linear-sr-long", "dither+soft"),
    "four times as long, UN + SR, rounded": ("linear-sr-long", "int"),
    "orthogonal start, UN + Q": ("orthogonal-un", "int"),
    "orthogonal start, UN + UQ": ("orthogonal-un", "dither"),
    "orthogonal start, UN + UQ + SR": ("orthogonal-sr", "dither+soft"),
    "orthogonal start, UN + UQ + SR, gradients drawn": ("orthogonal-sr-no-eg", "dither+soft"),
}
"""Trained curve and configuration."""


class LinearTraining(Curves):
    """Means of each curve's points, and Bjøntegaard differences where there are four."""

    name = "linear_training"
    title = "the linear model: gradients, annealing of α, length of training, its start"
    source = f"{PAPER}, Figure 5, a plot without numbers"
    architecture = "linear"
    ways, qualities = WAYS, ("psnr_db", "ms_ssim")
    notes = ("Bytes written. BD-rates are against UN + Q.",)


EXPERIMENT = LinearTraining()
