"""What the context is worth: bits at equal points, whole files, and the time it takes to decode."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import latentopt
from latentopt import Codec
from latentopt.errors import InputError
from latentopt.latents import Coded, Crossed, Point, Prior, Walk
from latentopt.latents.lattice import LatticeChannel
from latentopt.latents.lattice.context import Base, Context, Network, split_dump
from latentopt.latents.lattice.context.network import SIZE
from latentopt.latents.lattice.latent import Latent
from tables.common.data import photographs
from tables.common.experiment import Cell, CodecExperiment, Request
from tables.common.plots import bars
from tables.common.probes import Measure, Probe, label, probed
from tables.common.subjects import Subject
from tables.latent_shift import PAPER

PRESETS = ("default", "best")
PHOTOGRAPHS = 12
"""Of CLIC, to which a codec's own network is fitted."""

POINTS = {
    "tiny-bmshj2018-factorized": ("q2", "tiny-bmshj2018-factorized q2"),
    "tiny-mbt2018-mean": ("q2", "tiny-mbt2018-mean q2"),
    "lab-mean-1…4": ("lab-mean-2", "lab-mean-2"),
    "factorized q2, steps": ("bmshj2018-factorized-q2", "factorized q2"),
}
"""Of each codec the rate point that is measured, and what its rows are called."""

QUANTITIES = (
    *("plain", "universal", "own"),
    *("found plain", "found universal"),
    *("cost", "plain cost", "plain rate", "passes"),
    *("latents_s", "plain latents_s", "decode_s", "plain decode_s"),
)
"""Of each preset: bits of the main latent at the points that were searched with the context, then
at those that were searched without; rate and distortion of both files, rate of that without;
passes; CPU seconds."""

_STILL = Network.load(np.zeros(SIZE, np.int32))
"""Moves nothing."""
_TURNS = 3
_NEAR = 1e-3
"""How far values may be apart that are one point, of single precision."""

_Numbers = TypeVar("_Numbers", float, pd.Series)


@dataclass(frozen=True)
class File:
    """An image (1, 3, H, W) as a codec writes it."""

    codec: Codec
    x: Tensor

    @cached_property
    def coded(self) -> Sequence[Coded]:
        """Its latents, the main one first."""
        return [one for [one] in self.codec.encode(self.x).values()]

    @property
    def points(self) -> Latent:
        """Of the main latent."""
        return cast(Latent, self.coded[0].latent)

    @cached_property
    def strings(self) -> Sequence[bytes]:
        """Of its latents."""
        return [one.string for one in self.coded]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = self.x.shape[-2:]
        return height, width

    @cached_property
    def walk(self) -> Walk:
        """The main latent's, once those below it are decoded."""
        assembly, above = self.codec.assembly, list[NDArray[np.floating]]()
        for depth, one in reversed(list(enumerate(self.coded[1:], 1))):
            above.append(one.shifted(assembly.direction(depth)))
        return assembly.adapter.walk(above, assembly.grid(self.size))

    def priced(self, channel: LatticeChannel) -> Latent:
        """The same points as another channel sends them.

        Raises:
            InputError: that channel has no such points.
        """
        own = self.points
        found = channel.send(self.walk, Point(own.hat), own.corrections, channel.nearest)
        if not np.allclose(found.hat, own.hat, atol=_NEAR):
            raise InputError("these points are none of that channel: bits are not to be compared")
        return found

    def latents(self) -> Sequence[Coded]:
        """What a decoder makes of its strings, before the synthesis."""
        return self.codec.decode(self.strings, self.size)

    def decoded(self) -> Tensor:
        """The image that a decoder makes of it."""
        strings = [[string] for string in self.strings]
        return self.codec.decompress(strings, self.size)["x_hat"]

    @property
    def rate(self) -> int:
        """Bits of the strings."""
        return 8 * sum(map(len, self.strings))

    def cost(self, trade: float) -> float:
        """Rate and distortion, in bits."""
        error = float((self.decoded() - self.x).square().sum(dtype=torch.float64))
        return self.rate + trade * error


def own_network(model: nn.Module) -> Network:
    """The network that is fitted to one codec, at the points of `default` on integers."""
    codec = latentopt.wrap(model, preset="default", quant="int", context=True)
    latentopt.calibrate(codec, photographs(PHOTOGRAPHS), context=True)
    return network_of(codec)


def network_of(codec: Codec) -> Network:
    """That of a codec's context."""
    channel = codec.context_channel
    return split_dump(channel.density, channel.dump())[0]


def prepare(model: nn.Module) -> Measure:
    """What the context changes of each preset's files."""
    own = own_network(model)
    pairs = {
        preset: (
            latentopt.wrap(model, preset=preset, context=True),
            latentopt.wrap(model, preset=preset, context=False),
        )
        for preset in PRESETS
    }

    def measure(x: Tensor) -> dict[str, float]:
        found = {preset: compared(*pair, own, x) for preset, pair in pairs.items()}
        return {f"{preset} {q}": each[q] for preset, each in found.items() for q in QUANTITIES}

    return measure


def compared(codec: Codec, without: Codec, own: Network, x: Tensor) -> dict[str, float]:
    """The quantities of an image, written by a codec with a context, and by the same without."""
    channel, file, other = codec.context_channel, File(codec, x), File(without, x)
    plain = file.priced(unmoved(channel))
    values = (
        *(bits(plain), bits(file.points), bits(file.priced(channel.with_network(own)))),
        *_of_points_without(channel, other),
        *(each.cost(codec.trade) for each in (file, other)),
        other.rate,
        passes(channel, plain) if file.points.adapted else 0,
        *_seconds(file.latents, other.latents, file.decoded, other.decoded),
    )
    return dict(zip(QUANTITIES, values, strict=True))


