"""How the posterior of level 1 takes in its prior: by spreads to the power -1, or to -2."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from latentopt.adapters.variational_net import Vae
from latentopt.training.elbo import BetaElbo
from tables.common.experiment import Cell, Experiment, Request
from tables.common.harness import RatePoint
from tables.common.plots import canvas, save
from tables.common.probes import Measure, Probe, curve, probed
from tables.common.subjects import Subject
from tables.common.training import RUNS
from tables.sampling import PAPER
from tables.sampling.codecs.train import Settings, trained

WAYS = {"pln-power-1": "σ⁻¹, as in the thesis", "pln-power-2": "σ⁻², the exact product"}
"""Trained codec, and what it is."""
QUALITY = 3
_SHOWN = ("kl_bpp", "second_bpp", "psnr_db")


def _prepare(model: nn.Module) -> Measure:
    assert isinstance(model, Vae)
    loss = BetaElbo(Settings.of(next(iter(WAYS)), QUALITY).beta)

    def measure(x: Tensor) -> dict[str, float]:
        torch.manual_seed(0)  # of the samples
        terms = loss(model(x), x)
        return {"loss": float(terms.loss)} | {name: float(terms.shown[name]) for name in _SHOWN}

    return measure


PROBE = Probe("powers", ("loss", *_SHOWN), _prepare)


def subject(codec: str) -> Subject:
    """A codec, where it was trained."""
    is_here = (RUNS / f"{codec}-{QUALITY}.best.pt").is_file()
    points = (RatePoint(f"{codec}-{QUALITY}", partial(trained, codec, QUALITY)),) * is_here
    needs = f"python -m tables.sampling.codecs.train {codec} {QUALITY}"
    return Subject(codec, codec, points, architecture="pln", needs=needs)


class Powers(Experiment):
    """Means over the images of the loss, in nats a pixel, and of what it is made of."""

    name = "powers"
    title = "weights of a posterior and its prior"
    source = f"{PAPER}, section 3: nothing is published of the other"
    notes = (
        "Both begin with the same transforms and see the same crops. Samples are those of one "
        "seed; nothing is coded.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        for codec, said in WAYS.items():
            own = subject(codec).shown_in(request)
            means = curve(probed(PROBE, own, request), PROBE.quantities)
            for quantity in PROBE.quantities if len(means) else ():
                yield Cell(said, quantity, float(means.iloc[0][quantity]), unit="")
            if means.empty:
                yield Cell(said, "loss", note=own.lacking)

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        figure, [axes] = canvas()
        for said in WAYS.values():
            found = {c.column: c.measured for c in cells if c.row == said}
            if "kl_bpp" in found:
                axes.plot(found["kl_bpp"], found["psnr_db"], "o", label=said)
        axes.set(xlabel="KL, bpp", ylabel="PSNR, dB")
        axes.legend()
        save(figure, path)


EXPERIMENT = Powers()
