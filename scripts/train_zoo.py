"""Train one embedded codec: `python scripts/train_zoo.py tiny-mbt2018-mean 3`.

Settings are in scripts/zoo/CODEC.toml. At every check the state goes to RUNS/CODEC-Q.pt, and a run
that finds one goes on from it; RUNS/CODEC-Q.csv logs RD on the validation split, and
RUNS/CODEC-Q.best.pt keeps the weights with the lowest validation loss. `--export` writes those
into the package, small. Video codecs learn on photographs that move.
"""

import argparse
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from common import run
from compressai.models import CompressionModel
from laboratory import DATA
from torch import Tensor

from latentopt.errors import InputError
from latentopt.training import (
    Clips,
    Coded,
    Loop,
    Options,
    Photographs,
    RateDistortion,
    Source,
    Task,
    WarmCosine,
    fit_quantiles,
    in_float32,
    inherit,
    soap,
    split,
    validation_images,
)
from latentopt.training.runs import BEST, State, read_state
from latentopt.zoo.architectures import CLASSES, VIDEO
from latentopt.zoo.embedded import EMBEDDED, write_embedded

FOLDER = Path(__file__).parent / "zoo"

HELD_OUT_CLIPS = 24

Batch = Tensor | list[Tensor]
"""Images, or the frames of clips, (B, 3, H, W) each."""


@dataclass(frozen=True)
class Settings:
    """Of one quality of a codec, as in its TOML file, whose common values it may override."""

    architecture: str
    lmbda: float
    widths: Sequence[int]
    steps: int
    warmup: int
    learning_rate: float
    crop: int
    batch: int
    seed: int
    frames: int = 1
    """Of a video codec's clips."""
    start: tuple[str, int] | None = None
    """Codec and quality whose best weights are where training starts."""
    half: Sequence[str] = ("g_a", "g_s")
    """Networks that are exported in half precision."""
    memory_format: str = "channels_last"

    @property
    def is_video(self) -> bool:
        return self.architecture in VIDEO


def settings(codec: str, quality: int) -> Settings:
    """From the codec's file."""
    common = tomllib.loads((FOLDER / f"{codec}.toml").read_text())
    own = common.pop("quality")[str(quality)]
    values = common | own
    return Settings(lmbda=values.pop("lambda"), **values)


def best(codec: str, quality: int, runs: Path) -> State:
    """State of the best weights so far."""
    path = runs / f"{codec}-{quality}.best.pt"
    if not path.is_file():
        raise InputError(f"{path}: no such file; train {codec} {quality} first")
    return read_state(path, *BEST)


def data(own: Settings, files: Sequence[Path]) -> Source[Batch]:
    """What to train on."""
    if own.is_video:
        return Clips(files, own.crop, own.batch, own.frames, own.seed)
    return Photographs(files, own.crop, own.batch, own.seed)


def held_out(own: Settings, files: Sequence[Path]) -> Sequence[Batch]:
    """What to validate on, the same in every run: clips of four frames, or whole images."""
    if own.is_video:
        clips = Clips(files, own.crop, batch=8, frames=4, seed=7)
        return [clips.batch(step) for step in range(HELD_OUT_CLIPS // 8)]
    return validation_images(files)


def new_model(own: Settings, source: Source[Batch], runs: Path) -> CompressionModel:
    """The model as training begins."""
    torch.manual_seed(own.seed)
    model = CLASSES[own.architecture](*own.widths)
    if own.start:
        state = best(*own.start, runs)["model"]
        donor = CLASSES[settings(*own.start).architecture].from_state_dict(state)
        batch = source.batch(0)
        inherit(model, donor, batch if isinstance(batch, Tensor) else batch[0])
    in_float32(model)
    return model


def loop(codec: str, quality: int, args: argparse.Namespace) -> Loop[Coded, Batch]:
    """The training of a codec, begun or gone on with."""
    own = settings(codec, quality)
    files, kept = split(list(args.data.glob("*.png")))
    source = data(own, files)
    task = Task(
        model=new_model(own, source, args.runs),
        loss=RateDistortion(own.lmbda),
        data=source,
        held_out=held_out(own, kept),
        optimizer=soap,
        schedule=WarmCosine(own.learning_rate, own.warmup, own.steps),
        before_check=fit_quantiles,
    )
    layout = getattr(torch, own.memory_format)
    options = Options(seed=own.seed, device=args.device, memory_format=layout)
    return Loop(task, args.runs / f"{codec}-{quality}.pt", options)


def export(codec: str, quality: int, runs: Path) -> None:
    """Write the best weights so far into the package, with how they were made."""
    own, state = settings(codec, quality), best(codec, quality, runs)
    model = CLASSES[own.architecture].from_state_dict(state["model"]).eval()
    made = {
        "architecture": own.architecture,
        "quality": quality,
        "lambda": own.lmbda,
        "steps": state["step"],
        "seconds": round(state["seconds"]),
        "start": "-".join(map(str, own.start or ["random"])),
    }
    path = EMBEDDED.file(codec, quality)
    write_embedded(model, path, {key: str(value) for key, value in made.items()}, own.half)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("codec")
    parser.add_argument("quality", type=int)
    parser.add_argument("--data", type=Path, default=DATA / "clic")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--check-every", type=int, default=2000, help="steps")
    parser.add_argument("--export", action="store_true", help="write the best weights, no training")
    args = parser.parse_args(argv)
    args.runs.mkdir(parents=True, exist_ok=True)
    if args.export:
        export(args.codec, args.quality, args.runs)
    else:
        steps = settings(args.codec, args.quality).steps
        loop(args.codec, args.quality, args).train(steps, args.check_every)


if __name__ == "__main__":
    run(main)
