"""Train a codec of feature maps: `python -m tables.onehot.codecs.train mnist-ohm-8-a`.

A codec is NAME.toml beside this file. At every check the state goes to RUNS/NAME.pt, and a run that
finds one goes on from it; RUNS/NAME.best.pt has the weights with the lowest validation loss, over
four rates, and RUNS/NAME.csv the log. `--export` writes the weights of a one-hot codec small.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from compressai.models import CompressionModel
from torch import Tensor, nn

from latentopt import zoo
from latentopt.adapters import Adapter, adapter_class
from latentopt.encoder import sensitivity_of
from latentopt.quantizers import OneHotMax, components
from latentopt.training import (
    Loop,
    Options,
    Photographs,
    Ramp,
    RateAdaptive,
    Rates,
    Task,
    WarmCosine,
    adaptive_loss,
    fit_quantiles,
    parameter_groups,
    split,
    validation_images,
)
from latentopt.training.loop import Source
from latentopt.training.rate_adaptation import Adapted
from latentopt.training.runs import BEST, read_state
from latentopt.zoo.embedded import write_embedded
from latentopt.zoo.one_hot_codec import OneHotCodec
from tables.common import training
from tables.common.places import LAB
from tables.common.training import RUNS
from tables.onehot.codecs.digits import Sheets, digits, sheet
from tables.onehot.codecs.integers import IntegerCodec

FOLDER = Path(__file__).parent
MNIST = "mnist"
_HELD_OUT, _HELD_OUT_SIDE = 64, 256
"""Digits, and a side of photographs, for validation, which takes four rates."""
_FIRST = 32
"""Batches whose latents training begins with."""
SLOWER = 0.1
"""The learning rate of one-hot max, as a share of the transforms'."""
COLUMNS = 2
"""Digits a side of a sheet in training."""


@dataclass(frozen=True)
class Recipe:
    """One codec, as in its TOML file."""

    data: str
    """``mnist`` or ``clic``."""
    widths: tuple[int, int]
    """N and M of the transforms."""
    layers: int
    maps: int
    least: int
    lmbda: tuple[float, float]
    share: float
    """See :class:`latentopt.training.Rates`."""
    steps: int
    learning_rate: float
    warmup: int
    ramp: int
    """Steps over which the rate comes to count in full."""
    batch: int
    seed: int
    symbols: int = 0
    """Of each map; 0: integers."""
    crop: int = 0
    """Of photographs, a side."""
    start: tuple[str, int] | None = None
    """Codec and quality of the zoo whose transforms are where training starts."""
    after: str = ""
    """Or a codec of integers, trained here, whose transforms are."""

    @staticmethod
    def named(name: str) -> "Recipe":
        """Of that name; InputError where there is none."""
        return training.from_toml(Recipe, FOLDER, name, "codec")

    @property
    def rates(self) -> Rates:
        low, high = self.lmbda
        return Rates(self.maps, self.least, (low, high), self.share)

    def model(self) -> CompressionModel:
        """As training begins."""
        torch.manual_seed(self.seed)
        (n, m), layers = self.widths, self.layers
        if self.symbols:
            model: CompressionModel = OneHotCodec(n, m, self.maps, self.symbols, layers)
        else:
            model = IntegerCodec(n, m, self.maps, layers)
        if self.start:
            donor = zoo.load(*self.start)
            _take_transforms(model, donor.g_a, donor.g_s)
        return model

    def source(self, data: Path) -> tuple[Source[Tensor], list[Tensor]]:
        """What to train on, and what to validate on."""
        if self.data == MNIST:
            train, held_out = (digits(data / "mnist.npz", part) for part in ("train", "held out"))
            held = [sheet(held_out[:_HELD_OUT], 8)]
            return Sheets(train, COLUMNS, self.batch, self.seed), held
        files, kept = split(list((data / self.data).glob("*.png")))
        held = [x[..., :_HELD_OUT_SIDE, :_HELD_OUT_SIDE] for x in validation_images(kept)]
        return Photographs(files, self.crop, self.batch, self.seed), held

    @torch.no_grad()
    def begun(self, source: Source[Tensor], runs: Path) -> CompressionModel:
        """Begun with latents of the data, see :meth:`latentopt.quantizers.OneHotMax.begin`."""
        model, batches = self.model(), [source.batch(self.steps + k) for k in range(_FIRST)]
        donor = trained(self.after, runs) if self.after else None
        if isinstance(donor, IntegerCodec):
            _take_transforms(model, *donor.transforms)
        analysis, _ = _transforms(model)
        if not (donor or self.start):
            _normalize(analysis, batches[0])
        y = torch.cat([analysis(batch) for batch in batches])
        found = components(y, _weight(zoo.load(*self.start)) if self.start else None)
        assert isinstance(model, OneHotCodec | IntegerCodec)
        model.begin(y, donor.components(y) if isinstance(donor, IntegerCodec) else found)
        return model


