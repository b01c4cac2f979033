"""One image, coded again with the baseline and with the best configuration, at equal quality.

::

    measurements ─► choice ─► model ─┬─► baseline ──────► x_hat ─┐
                                     │      │ PSNR               │
                                     │      ▼                    │
                                     └─► configuration ─► x_hat ─┼─► views ─► page
    data set ─► image ───────────────────────► bits of each ─────┘
                                               latent position
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.bench.codecs import BaselineCodec, coded_bytes
from latentopt.bench.configs import parse_recipe
from latentopt.bench.items import Images
from latentopt.codec.climb import Outcome
from latentopt.codec.ladder import Ladder
from latentopt.codec.recipe import Recipe
from latentopt.codec.rung import encode_image
from latentopt.codec.target import Psnr
from latentopt.codec.wrap import wrap_image
from latentopt.errors import RateRangeError
from latentopt.media.images import read_samples, to_uint8
from latentopt.media.quality import psnr_db
from latentopt.report.subject import Choice, choose, loaded, located


@dataclass(frozen=True)
class CodedImage:
    """An image as decoded, and what it cost."""

    pixels: Tensor
    """(3, H, W) uint8."""
    bytes: int
    """Of all strings, as the harness counts."""
    psnr_db: float


@dataclass(frozen=True)
class Comparison:
    """One image, before and after."""

    choice: Choice
    original: Tensor
    """(3, H, W) uint8."""
    baseline: CodedImage
    ours: CodedImage
    bits: NDArray[np.float64]
    """(h, w) what each position of the main latent costs in ours."""
    stride: int
    """How many pixels a side a position covers."""
    step: float
    """What ours multiplies the step by."""
    is_equal: bool
    """Whether ours has the baseline's PSNR; else it is coded as it was measured."""


def compare(rows: pd.DataFrame, image: str, weights: Sequence[Path] = ()) -> Comparison:
    """Code an image of the measured data again.

    Args:
        rows: the measurements.
        image: its name in them.
        weights: checkpoints; none: those of the zoo that the rows name.

    Raises:
        LatentoptError: image, weights or configurations are not to be had; the message says which.
    """
    choice, point = choose(rows, image, weights)
    x = read_samples(located(rows, image, str(rows["data"].iloc[0]), Images()))
    return _coded(choice, x, loaded(point, rows, choice))


@torch.no_grad()
def _coded(choice: Choice, x: Tensor, model: nn.Module) -> Comparison:
    original = to_uint8(x)
    baseline = _baseline(model, x, original)
    recipe = parse_recipe(choice.config)
    outcome = _matched(model, recipe, x, baseline.psnr_db)
    file = outcome.file if outcome else encode_image(wrap_image(model, recipe), x)
    explanation, x_hat = file.codec.explain_bytes(file.data), file.codec.load_bytes(file.data)
    size = sum(latent.string_bytes for latent in explanation.latents)
    main = explanation.latents[0]
    return Comparison(
        choice=choice,
        original=original,
        baseline=baseline,
        ours=_image(original, x_hat, size),
        bits=main.bits,
        stride=main.stride,
        step=outcome.step if outcome else 1.0,
        is_equal=outcome is not None,
    )


def _matched(model: nn.Module, recipe: Recipe, x: Tensor, psnr_db: float) -> Outcome | None:
    """The image with at least this PSNR, and hardly more; None where the codec cannot meet it."""
    try:
        return Ladder({None: lambda: model}, recipe).encode(x, Psnr(psnr_db))
    except RateRangeError:
        return None


def _baseline(model: nn.Module, x: Tensor, original: Tensor) -> CodedImage:
    codec = BaselineCodec(model)
    out = codec.compress(x)
    x_hat = codec.decompress(out["strings"], out["shape"])["x_hat"]
    return _image(original, x_hat, coded_bytes(out["strings"], 0))


def _image(original: Tensor, x_hat: Tensor, size: int) -> CodedImage:
    pixels = to_uint8(x_hat)
    return CodedImage(pixels, size, psnr_db(original, pixels))
