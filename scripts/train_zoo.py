"""Train one embedded codec: `python scripts/train_zoo.py tiny-mbt2018-mean 3`.

Settings are in scripts/zoo/CODEC.toml. At every check the state goes to RUNS/CODEC-Q.pt, and a run
that finds one goes on from it; RUNS/CODEC-Q.csv logs RD on the validation split, and
RUNS/CODEC-Q.best.pt keeps the weights with the lowest validation loss. `--export` writes those
into the package, small, or into the folder `--to`. Video codecs learn on photographs that move.

`--minutes 6 --batch 64 --crop 256 --start FOLDER` is for a GPU that is there for so long: training
starts from the weights FOLDER/CODEC-Q.best.pt, or from those that ship, and ends by the clock.
"""

import argparse
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from common import run
from compressai.models import CompressionModel
from laboratory import DATA
from torch import Tensor, nn

from latentopt import zoo
from latentopt.errors import InputError
from latentopt.media import IMAGE_SUFFIXES
from latentopt.training import (
    Clips,
    Coded,
    InTurn,
    Loop,
    Options,
    Photographs,
    RateDistortion,
    Source,
    Task,
    TimedCosine,
    WarmCosine,
    fit_densities,
    fit_quantiles,
    in_float32,
    inherit,
    soap,
    split,
    transforms,
    validation_images,
)
from latentopt.training.runs import BEST, State, read_state
from latentopt.zoo.architectures import CLASSES, VIDEO
from latentopt.zoo.embedded import CODECS, EMBEDDED, write_embedded

FOLDER = Path(__file__).parent / "zoo"

HELD_OUT_CLIPS = 24

MAX_RATE = 3e-3
"""Learning rates grow with the root of the batch, to no more than this, SOAP's own default."""

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
    transforms: tuple[str, int] | None = None
    """Codec and quality whose best transforms take the place of those that training starts with."""
    fits_densities: bool = False
    """Whether factorized densities are learned before all else is."""
    half: Sequence[str] = ("g_a", "g_s")
    """Networks that are exported in half precision."""
    memory_format: str = "channels_last"

    @property
    def is_video(self) -> bool:
        return self.architecture in VIDEO

    def sized(self, batch: int | None, crop: int | None) -> "Settings":
        """With other batches and crops, where they are given."""
        batch = batch or self.batch
        rate = self.learning_rate * math.sqrt(batch / self.batch)
        limit = max(MAX_RATE, self.learning_rate)
        return replace(self, batch=batch, crop=crop or self.crop, learning_rate=min(rate, limit))


def settings(codec: str, quality: int) -> Settings:
    """From the codec's file.

    Raises:
        InputError: there is no such file, or no such quality in it.
    """
    known = sorted(path.stem for path in FOLDER.glob("*.toml"))
    if codec not in known:
        raise InputError(f"no settings for {codec!r} in {FOLDER}: there are {', '.join(known)}")
    common = tomllib.loads((FOLDER / f"{codec}.toml").read_text())
    qualities = common.pop("quality")
    if str(quality) not in qualities:
        raise InputError(f"{codec} has no quality {quality}: there are {', '.join(qualities)}")
    own = qualities[str(quality)]
    values = common | own
    return Settings(lmbda=values.pop("lambda"), **values)


def best(codec: str, quality: int, runs: Path) -> State:
    """State of the best weights so far."""
    path = runs / f"{codec}-{quality}.best.pt"
    if not path.is_file():
        raise InputError(f"{path}: no such file; train {codec} {quality} first")
    return read_state(path, *BEST)


def weights(codec: str, quality: int, folder: Path) -> dict[str, Tensor]:
    """The best of an earlier run, where the folder has them, or those that ship."""
    is_trained = (folder / f"{codec}-{quality}.best.pt").is_file()
    if is_trained or codec not in CODECS or quality not in EMBEDDED.qualities(codec):
        return best(codec, quality, folder)["model"]
    print(f"from {codec} {quality} as it ships: {folder} has none")
    return zoo.load(codec, quality).state_dict()


