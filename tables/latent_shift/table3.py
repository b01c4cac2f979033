"""Table 3: how far true gradients, which decoders do not know, would shift both latents."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from compressai.models import MeanScaleHyperprior
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters import SideAdapter, adapter_class
from latentopt.encoder.sensitivity import gradients
from tables.common.experiment import Cell, CodecExperiment, Request, attempt
from tables.common.harness import bd_psnr, bd_rate
from tables.common.latents import STEP_BITS, View, best_alone, plain, unit
from tables.common.plots import bars
from tables.common.probes import Measure, Probe, curve, db, label, probed
from tables.common.subjects import Subject
from tables.latent_shift import PAPER

ROWS = {"true gradients": "true", "latent shift": "density"}
COLUMNS = {"side BD-rate": "%", "main BD-PSNR": "dB", "main BD-rate": "%", "main+side BD-rate": "%"}
"""Column and unit."""

PUBLISHED = {
    "true gradients": (-1.011, 1.3972, -25.139, -26.15),
    "latent shift": (-0.031, 0.0705, -1.27, -1.301),
}
_SIDE_STEPS = (0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6)
"""Root mean squares of the side latent's moves that are tried, both ways."""


def prepare(model: nn.Module) -> Measure:
    """Rates after shifts of the side latent, errors after shifts of the main latent."""
    codec = plain(model)
    adapter = adapter_class(model)(model, True)
    assert isinstance(adapter, SideAdapter)

    def measure(x: Tensor) -> dict[str, float]:
        view = View(codec, x)
        side = view.coded["z"][0].latent
        cost = _main_cost(adapter, view, side.prior.shape)
        true_side = _rate_gradient(codec.model, view.y, side.hat.reshape(1, *side.prior.shape))
        errors = {
            "none": view.error(view.y_hat),
            "true": best_alone(view, unit(view.error_gradient()))[1],
            "density": best_alone(view, view.decodable("density"))[1],
        }
        saved = {
            "true": _saved(cost, side.hat, true_side),
            "density": _saved(cost, side.hat, side.directions("density")[0]),
        }
        found = {f"{name} psnr_db": db(error) for name, error in errors.items()}
        found |= {f"{name} saved_bpp": bits / view.pixels for name, bits in saved.items()}
        return {"bpp": view.bits / view.pixels, "step_bpp": STEP_BITS / view.pixels, **found}

    return measure


Cost = Callable[[NDArray[np.floating]], float]
"""Bits of the main latent for a side latent (n,)."""


def _main_cost(adapter: SideAdapter, view: View, shape: tuple[int, ...]) -> Cost:
    y, density = view.y.cpu().numpy().ravel(), adapter.main_density

    def bits(side: NDArray[np.floating]) -> float:
        found = adapter.estimate(adapter.features(side, shape), y)
        scales = np.maximum(found.scales.ravel(), density.scales[0])
        return density.integer_bits(scales, y - found.means.ravel())

    return bits


def _saved(cost: Cost, side: NDArray[np.floating], direction: NDArray[np.floating]) -> float:
    """Bits that the best of the steps along a direction saves."""
    moved = direction / max(float(np.sqrt(np.square(direction).mean())), 1e-30)
    steps = [sign * step for step in _SIDE_STEPS for sign in (-1, 1)]
    return max(0.0, cost(side) - min(cost(side + step * moved) for step in steps))


def _rate_gradient(
    model: MeanScaleHyperprior, y: Tensor, side: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Gradient (n,) of the main latent's bits, as if it were not rounded, by the side latent."""
    with gradients():
        leaf = torch.from_numpy(side).to(y).requires_grad_(True)
        scales, means = model.h_s(leaf).chunk(2, 1)
        scales = scales.clamp(min=float(model.gaussian_conditional.scale_table[0]))
        distance = (y - means).abs()
        upper, lower = (torch.special.ndtr((half - distance) / scales) for half in (0.5, -0.5))
        bits = -(upper - lower).clamp(min=1e-9).log2().sum()
        [gradient] = torch.autograd.grad(bits, leaf)
    return gradient.double().cpu().numpy().ravel()


_NAMES = ("none", *ROWS.values())
PROBE = Probe(
    "true-gradients",
    (
        "bpp",
        "step_bpp",
        *(f"{name} psnr_db" for name in _NAMES),
        *(f"{name} saved_bpp" for name in ROWS.values()),
    ),
    prepare,
)


class Table3(CodecExperiment):
    """BD differences of the means, against rounding without shifts; step sizes are paid for."""

    name = "table3"
    title = "true gradients as the limit of the latent shift"
    source = f"{PAPER}, Table 3 (mbt2018-mean, Kodak)"
    notes = (
        "Ideal rates. Main: one step along the gradient of the squared error, or of the entropy. "
        "Side: one step along the gradient of the main latent's rate, or of the entropy. Steps "
        "are the best of six (main) and fourteen (side).",
    )
    columns = COLUMNS
    architecture = "mbt2018-mean"

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        rows = probed(PROBE, subject, request)
        means = curve(rows, PROBE.quantities)
        if means.empty:
            return
        for row, name in ROWS.items():
            published = PUBLISHED[row] if request.data == "kodak" else [None] * len(COLUMNS)
            place = f"{label(subject, rows, request)}: {row}"
            for column, theirs, found in zip(COLUMNS, published, _differences(means, name)):
                yield Cell(place, column, found[0], theirs, COLUMNS[column], found[1])

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        bars([c for c in cells if c.unit == "%"], path, self.title)


def _differences(means: pd.DataFrame, name: str) -> Iterator[tuple[float, str]]:
    """What `COLUMNS` say, of one kind of gradients."""
    base, none = means["bpp"].to_numpy(), means["none psnr_db"].to_numpy()
    step, saved = means["step_bpp"].to_numpy(), means[f"{name} saved_bpp"].to_numpy()
    psnr = means[f"{name} psnr_db"].to_numpy()
    yield attempt(lambda: bd_rate(base, none, base + step - saved, none))
    yield attempt(lambda: bd_psnr(base, none, base + step, psnr))
    yield attempt(lambda: bd_rate(base, none, base + step, psnr))
    yield attempt(lambda: bd_rate(base, none, base + 2 * step - saved, psnr))


EXPERIMENT = Table3()