def unmoved(channel: LatticeChannel) -> LatticeChannel:
    """The same without what a context changes of prices: vectors stay those of its passes."""
    return channel.with_network(_STILL) if channel.has_vectors else channel.without_context()


def _of_points_without(channel: LatticeChannel, other: File) -> tuple[float, float]:
    """Bits of points that were searched without a context, without and with it; NaN of vectors,
    which are others where there are passes."""
    if channel.has_vectors:
        return math.nan, math.nan
    return bits(other.points), bits(other.priced(channel))


def bits(latent: Crossed) -> float:
    """Of a latent."""
    return float(latent.bits().sum())


def passes(channel: LatticeChannel, plain: Latent) -> int:
    """How many of a latent's passes a context moves: all but that of the quiet channels."""
    values, moved = plain.hat, list[Base]()

    def carry(index: NDArray[np.int64], own: Prior, base: Base | None) -> NDArray[np.floating]:
        moved.extend([base] if base else [])
        return own.residual(values[index])

    cast(Context, channel.context).cross(plain.prior, carry)
    return len(moved)


def _seconds(*works: Callable[[], object]) -> list[float]:
    """Median CPU seconds of each, in turns; the first turn makes tables."""
    turns = [[_timed(work) for work in works] for _ in range(_TURNS + 1)]
    return [statistics.median(own) for own in zip(*turns[1:])]


def _timed(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


PROBE = Probe("context", tuple(f"{preset} {q}" for preset in PRESETS for q in QUANTITIES), prepare)

COLUMNS = {
    "universal": "%",
    "own": "%",
    "worst image": "%",
    "loses": "% of all",
    "universal, searched without": "%",
    "loses, searched without": "% of all",
    "rate and distortion": "%",
    "higher": "% of all",
    "passes": "",
    "a pass": "ms",
    "decode": "×",
}
"""Column and unit."""

OTHER_VECTORS = "other vectors"


class ContextWorth(CodecExperiment):
    """Of each preset, what its files gain by a context, and what that takes."""

    name = "context"
    title = "what a context is worth, at equal points and of whole files"
    source = f"{PAPER} has none of it"
    times = True
    notes = (
        "Bits of the main latent at equal points: those of each preset's files, which are searched "
        "with the context. `universal` is the network that ships with the package, `own` one that "
        f"`latentopt.calibrate` fitted to {PHOTOGRAPHS} photographs of CLIC (crops of 384 × 576, "
        "points of `default` on integers) for this codec; both against the same points at the "
        "levels and centres that they have without a context, bits of all images together. Codecs "
        "with a factorized prior have integers. Those with a hyperprior have E8, whose vectors "
        "are made within passes: there both sides have these vectors.",
        "`worst image` is of `universal`. `loses`: images of which the context makes these points "
        "dearer; on integers it is then switched off, which costs one bit. Points that were "
        "searched with the context are those that it makes cheap; `searched without` is of the "
        "files of the same preset without it. Their E8 points are none of passes, so there only "
        "whole files can be compared.",
        "`rate and distortion`: what the λ-cost of the whole file (bytes, and squared error at "
        "the trade of the search) is above that of the same preset without a context, each "
        "searched for itself, in percent of the latter's bytes; `higher`: images in which it is "
        "more. `passes`: on average, without that of the "
        f"quiet channels. Times are CPU seconds of one process, medians of {_TURNS} turns: `a "
        "pass`, what decoding the latents takes longer than those of the file without a context, "
        "divided by the passes; `decode`, the whole decoding, synthesis included, as multiple of "
        "that of the file without.",
    )
    columns = COLUMNS

    def cells(self, request: Request) -> Iterator[Cell]:
        own = [s.at(*POINTS[s.label]) for s in request.subjects if s.label in POINTS]
        if not own:
            raise InputError(f"{self.name} is of other codecs: {', '.join(POINTS)}")
        yield from super().cells(replace(request, subjects=own))

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        rows = probed(PROBE, subject, request)
        for preset in PRESETS if len(rows) else ():
            own = rows[[f"{preset} {q}" for q in QUANTITIES]].set_axis(list(QUANTITIES), axis=1)
            row = f"{label(subject, rows, request)}: {preset}"
            for column, value in worth(own).items():
                note = OTHER_VECTORS if math.isnan(value) else ""
                yield Cell(row, column, value, unit=COLUMNS[column], note=note)

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        bars([c for c in cells if c.column in ("universal", "own")], path, self.title)


def worth(rows: pd.DataFrame) -> dict[str, float]:
    """By column, what a preset's rows, one for each image, say; NaN where they cannot."""
    total = rows.sum(skipna=False)
    extra_s = total["latents_s"] - total["plain latents_s"]
    values = (
        _change(total["universal"], total["plain"]),
        _change(total["own"], total["plain"]),
        _change(rows["universal"], rows["plain"]).max(),
        _share_above(rows["universal"], rows["plain"]),
        _change(total["found universal"], total["found plain"]),
        _share_above(rows["found universal"], rows["found plain"]),
        100 * (total["cost"] - total["plain cost"]) / total["plain rate"],
        _share_above(rows["cost"], rows["plain cost"]),
        rows["passes"].mean(),
        1000 * extra_s / total["passes"] if total["passes"] else math.nan,
        total["decode_s"] / total["plain decode_s"],
    )
    return dict(zip(COLUMNS, map(float, values), strict=True))


def _change(new: _Numbers, old: _Numbers) -> _Numbers:
    """In percent."""
    return 100 * (new / old - 1)


def _share_above(new: pd.Series, old: pd.Series) -> float:
    """Of images, in percent; NaN of none."""
    above = (new > old).astype(float).mask(new.isna())
    return float(100 * above.mean())


EXPERIMENT = ContextWorth()