def images(folder: Path) -> list[Path]:
    """The photographs in it."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one of photographs with --data")
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise InputError(f"{folder}: no photographs in it; name a folder that has some with --data")
    return found


def data(own: Settings, files: Sequence[Sequence[Path]], device: str) -> Source[Batch]:
    """What to train on: the files of each folder, batch by batch in turn; of clips, all at once."""
    if own.is_video:
        together = [file for some in files for file in some]
        return Clips(together, own.crop, own.batch, own.frames, own.seed)
    sources = [Photographs(some, own.crop, own.batch, own.seed, device) for some in files]
    return InTurn(sources)


def held_out(own: Settings, files: Sequence[Path]) -> Sequence[Batch]:
    """What to validate on, the same in every run: clips of four frames, or whole images."""
    if own.is_video:
        clips = Clips(files, own.crop, batch=8, frames=4, seed=7)
        return [clips.batch(step) for step in range(HELD_OUT_CLIPS // 8)]
    return validation_images(files)


def donor(codec: str, quality: int, args: argparse.Namespace) -> CompressionModel | None:
    """What training starts from, if not from random weights: the stem, or with ``start`` itself."""
    own = settings(codec, quality)
    start = (codec, quality) if args.start else own.start
    if start is None:
        if own.transforms:
            raise InputError(f"{codec} {quality}: transforms take the place of a start's: name one")
        return None
    folder = args.start or args.runs
    state = weights(*start, folder)
    if own.transforms:
        better = transforms(weights(*own.transforms, folder))
        shapes, others = ({n: v.shape for n, v in s.items()} for s in (transforms(state), better))
        if shapes != others:
            codecs = (f"{name} {q}" for name, q in (own.transforms, start))
            raise InputError("the transforms of {} are not of the shape of {}'s".format(*codecs))
        state |= better
    return CLASSES[settings(*start).architecture].from_state_dict(state)


def new_model(
    own: Settings, source: Source[Batch], donor: CompressionModel | None
) -> CompressionModel:
    """The model as training begins."""
    torch.manual_seed(own.seed)
    model = CLASSES[own.architecture](*own.widths)
    if donor:
        batch = source.batch(0)
        inherit(model, donor, (batch if isinstance(batch, Tensor) else batch[0]).cpu())
    in_float32(model)
    if own.fits_densities:
        if own.is_video:
            raise InputError(f"{own.architecture}: fits_densities is for codecs of images")
        fit_densities(model, cast(Tensor, source.batch(0)).cpu())
    return model


def loop(codec: str, quality: int, args: argparse.Namespace) -> Loop[Coded, Batch]:
    """The training of a codec, begun or gone on with."""
    own = settings(codec, quality).sized(args.batch, args.crop)
    first, *others = map(images, args.data or [DATA / "clic"])
    files, kept = split(first)
    source = data(own, [files, *map(sorted, others)], args.device)
    task = Task(
        model=new_model(own, source, donor(codec, quality, args)),
        loss=RateDistortion(own.lmbda),
        data=source,
        held_out=held_out(own, kept),
        optimizer=coarse_soap,
        schedule=schedule(own, args.minutes),
        before_check=fit_quantiles,
    )
    options = Options(
        seed=own.seed,
        device=args.device,
        memory_format=getattr(torch, own.memory_format),
        check_first=args.start is not None,
    )
    return Loop(task, args.runs / f"{codec}-{quality}.pt", options)


def coarse_soap(model: nn.Module) -> torch.optim.Optimizer:
    """SOAP whose products, half of a small model's step, are of bfloat16 where that is quicker."""
    optimizer = soap(model)
    optimizer.register_step_pre_hook(lambda *_: torch.set_float32_matmul_precision("medium"))
    optimizer.register_step_post_hook(lambda *_: torch.set_float32_matmul_precision("highest"))
    return optimizer


def schedule(own: Settings, minutes: float | None) -> WarmCosine | TimedCosine:
    """The learning rate over all steps, or over so many minutes."""
    if minutes:
        return TimedCosine(own.learning_rate, own.warmup, 60 * minutes)
    return WarmCosine(own.learning_rate, own.warmup, own.steps)


def export(codec: str, quality: int, args: argparse.Namespace) -> None:
    """Write the best weights so far, with how they were made."""
    own, state = settings(codec, quality), best(codec, quality, args.runs)
    model = CLASSES[own.architecture].from_state_dict(state["model"]).eval()
    start = (codec, quality) if args.start else own.start
    made = {
        "architecture": own.architecture,
        "quality": quality,
        "lambda": own.lmbda,
        "steps": state["step"],
        "seconds": round(state["seconds"]),
        "start": "-".join(map(str, start or ["random"])),
    }
    home = replace(EMBEDDED, path=args.to) if args.to else EMBEDDED
    path = home.file(codec, quality)
    write_embedded(model, path, {key: str(value) for key, value in made.items()}, own.half)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def train(codec: str, quality: int, args: argparse.Namespace) -> None:
    """Train for so many minutes from now, or until all steps are done."""
    # Crops are of one size: the fastest convolutions are worth a search.
    torch.backends.cudnn.benchmark = True
    run = loop(codec, quality, args)
    if args.minutes:
        run.train(math.inf, args.check_every, 60 * args.minutes)
    else:
        run.train(settings(codec, quality).steps, args.check_every)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = made.add_argument
    add("codec", help="one that scripts/zoo has settings for")
    add("quality", type=int, help="as there; 0 is what the others start from")
    what = "of photographs, CLIC's by default; every seventh of the first is for validation"
    add("--data", type=Path, action="append", metavar="FOLDER", help=f"{what}; may be repeated")
    add("--runs", type=Path, default=Path("runs"), help="where states, logs and weights go")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--check-every", type=int, default=2000, help="steps")
    add("--start", type=Path, metavar="FOLDER", help="of best weights to start from")
    add("--minutes", type=float, help="end by the clock, not after the file's steps")
    add("--batch", type=int, help="crops at a time, in place of the file's")
    add("--crop", type=int, help="pixels a side, in place of the file's")
    add("--export", action="store_true", help="write the best weights, no training")
    add("--to", type=Path, metavar="FOLDER", help="of exported weights; default: the package's")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    args = parser().parse_args(argv)
    settings(args.codec, args.quality)
    args.runs.mkdir(parents=True, exist_ok=True)
    (export if args.export else train)(args.codec, args.quality, args)


if __name__ == "__main__":
    run(main)
