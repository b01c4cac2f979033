"""Figure 5, ablations: how the linear model is trained, at one of its rates."""

from tables.universal import PAPER
from tables.universal.codecs.curves import Curves

WAYS = {
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
}
"""Trained curve and configuration."""


class LinearTraining(Curves):
    """Means of each curve's points."""

    name = "linear_training"
    title = "the linear model: gradients, annealing of α, length of training, its start"
    source = f"{PAPER}, Figure 5, a plot without numbers"
    architecture = "linear"
    ways, images, qualities = WAYS, ("kodim03", "kodim16", "kodim23"), ("psnr_db", "ms_ssim")
    notes = ("Bytes written, of the three images of the paper's pages of this model.",)


EXPERIMENT = LinearTraining()
