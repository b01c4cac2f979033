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

import torch
from compressai.models import CompressionModel
from torch import Tensor, nn

from latentopt import zoo
from latentopt.training import (
    Loop,
    Options,
    Photographs,
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
from tables.onehot.codecs.latents import Between, Latents, latents_of, weights

FOLDER = Path(__file__).parent
MNIST = "mnist"
_HELD_OUT = 64  # crops
_HELD_OUT_SIDE = 384
"""Of photographs for validation, which takes four rates."""
COLUMNS = 4
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
    steps: int
    learning_rate: float
    warmup: int
    batch: int
    seed: int
    symbols: int = 0
    """Of each map; 0: integers."""
    crop: int = 0
    """Of photographs, a side."""
    start: tuple[str, int] | None = None
    """Codec and quality of the zoo whose transforms are where training starts."""
    crops: int = 0
    """Whose latents are trained on, while the transforms stay; 0: all is trained, on images."""

    @staticmethod
    def named(name: str) -> "Recipe":
        """Of that name; InputError where there is none."""
        return training.from_toml(Recipe, FOLDER, name, "codec")

    @property
    def rates(self) -> Rates:
        low, high = self.lmbda
        return Rates(self.maps, self.least, (low, high))

    def model(self) -> CompressionModel:
        """As training begins."""
        torch.manual_seed(self.seed)
        (n, m), layers = self.widths, self.layers
        if self.symbols:
            model: CompressionModel = OneHotCodec(n, m, self.maps, self.symbols, layers)
        else:
            model = IntegerCodec(n, m, self.maps, layers)
        if self.start:
            _take_transforms(model, zoo.load(*self.start))
        return model

    def source(self, data: Path) -> tuple[Source[Tensor], list[Tensor]]:
        """What to train on, and what to validate on."""
        if self.data == MNIST:
            train, held_out = (digits(data / "mnist.npz", part) for part in ("train", "held out"))
            held = [sheet(held_out[:256], 16)]
            return Sheets(train, COLUMNS, self.batch, self.seed), held
        files, kept = split(list((data / self.data).glob("*.png")))
        held = [x[..., :_HELD_OUT_SIDE, :_HELD_OUT_SIDE] for x in validation_images(kept)]
        return Photographs(files, self.crop, self.batch, self.seed), held

    def on_latents(self, data: Path) -> tuple[nn.Module, Source[Tensor], list[Tensor]]:
        """The same where the transforms stay: what to train, on what, and validated on what."""
        assert self.start, "transforms that stay are those of a start"
        files, kept = split(list((data / self.data).glob("*.png")))
        model, donor = self.model(), zoo.load(*self.start)
        weight = weights(donor, 2**self.layers)
        crops, held = (Photographs(some, self.crop, 16, self.seed) for some in (files, kept))
        pool = latents_of(donor.g_a, weight, crops, self.crops)
        if isinstance(model, OneHotCodec):
            model.quantizer.begin(pool[: self.batch] / weight[:, None, None])
        others = latents_of(donor.g_a, weight, held, _HELD_OUT)
        source = Latents(pool, self.batch, self.seed)
        return Between(model, weight), source, [others]


def _take_transforms(model: CompressionModel, donor: CompressionModel) -> None:
    """The donor's analysis before, and its synthesis after what the model has between them."""
    before, after = donor.g_a.state_dict(), donor.g_s.state_dict()
    shift = 0 if isinstance(model, OneHotCodec) else 1  # the 1x1 convolution comes first
    moved = {f"{int(k.split('.', 1)[0]) + shift}.{k.split('.', 1)[1]}": v for k, v in after.items()}
    model.g_a.load_state_dict(before, strict=False)
    model.g_s.load_state_dict(moved, strict=False)


def adam(model: nn.Module) -> torch.optim.Optimizer:
    """All but the quantiles, densities faster."""
    groups = [group for group in parameter_groups(model) if group["params"]]
    return torch.optim.Adam(groups, betas=(0.9, 0.99))


def loop(name: str, data: Path, runs: Path) -> Loop[Adapted, Tensor]:
    """The training of a codec, begun or gone on with."""
    own = Recipe.named(name)
    if own.crops:
        model, source, held_out = own.on_latents(data)
    else:
        model, (source, held_out) = own.model(), own.source(data)
        if isinstance(model, OneHotCodec):
            model.quantizer.begin(model.g_a(source.batch(0)))
    task = Task(
        model=RateAdaptive(model, own.rates),
        loss=adaptive_loss,
        data=source,
        held_out=held_out,
        optimizer=adam,
        schedule=WarmCosine(own.learning_rate, own.warmup, own.steps),
        before_check=None if own.symbols else fit_quantiles,
    )
    layout = torch.channels_last
    options = Options(seed=own.seed, autocast=None, memory_format=layout)
    return Loop(task, runs / f"{name}.pt", options)


def trained(name: str, runs: Path = RUNS) -> CompressionModel:
    """The best weights of a codec, in eval mode.

    Raises:
        InputError: it was not trained; the message has the command.
    """
    state = training.best(runs / f"{name}.best.pt", f"tables.onehot.codecs.train {name}")
    recipe = Recipe.named(name)
    model, prefix = recipe.model(), "codec.codec." if recipe.crops else "codec."
    own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    model.load_state_dict(own)
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
    write_embedded(trained(name, runs), path, {k: str(v) for k, v in made.items()}, ("g_s",))
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def _train(args: argparse.Namespace) -> None:
    for name in args.codecs:
        if args.export:
            export(name, args.export, args.runs)
        else:
            loop(name, args.data, args.runs).train(Recipe.named(name).steps, args.check_every)


def main(argv: Sequence[str] | None = None) -> int:
    parser = training.arguments(__doc__.splitlines()[0], LAB / "data", check_every=250)
    parser.add_argument("codecs", nargs="+", help="files beside this one, without .toml")
    parser.add_argument(
        "--export", type=Path, metavar="FILE", help="write the weights, no training"
    )
    return training.run(parser, argv, _train)


if __name__ == "__main__":
    sys.exit(main())
