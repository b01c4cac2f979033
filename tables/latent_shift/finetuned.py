"""The paper's future work: decoders trained on what a lattice and its search really send them.

Weights are made by the command that `LACKING` has, one for each quality, and measured from there.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
from torch import nn

from latentopt import zoo
from tables.common.experiment import Cell, Experiment, Request, attempt
from tables.common.harness import MIN_POINTS, RatePoint, bd_rate, means
from tables.common.places import LATER, rows_file
from tables.common.plots import canvas, save
from tables.common.rows import read_run, recorded, rows_of
from tables.common.subjects import Subject
from tables.latent_shift import PAPER

RUNS = Path("runs/tuned")
CODECS = ("tiny-mbt2018-mean", "tiny-bmshj2018-factorized")
LACKING = "latentopt finetune --codec CODEC --quality Q … -o runs/tuned/CODEC-WAY-Q.safetensors"

_BEFORE = "{config}, before"


@dataclass(frozen=True)
class Way:
    """What a decoder was trained on, and with what it is measured."""

    trained: str
    config: str

    @property
    def words(self) -> str:
        return f"{self.config}, trained on {self.trained}"


WAYS = (Way("int", "int"), Way("int", "default"), Way("default", "default"))


def tuned(codec: str, trained: str, quality: int) -> nn.Module:
    """A codec with a decoder that was fine-tuned."""
    path = RUNS / f"{codec}-{trained}-{quality}.safetensors"
    model = zoo.load(codec, weights=path)
    model.lmbda = zoo.lmbda(codec, quality)
    return model


def subject_of(codec: str, trained: str) -> Subject:
    """Its qualities that were fine-tuned."""
    here = [q for q in zoo.qualities(codec) if _is_here(codec, trained, q)]
    points = tuple(RatePoint(f"q{q}", partial(tuned, codec, trained, q)) for q in here)
    return Subject(f"{codec} tuned {trained}", codec, points, needs=LACKING)


def _is_here(codec: str, trained: str, quality: int) -> bool:
    return (RUNS / f"{codec}-{trained}-{quality}.safetensors").is_file()


def measured(codec: str, request: Request) -> dict[str, pd.DataFrame]:
    """Means of each configuration before and after, over the images that all have."""
    data = request.dataset.name
    coded = recorded(request.committed, data, codec)
    later = read_run(rows_file(request.committed, f"{LATER}/presets", data, codec))
    found = {
        _BEFORE.format(config="int"): coded[coded["config"] == "int"],
        _BEFORE.format(config="default"): later[later["config"] == "default"],
    }
    for trained in dict.fromkeys(way.trained for way in WAYS):
        configs = [way.config for way in WAYS if way.trained == trained]
        rows = rows_of(subject_of(codec, trained).shown_in(request), configs, request)
        for way in WAYS:
            own = rows[rows["config"] == way.config]
            if way.trained == trained and own["point"].nunique() >= MIN_POINTS:
                found[way.words] = own
    return _on_common_images(found)


def _on_common_images(found: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    images = set.intersection(*(set(rows["image"]) for rows in found.values()))
    return {
        name: means(rows[rows["image"].isin(images)]).sort_values("bpp")
        for name, rows in found.items()
    }


class Finetuned(Experiment):
    """BD-rates against integers and against `default`, before and after."""

    name = "finetuned"
    title = "decoders trained on what they really get"
    source = f"{PAPER} has none of it: its future work"
    notes = (
        "BD-rates of bytes written, in PSNR, on the images that all rows have. What `default` "
        "gains with a decoder trained on integers is what more training gains; the rest is what "
        "training on its own points adds. Trained on photographs of CLIC.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        for codec in CODECS:
            found = measured(codec, request)
            if len(found) == len({"int", "default"}):
                yield Cell(codec, "against int", note=LACKING)
            for name, own in found.items():
                row = f"{codec}: {name} ({own['images'].iloc[0]} images)"
                for config in ("int", "default"):
                    base = found[_BEFORE.format(config=config)]
                    yield _difference(row, f"against {config}", base, own)

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        figure, panels = canvas(len(CODECS), width=13)
        for codec, axes in zip(CODECS, panels):
            for name, own in measured(codec, replace(request, run=False)).items():
                axes.plot(own["bpp"], own["psnr_db"], marker=".", label=name)
            axes.set(title=codec, xlabel="bits per pixel", ylabel="PSNR, dB")
            axes.legend(fontsize="small")
        save(figure, path)


def _difference(row: str, column: str, base: pd.DataFrame, own: pd.DataFrame) -> Cell:
    if base is own:
        return Cell(row, column, 0.0)
    curves = [frame[q].to_numpy() for frame in (base, own) for q in ("bpp", "psnr_db")]
    value, why = attempt(lambda: bd_rate(*curves))
    return Cell(row, column, value, note="" if math.isfinite(value) else why)


EXPERIMENT = Finetuned()
