"""Train a codec that sends samples: `python -m tables.sampling.codecs.train tiny-pln 3`.

CODEC.toml beside this file says how. At every check the state goes to RUNS/CODEC-Q.pt, and a run
that finds one goes on from it; RUNS/CODEC-Q.best.pt has the weights with the lowest validation
loss, and RUNS/CODEC-Q.csv the log. `--export` writes the best weights into the package, small.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentopt import zoo
from latentopt.adapters.variational_net import Normal, Output, Pln, Vae
from latentopt.errors import InputError
from latentopt.training import Loop, Options, Photographs, Task, WarmCosine, split, transforms
from latentopt.training.elbo import BetaElbo
from latentopt.zoo.architectures import SAMPLED
from latentopt.zoo.embedded import EMBEDDED, write_embedded
from tables.common import training
from tables.common.places import LAB
from tables.common.training import RUNS

FOLDER = Path(__file__).parent

FACTORS = (("log_gamma", 40.0), ("h_", 4.0), ("", 1.0))
"""Of the learning rate, by how names begin: transforms are trained already, level 2 is not, and the
likelihood's scale is one number, which the others wait for."""
HELD_OUT_BATCHES, HELD_OUT_CROP = 3, 256
UNIT_BATCHES = 8


@dataclass(frozen=True)
class Settings:
    """Of one quality of a codec, as in its TOML file, whose common values it may override."""

    architecture: str
    beta: float
    widths: Mapping[str, int]
    steps: int
    warmup: int
    beta_warmup: int
    learning_rate: float
    crop: int
    batch: int
    seed: int
    start: tuple[str, int] | None = None
    """Codec and quality whose best weights are where training starts."""
    donor: tuple[str, int] | None = None
    """A hyperprior of the zoo whose transforms are."""
    power: float = 2.0
    """See :meth:`Normal.combined`."""
    half: Sequence[str] = ("g_s",)
    """Networks that are exported in half precision, the others in eight bits."""

    @staticmethod
    def of(codec: str, quality: int) -> "Settings":
        """From the codec's file; InputError where there is none."""
        common: dict[str, Any] = training.from_toml(dict, FOLDER, codec, "codec")
        own = common.pop("quality").get(str(quality))
        if own is None:
            raise InputError(f"{codec} has no quality {quality}")
        return Settings(**(common | own))

    def model(self, runs: Path, batch: Tensor) -> Vae:
        """As training begins; ``batch`` shows what its latents are like."""
        torch.manual_seed(self.seed)
        model = SAMPLED[self.architecture](**self.widths)
        if self.start:
            model.load_state_dict(best_or_shipped(*self.start, runs))
        elif self.donor:
            inherit_transforms(model, zoo.load(*self.donor), batch)
        if isinstance(model, Pln):
            model.power = self.power
        if model.log_gamma.requires_grad:
            with torch.no_grad():  # the best scale of an error is its mean
                model.log_gamma.copy_((model(batch)["x_hat"] - batch).abs().mean().log())
        return model


def best(codec: str, quality: int, runs: Path) -> dict[str, Tensor]:
    """The best weights so far; InputError where it was not trained."""
    path = runs / f"{codec}-{quality}.best.pt"
    return training.best(path, f"tables.sampling.codecs.train {codec}")


def best_or_shipped(codec: str, quality: int, runs: Path) -> dict[str, Tensor]:
    """The best weights so far, or those in the package of a quality that was not trained here."""
    trained_here = (runs / f"{codec}-{quality}.best.pt").is_file()
    if not trained_here and EMBEDDED.file(codec, quality).is_file():
        return zoo.load(codec, quality).state_dict()
    return best(codec, quality, runs)


def trained(codec: str, quality: int, runs: Path = RUNS) -> Vae:
    """With the best weights so far; InputError where it was not trained."""
    own, state = Settings.of(codec, quality), best(codec, quality, runs)
    model = SAMPLED[own.architecture].from_state_dict(state).eval()
    assert isinstance(model, Vae)
    if isinstance(model, Pln):
        model.power = own.power
    return model