def _transforms(model: CompressionModel) -> tuple[nn.Sequential, nn.Sequential]:
    """Those of a codec, on either side of what stands between them."""
    return model.transforms if isinstance(model, IntegerCodec) else (model.g_a, model.g_s)


def _take_transforms(model: CompressionModel, before: nn.Module, after: nn.Module) -> None:
    """A donor's analysis and synthesis, around what the model has between them."""
    for own, donor in zip(_transforms(model), (before, after)):
        own.load_state_dict(donor.state_dict())


def _weight(donor: CompressionModel) -> Tensor:
    """(M,) by which an error in each channel of its latent counts in its image."""
    adapter = adapter_class(donor)(donor, True)
    assert isinstance(adapter, Adapter), "a codec of images"
    return torch.from_numpy(np.sqrt(sensitivity_of(adapter).squared)).float()


def _normalize(analysis: nn.Sequential, x: Tensor) -> None:
    """Let its latents of images (B, 3, H, W) have a standard deviation of 1 in all."""
    spread, last = analysis(x).std(), analysis[-1]
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    last.weight /= spread
    last.bias /= spread


def adam(model: nn.Module) -> torch.optim.Optimizer:
    """All but the quantiles, densities faster, and one-hot max slower.

    Most symbols are rare, so that their gradients are hardly more than noise, which Adam makes as
    large as any other: cells that were right are scrambled long before transforms have learned.
    """
    slow = {id(p) for m in model.modules() if isinstance(m, OneHotMax) for p in m.parameters()}
    groups = []
    for group in parameter_groups(model):
        params, factor = cast(list[nn.Parameter], group["params"]), cast(float, group["factor"])
        for own, share in ((True, SLOWER), (False, 1.0)):
            some = [p for p in params if (id(p) in slow) == own]
            groups += [{"params": some, "factor": share * factor}] * bool(some)
    return torch.optim.Adam(groups, betas=(0.9, 0.99))


def loop(name: str, data: Path, runs: Path) -> Loop[Adapted, Tensor]:
    """The training of a codec, begun or gone on with."""
    own = Recipe.named(name)
    source, held_out = own.source(data)
    model = RateAdaptive(own.begun(source, runs), own.rates)
    task = Task(
        model=model,
        loss=adaptive_loss,
        data=source,
        held_out=held_out,
        optimizer=adam,
        schedule=WarmCosine(own.learning_rate, own.warmup, own.steps),
        before_step=Ramp(model, own.ramp),
        before_check=None if own.symbols else fit_quantiles,
    )
    layout = torch.channels_last
    options = Options(seed=own.seed, autocast=None, memory_format=layout, check_first=True)
    return Loop(task, runs / f"{name}.pt", options)


def trained(name: str, runs: Path = RUNS) -> CompressionModel:
    """The best weights of a codec, in eval mode.

    Raises:
        InputError: it was not trained; the message has the command.
    """
    state = training.best(runs / f"{name}.best.pt", f"tables.onehot.codecs.train {name}")
    model = Recipe.named(name).model()
    model.load_state_dict({k.removeprefix("codec."): v for k, v in state.items()})
    model.update(force=True)
    return model.eval()


def export(name: str, path: Path, runs: Path) -> None:
    """Write a one-hot codec for the zoo, small, with how it was made."""
    own, state = Recipe.named(name), read_state(runs / f"{name}.best.pt", *BEST)
    made = {
        "architecture": "tiny-ohm",
        "quality": 1,
        "recipe": name,
        "steps": state["step"],
        "seconds": round(state["seconds"]),
        "start": "-".join(map(str, own.start or ["random"])),
    }
    write_embedded(
        trained(name, runs), path, {k: str(v) for k, v in made.items()}, ("g_s", "quantizer")
    )
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def _train(args: argparse.Namespace) -> None:
    for name in args.codecs:
        if args.export:
            export(name, args.export, args.runs)
        else:
            steps = Recipe.named(name).steps if args.steps is None else args.steps
            loop(name, args.data, args.runs).train(steps, args.check_every)


def main(argv: Sequence[str] | None = None) -> int:
    parser = training.arguments(__doc__.splitlines()[0], LAB / "data", check_every=200)
    parser.add_argument("codecs", nargs="+", help="files beside this one, without .toml")
    parser.add_argument("--steps", type=int, help="stop after so many (default: the recipe's)")
    parser.add_argument(
        "--export", type=Path, metavar="FILE", help="write the weights, no training"
    )
    return training.run(parser, argv, _train)


if __name__ == "__main__":
    sys.exit(main())
