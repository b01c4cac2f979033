"""Figures 5 and 6, the linear model: rounding (Q), dither (UQ), and soft rounding with it."""

from collections.abc import Iterator, Mapping

import pandas as pd

from tables.common.experiment import Cell
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
}
"""Trained curve and configuration."""

PUBLISHED = {
    "kodim03": {
        "UN + Q": (0.672, 34.33),
        "UN + UQ": (0.762, 32.79),
        "UN + UQ + SR": (0.562, 33.60),
    },
    "kodim16": {
        "UN + Q": (0.750, 33.09),
        "UN + UQ": (0.836, 32.22),
        "UN + UQ + SR": (0.623, 32.54),
    },
    "kodim23": {
        "UN + Q": (0.674, 34.71),
        "UN + UQ": (0.778, 33.05),
        "UN + UQ + SR": (0.572, 33.98),
    },
}
"""Bits per pixel and PSNR of the paper's pages of this model, Figures 7 to 9."""


class Linear(Curves):
    """Means of each curve's points, Bjøntegaard differences, and the paper's pages beside."""

    name = "linear"
    title = "the linear model: rounding, dither, soft rounding"
    source = f"{PAPER}, Figures 5 to 9"
    ways, images, qualities = WAYS, IMAGES, ("psnr_db", "ms_ssim")
    notes = (
        "Bytes written, of the three images of the paper's pages. BD-rates are against UN + Q. "
        "Rows of images are the trained point whose rate is nearest to the published one. The "
        "paper's models were trained for much longer, on other photographs.",
    )

    def beside(self, found: Mapping[str, pd.DataFrame]) -> Iterator[Cell]:
        """Of the paper's pages, the point that is nearest in rate."""
        for image, ways in PUBLISHED.items():
            for way, (bpp, psnr) in ways.items():
                rows = found.get(way, pd.DataFrame(columns=["image", "bpp"]))
                own = rows[rows["image"].astype(str).str.startswith(image)]
                if len(own):
                    nearest = own.loc[(own["bpp"] - bpp).abs().idxmin()]
                    yield Cell(f"{image}, {way}", "bpp", nearest["bpp"], bpp, "")
                    yield Cell(f"{image}, {way}", "psnr_db", nearest["psnr_db"], psnr, "")


EXPERIMENT = Linear()