@torch.no_grad()
def inherit_transforms(model: Vae, donor: nn.Module, batch: Tensor) -> None:
    """Take a hyperprior's transforms, of whose channels those that vary most are kept.

    Spreads begin as that of the noise that the donor was trained with, and the prior of level 1
    as what the latent is like on average.
    """
    latent = donor.get_submodule("g_a")(batch)
    half = len(model.unit.spread)
    keep = latent.std(dim=(0, 2, 3)).argsort(descending=True)[:half]
    own, theirs = model.state_dict(), donor.state_dict()
    for name, value in transforms(theirs).items():
        if own[name].shape == value.shape:
            own[name].copy_(value)
    own["g_a.6.weight"].mul_(0.01)[:half] = theirs["g_a.6.weight"][keep]
    own["g_a.6.bias"][:half] = theirs["g_a.6.bias"][keep]
    own["g_a.6.bias"][half:] = -1.24  # log √(1/12)
    own["g_s.0.weight"].copy_(theirs["g_s.0.weight"][keep])
    if isinstance(model, Pln):
        own["h_s.4.weight"].mul_(0.1)
        own["h_s.4.bias"][:half] = latent.mean(dim=(0, 2, 3))[keep]
        own["h_s.4.bias"][half:] = latent.std(dim=(0, 2, 3))[keep].log()
    model.load_state_dict(own)


def adam(model: nn.Module) -> torch.optim.Optimizer:
    """Adam, with a learning rate for each part of the network."""
    groups: dict[float, list[nn.Parameter]] = {factor: [] for _, factor in FACTORS}
    for name, parameter in model.named_parameters():
        factor = next(factor for start, factor in FACTORS if name.startswith(start))
        groups[factor] += [parameter] if parameter.requires_grad else []
    made = [{"params": own, "factor": factor} for factor, own in groups.items() if own]
    return torch.optim.Adam(made)


def loop(codec: str, quality: int, data: Path, runs: Path) -> Loop[Output, Tensor]:
    """The training of a codec, begun or gone on with."""
    own = Settings.of(codec, quality)
    files, kept = split(list(data.glob("*.png")))
    source, loss = (
        Photographs(files, own.crop, own.batch, own.seed),
        BetaElbo(own.beta, own.beta_warmup),
    )
    shown = Photographs(kept, HELD_OUT_CROP, 4, seed=7)
    task = Task(
        model=own.model(runs, source.batch(0)),
        loss=loss,
        data=source,
        held_out=[shown.batch(step) for step in range(HELD_OUT_BATCHES)],
        optimizer=adam,
        schedule=WarmCosine(own.learning_rate, own.warmup, own.steps),
        before_step=loss.before_step,
    )
    return Loop(task, runs / f"{codec}-{quality}.pt", Options(seed=own.seed, autocast=None))


@torch.no_grad()
def measure_units(model: Vae, source: Photographs) -> None:
    """Note what spreads the encoder commonly leaves open, the geometric mean of each channel."""
    batches = [Normal.of(model.g_a(source.batch(step))) for step in range(UNIT_BATCHES)]
    model.unit.spread.copy_(_common(batches))
    if isinstance(model, Pln):
        model.unit2.spread.copy_(_common([Normal.of(model.h_a(one.mean)) for one in batches]))


def _common(found: Sequence[Normal]) -> Tensor:
    return torch.stack([one.spread.log().mean(dim=(0, 2, 3)) for one in found]).mean(0).exp()


def export(codec: str, quality: int, data: Path, runs: Path) -> None:
    """Write the best weights so far into the package, with how they were made."""
    own, model = Settings.of(codec, quality), trained(codec, quality, runs)
    files, _ = split(list(data.glob("*.png")))
    measure_units(model, Photographs(files, HELD_OUT_CROP, 4, own.seed))
    made = {
        "architecture": own.architecture,
        "quality": quality,
        "beta": own.beta,
        "steps": own.steps,
        "start": "-".join(map(str, own.start or own.donor or ["random"])),
    }
    path = EMBEDDED.file(codec, quality)
    write_embedded(model, path, {key: str(value) for key, value in made.items()}, own.half)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def train(args: argparse.Namespace, quality: int) -> None:
    """Go on with a codec's training, to its end or as far as was asked."""
    steps = Settings.of(args.codec, quality).steps
    own = loop(args.codec, quality, args.data, args.runs)
    own.train(min(steps, args.until or steps), args.check_every)


def _work(args: argparse.Namespace) -> None:
    for quality in args.qualities:
        if args.export:
            export(args.codec, quality, args.data, args.runs)
        else:
            train(args, quality)


def main(argv: Sequence[str] | None = None) -> int:
    data = LAB / "data" / "clic"
    parser = training.arguments(__doc__.splitlines()[0], data, check_every=200)
    parser.add_argument("codec")
    parser.add_argument("qualities", nargs="+", type=int)
    parser.add_argument("--export", action="store_true", help="write the best weights, no training")
    parser.add_argument("--until", type=int, help="stop after so many steps; go on another time")
    return training.run(parser, argv, _work)


if __name__ == "__main__":
    sys.exit(main())
