"""Where a dither wins: errors that do not depend on the image, texture that is kept, no grid."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

import latentopt
from latentopt.codec.image import Codec
from tables.common.experiment import Cell, CodecExperiment, Request
from tables.common.plots import bars
from tables.common.probes import Measure, Probe, curve, probed
from tables.common.subjects import Subject
from tables.universal import PAPER
from tables.universal.dithered import subjects

WAYS = {"int": None, "int+dither": 0, "e8": None, "e8+dither": 0}
"""Configuration, and seed of its dither."""
MEASURES = ("dependence", "texture", "grid")
_BLOCK = 16  # pixels a side: those of an element of y

Luma = NDArray[np.float64]
"""(H, W), in grey levels."""


def luma(x: Tensor) -> Luma:
    """Of an image (1, 3, H, W), the mean of its colours, as it is shown."""
    levels: Luma = (x[0].clamp(0, 1) * 255).round().mean(0).double().numpy()
    return levels


def dependence(y: Luma, hat: Luma) -> float:
    """Mean squared error of the half of the elements that are nearest to 0, over the others'."""
    error = np.square(hat - y)
    quiet = np.abs(y) <= np.median(np.abs(y))
    return float(error[quiet].mean() / error[~quiet].mean())


def texture(original: Luma, decoded: Luma) -> float:
    """Energy of gradients in the quietest quarter of an image's blocks, over the original's."""
    own, theirs = map(_by_block, (original, decoded))
    quiet = own <= np.quantile(own, 0.25)
    return float(theirs[quiet].mean() / own[quiet].mean())


def grid(picture: Luma) -> float:
    """Mean step between neighbours across the edges of blocks, over that inside of them."""
    steps = np.abs(np.diff(picture, axis=1))
    edge = np.arange(1, picture.shape[1]) % _BLOCK == 0
    return float(steps[:, edge].mean() / steps[:, ~edge].mean())


def _by_block(picture: Luma) -> Luma:
    """Mean energy of gradients in each whole block."""
    energy = np.square(np.diff(picture, axis=0))[:, :-1] + np.square(np.diff(picture, axis=1))[:-1]
    rows, columns = (side // _BLOCK for side in energy.shape)
    blocks = energy[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    found: Luma = blocks.mean(axis=(1, 3))
    return found


def _prepare(model: nn.Module) -> Measure:
    codecs = {
        way: latentopt.wrap(model, way.split("+")[0], False, dither=seed)
        for way, seed in WAYS.items()
    }

    def measure(x: Tensor) -> dict[str, float]:
        y, original = model.get_submodule("g_a")(x).double().numpy(), luma(x)
        found = {f"original {MEASURES[-1]}": grid(original)}
        for way, codec in codecs.items():
            values = _measured(codec, x, y, original)
            found |= {f"{way} {name}": value for name, value in zip(MEASURES, values)}
        return found

    return measure


def _measured(codec: Codec, x: Tensor, y: Luma, original: Luma) -> tuple[float, ...]:
    """By :data:`MEASURES`."""
    [coded] = codec.encode(x)["y"]
    decoded = luma(codec(x)["x_hat"])
    hat = coded.latent.hat.reshape(y.shape)
    return dependence(y, hat), texture(original, decoded), grid(decoded)


PROBE = Probe(
    "artefacts",
    (f"original {MEASURES[-1]}", *(f"{way} {name}" for way in WAYS for name in MEASURES)),
    _prepare,
)


class Artefacts(CodecExperiment):
    """Means over the images."""

    name = "artefacts"
    title = "what rounding and a dither leave in pictures"
    source = f"{PAPER} has none of it: beyond the paper"
    notes = (
        "`dependence`: squared error of the half of a latent's elements that are nearest to 0, "
        "over that of the others; 1 where errors do not depend on the image. `texture`: energy of "
        "gradients in the quietest quarter of the 16×16 blocks, over the original's. `grid`: mean "
        "step across the edges of blocks, over that inside of them.",
    )
    columns = MappingProxyType(dict.fromkeys(MEASURES, ""))

    def cells(self, request: Request) -> Iterator[Cell]:
        own = [subject.shown_in(request) for subject in subjects()]
        yield from super().cells(replace(request, subjects=own))

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        for _, mean in curve(probed(PROBE, subject, request), PROBE.quantities).iterrows():
            whole = float(mean["original grid"])
            yield Cell(f"{subject.label}: the original", "grid", whole, unit="")
            for way in WAYS:
                for name in MEASURES:
                    value = float(mean[f"{way} {name}"])
                    yield Cell(f"{subject.label}: {way}", name, value, unit="")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        bars([cell for cell in cells if cell.column == "texture"], path, self.title)


EXPERIMENT = Artefacts()
