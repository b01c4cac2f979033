"""Train a curve: `python -m tables.universal.codecs.train linear-sr`, or some of its lambdas.

A curve is CURVE.toml beside this file. At every check the state goes to RUNS/CURVE-K.pt, K counting
lambdas from 1, and a run that finds one goes on from it; RUNS/CURVE-K.best.pt has the weights with
the lowest validation loss, which is that of rounding, and RUNS/CURVE-K.csv the log.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from compressai.models import CompressionModel
from torch import Tensor, nn

from latentopt import zoo
from latentopt.quantizers import (
    Noise,
    Quantizer,
    SoftRound,
    SoftStraightThrough,
    StraightThrough,
    install,
)
from latentopt.training import (
    Coded,
    Loop,
    Options,
    Photographs,
    RateDistortion,
    Task,
    WarmCosine,
    fit_quantiles,
    hold_norms,
    parameter_groups,
    release_norms,
    split,
    validation_images,
)
from tables.common import training
from tables.common.places import LAB
from tables.common.training import RUNS
from tables.universal.codecs.linear import LinearCodec, high_rate_step

FOLDER = Path(__file__).parent

STAND_INS: Mapping[str, Callable[[], Quantizer]] = {
    "noise": lambda: Noise(torch.Generator()),
    "straight-through": StraightThrough,
    "soft-straight-through": SoftStraightThrough,
}

DENSITY_FACTOR = 20.0
"""Of the learning rate of the linear model's densities."""


@dataclass(frozen=True)
class Curve:
    """One curve, as in its TOML file."""

    start: str
    """``orthogonal`` or ``jpeg``, of the linear model; or a codec of the zoo."""
    lambdas: Sequence[float]
    steps: int
    learning_rate: float
    warmup: int
    crop: int
    batch: int
    seed: int
    alpha: Sequence[float] = ()
    """Of soft rounding, at the first step and at the last; empty: noise alone."""
    expected: bool = False
    """Whether gradients are those expected over the noise."""
    qualities: Sequence[int] = ()
    """Of the codec of the zoo, one for each lambda."""
    stand_in: str = "noise"
    """What stands for rounding where alpha is empty: one of :data:`STAND_INS`."""
    spectral: bool = False
    """Whether the spectral norms of the analysis stay what they were."""

    @staticmethod
    def named(name: str) -> "Curve":
        """Of that name; InputError where there is none."""
        return training.from_toml(Curve, FOLDER, name, "curve")

    @property
    def is_linear(self) -> bool:
        return not self.qualities

    def optimizer(self, k: int) -> Callable[[nn.Module], torch.optim.Optimizer]:
        """Of the lambda of that number."""
        return (
            partial(linear_adam, step=high_rate_step(self.lambdas[k - 1]))
            if self.is_linear
            else adam
        )

    def model(self, k: int) -> CompressionModel:
        """As training for the lambda of that number, from 1, begins."""
        if self.is_linear:
            return LinearCodec.starting(self.start, high_rate_step(self.lambdas[k - 1]), self.seed)
        model = zoo.load(self.start, self.qualities[k - 1])
        if self.spectral:
            torch.manual_seed(self.seed)
            hold_norms(model.get_submodule("g_a"))
        return model

    def quantizer(self) -> Quantizer:
        """What stands for the channel in training."""
        if self.alpha:
            return SoftRound(torch.Generator(), self.alpha[0], self.expected)
        return STAND_INS[self.stand_in]()

    def anneal(self, quantizer: Quantizer) -> Callable[[int], None] | None:
        """What is done before a step: alpha goes from its first to its last value evenly."""
        if not isinstance(quantizer, SoftRound):
            return None
        first, last = self.alpha

        def before_step(step: int) -> None:
            quantizer.alpha = first + (last - first) * step / self.steps

        return before_step


def adam(model: nn.Module) -> torch.optim.Optimizer:
    """Adam: SOAP's own work is half of that of so small batches."""
    return torch.optim.Adam(parameter_groups(model))


def linear_adam(model: nn.Module, step: float) -> torch.optim.Optimizer:
    """Adam, whose learning rate is that of orthonormal transforms, whatever the step is."""
    gain, densities = 255 / step, {**parameter_groups(model)[1], "factor": DENSITY_FACTOR}
    groups = [
        {"params": list(model.get_submodule("g_a").parameters()), "factor": gain},
        {"params": list(model.get_submodule("g_s").parameters()), "factor": 1 / gain},
        densities,
    ]
    return torch.optim.Adam(groups, betas=(0.9, 0.99))


def loop(name: str, k: int, data: Path, runs: Path) -> Loop[Coded, Tensor]:
    """The training of a curve's point, begun or gone on with."""
    own, lmbda = Curve.named(name), Curve.named(name).lambdas[k - 1]
    photographs, held_out = images_of(data, own.crop, own.batch, own.seed)
    model, quantizer = own.model(k), own.quantizer()
    install(quantizer, model)
    task = Task(
        model=model,
        loss=RateDistortion(lmbda),
        data=photographs,
        held_out=held_out,
        optimizer=own.optimizer(k),
        schedule=WarmCosine(own.learning_rate, own.warmup, own.steps),
        before_step=own.anneal(quantizer),
        before_check=fit_quantiles,
    )
    return Loop(task, runs / f"{name}-{k}.pt", Options(seed=own.seed, autocast=None))


@lru_cache(maxsize=1)
def images_of(data: Path, crop: int, batch: int, seed: int) -> tuple[Photographs, Sequence[Tensor]]:
    """Photographs to train on, and those for validation: read once for all points of a curve."""
    files, kept = split(list(data.glob("*.png")))
    return Photographs(files, crop, batch, seed), validation_images(kept)


def trained(name: str, k: int, runs: Path = RUNS) -> CompressionModel:
    """The best weights of a curve's point.

    Raises:
        InputError: it was not trained; the message has the command.
    """
    command = f"tables.universal.codecs.train {name}"
    state, own = training.best(runs / f"{name}-{k}.best.pt", command), Curve.named(name)
    model = LinearCodec() if own.is_linear else own.model(k)
    model.load_state_dict(state)
    if own.spectral:
        release_norms(model.eval().get_submodule("g_a"))
    model.update(force=True)
    model.lmbda = own.lambdas[k - 1]
    return model.eval()


def _train(args: argparse.Namespace) -> None:
    own = Curve.named(args.curve)
    for k in args.points or range(1, len(own.lambdas) + 1):
        loop(args.curve, k, args.data, args.runs).train(own.steps, args.check_every)


def main(argv: Sequence[str] | None = None) -> int:
    data = LAB / "data" / "clic"
    parser = training.arguments(__doc__.splitlines()[0], data, check_every=500)
    parser.add_argument("curve", help="a file beside this one, without .toml")
    parser.add_argument("points", nargs="*", type=int, help="numbers of lambdas (default: all)")
    return training.run(parser, argv, _train)


if __name__ == "__main__":
    sys.exit(main())
