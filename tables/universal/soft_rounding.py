"""Figures 1 to 3: soft rounding, its reconstruction, and their derivatives."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from latentopt.quantizers.soft_round import soft_reconstruction, soft_round
from tables.common.experiment import Cell, Experiment, Request
from tables.common.plots import canvas, save
from tables.universal import PAPER

ALPHAS = (1.0, 4.0, 8.0, 16.0)
_DRAWS = 1_000_000


def _slope(values: Tensor, at: Tensor) -> Tensor:
    [gradient] = torch.autograd.grad(values.sum(), at)
    return gradient


def _drawn(alpha: float) -> tuple[Tensor, Tensor]:
    """Gradients of r(s(y) + u) by y, of drawn noise, and expected over it; of a uniform y."""
    draw = torch.Generator().manual_seed(0)
    y = torch.rand(_DRAWS, generator=draw, dtype=torch.float64).requires_grad_()
    u = torch.rand(_DRAWS, generator=draw, dtype=torch.float64) - 0.5
    soft = soft_round(y, alpha)
    return _slope(soft_reconstruction(soft + u, alpha), y), _slope(soft_round(y, alpha), y)


class SoftRounding(Experiment):
    """What there is to draw is a function; what is measured is how its gradients scatter."""

    name = "soft_rounding"
    medium = None
    title = "soft rounding, and its gradients"
    source = f"{PAPER}, Figures 1 to 3, plots without numbers"
    notes = (
        f"Standard deviations of the gradient of r(s(y) + u) by y, over {_DRAWS} draws of a "
        "uniform y: of the noise that was drawn, and of its expectation over the noise. Both have "
        "the mean 1. Error: root mean square of r(s(y) + u) - y, of plain noise 0.2887.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        for alpha in ALPHAS:
            drawn, expected = _drawn(alpha)
            row = f"α = {alpha:g}"
            yield Cell(row, "drawn", float(drawn.std()), unit="")
            yield Cell(row, "expected", float(expected.std()), unit="")
            yield Cell(row, "error", _error(alpha), unit="")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        figure, panels = canvas(3, width=14)
        y = torch.linspace(-1.999, 1.999, 2001, dtype=torch.float64).requires_grad_()
        for alpha in ALPHAS:
            functions = soft_round(y, alpha), soft_reconstruction(y, alpha), soft_round(y, alpha)
            values = functions[0], functions[1], _slope(functions[2], y)
            for axes, value in zip(panels, values):
                axes.plot(y.detach(), value.detach(), label=f"α = {alpha:g}")
        for axes, title in zip(panels, ("s(y)", "r(z)", "s'(y), the expected gradient")):
            axes.set(title=title)
        panels[2].set_yscale("log")
        panels[0].legend()
        save(figure, path)


@torch.no_grad()
def _error(alpha: float) -> float:
    draw = torch.Generator().manual_seed(1)
    y = torch.rand(_DRAWS, generator=draw, dtype=torch.float64)
    u = torch.rand(_DRAWS, generator=draw, dtype=torch.float64) - 0.5
    arrived = soft_reconstruction(soft_round(y, alpha) + u, alpha)
    return float((arrived - y).square().mean().sqrt())


EXPERIMENT = SoftRounding()
