"""What a page codes again: one image or clip, with the baseline and with the best configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import nn

from latentopt.bench.configs import BASELINE
from latentopt.bench.items import Medium
from latentopt.bench.measure import stepped
from latentopt.bench.provenance import weights_hash
from latentopt.bench.summary import curves, means, summarise
from latentopt.bench.task import RatePoint, checkpoint_points, quality_points
from latentopt.errors import DataError, InputError, WeightsError
from latentopt.report.commands import quality


@dataclass(frozen=True)
class Choice:
    """One image or clip, at one rate point, with one configuration beside the baseline."""

    codec: str
    point: str
    step: float
    config: str
    image: str


def choose(rows: pd.DataFrame, image: str, weights: Sequence[Path]) -> tuple[Choice, RatePoint]:
    """The configuration of the best BD-rate, at the middle rate point, and its weights.

    Args:
        rows: the measurements.
        image: the image's or clip's name in them.
        weights: checkpoints; none: those of the zoo that the rows name.

    Raises:
        LatentoptError: there is nothing to compare, or no weights; the message says which.
    """
    codec, config = _best(rows)
    points = checkpoint_points(codec, weights) if weights else _zoo_points(codec, rows)
    loads = {point.name: point for point in points}
    point, step = _middle(rows, codec, set(loads))
    return Choice(codec, point, step, config, image), loads[point]


def located(rows: pd.DataFrame, image: str, data: str, medium: Medium) -> Path:
    """Where the data set has the image or clip; DataError unless it is of the measured size."""
    row = rows[rows["image"] == image].iloc[0]
    found = medium.resolve(data)
    paths = dict(zip(found.names, found.paths))
    if image not in paths:
        raise DataError(f"{data} holds no {image} here")
    width, height = medium.size(paths[image])
    if (width, height) != (row["width"], row["height"]):
        was = f"{row['width']}x{row['height']}"
        raise DataError(f"{paths[image]} is {width}x{height}, and {was} was measured")
    return paths[image]


def loaded(point: RatePoint, rows: pd.DataFrame, choice: Choice) -> nn.Module:
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


def _best(rows: pd.DataFrame) -> tuple[str, str]:
    """Codec and configuration of the lowest BD-rate; the last ones where none has any."""
    if BASELINE not in set(rows["config"]):
        raise InputError("no baseline was measured, to compare with")
    if set(rows["config"]) == {BASELINE}:
        raise InputError("no configuration but the baseline was measured")
    gains = summarise(rows)
    if gains.empty:
        raise InputError("nothing was measured everywhere")
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
