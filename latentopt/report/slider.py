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

from latentopt.bench import datasets
from latentopt.bench.codecs import BaselineCodec, coded_bytes
from latentopt.bench.configs import BASELINE, parse_recipe
from latentopt.bench.measure import stepped
from latentopt.bench.provenance import weights_hash
from latentopt.bench.summary import curves, means, summarise
from latentopt.bench.task import RatePoint, checkpoint_points, quality_points
from latentopt.codec.climb import Outcome
from latentopt.codec.ladder import Ladder
from latentopt.codec.recipe import Recipe
from latentopt.codec.rung import encode_image
from latentopt.codec.target import Psnr
from latentopt.codec.wrap import wrap_image
from latentopt.errors import DataError, InputError, RateRangeError, WeightsError
from latentopt.media.images import read_samples, to_uint8
from latentopt.media.quality import psnr_db
from latentopt.report.commands import quality
from latentopt.report.data import is_video


@dataclass(frozen=True)
class Choice:
    """What to code: one image, at one rate point, with one configuration beside the baseline."""

    codec: str
    point: str
    step: float
    config: str
    image: str


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
    if is_video(rows):
        raise InputError("the measurements are of video, and a slider compares single images")
    codec, config = _best(rows)
    points = checkpoint_points(codec, weights) if weights else _zoo_points(codec, rows)
    loads = {point.name: point for point in points}
    point, step = _middle(rows, codec, set(loads))
    choice = Choice(codec, point, step, config, image)
    x = _original(rows, image)
    return _coded(choice, x, _model(loads[point], rows, choice))


def _best(rows: pd.DataFrame) -> tuple[str, str]:
    """Codec and configuration of the lowest BD-rate; the last ones where none has any."""
    if BASELINE not in set(rows["config"]):
        raise InputError("no baseline was measured, to compare with")
    if set(rows["config"]) == {BASELINE}:
        raise InputError("no configuration but the baseline was measured")
    gains = summarise(rows)
    if gains.empty:
        raise InputError("no image was measured everywhere")
    percent = gains["bd_rate_pchip_percent"]
    best = gains.iloc[-1] if percent.isna().all() else gains.loc[percent.idxmin()]
    return str(best["codec"]), str(best["config"])


def _zoo_points(codec: str, rows: pd.DataFrame) -> list[RatePoint]:
    names = rows.loc[rows["codec"] == codec, "point"].unique()
    known = [pair for pair in map(quality, names) if pair]
    if not known:
        raise WeightsError(f"the weights {names[0]} are a checkpoint: name it with --weights")
    return [point for q, metric in known for point in quality_points(codec, [q], metric)]


def _middle(rows: pd.DataFrame, codec: str, names: set[str]) -> tuple[str, float]:
    """Point and step in the middle of the curve, of those whose weights are to be had."""
    curve = next(curve.rows for curve in curves(means(rows)) if curve.codec == codec)
    base = curve[(curve["config"] == BASELINE) & curve["point"].isin(names)].sort_values("bpp")
    if base.empty:
        measured = ", ".join(curve["point"].unique())
        raise WeightsError(f"no rate point is called {', '.join(sorted(names))}, but {measured}")
    middle = base.iloc[len(base) // 2]
    return str(middle["point"]), float(middle["step"])


def _original(rows: pd.DataFrame, image: str) -> Tensor:
    """The image (1, 3, H, W) that was measured; refuses one of another size."""
    row = rows[rows["image"] == image].iloc[0]
    data = str(row["data"])
    found = datasets.resolve(data)
    paths = dict(zip(found.names, found.paths))
    if image not in paths:
        raise DataError(f"{data} holds no {image} here")
    x = read_samples(paths[image])
    height, width = x.shape[-2:]
    if (width, height) != (row["width"], row["height"]):
        was = f"{row['width']}x{row['height']}"
        raise DataError(f"{paths[image]} is {width}x{height}, and {was} was measured")
    return x


def _model(point: RatePoint, rows: pd.DataFrame, choice: Choice) -> nn.Module:
    """The model that was measured; refuses one of other weights."""
    model = point.load()
    of_point = (rows["codec"] == choice.codec) & (rows["point"] == choice.point)
    measured, found = rows.loc[of_point, "weights"].iloc[0], weights_hash(model)
    if found != measured:
        raise WeightsError(
            f"{choice.codec} {choice.point} was measured with weights {measured}; "
            f"those here are {found}"
        )
    return stepped(model, choice.step)


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
