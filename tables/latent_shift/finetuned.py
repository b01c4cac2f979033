"""The paper's future work: decoders trained on what a lattice and its search really send them.

Weights are made by the command that `LACKING` has, one for each quality, and measured from there.
"""

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
from tables.common.tangent import tangents
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
    """Rate and PSNR of each configuration, before and after, over the images that all have.

    By point; what was fine-tuned may have some of them only.
    """
    data = request.dataset.name
    coded = recorded(request.committed, data, codec)
    later = read_run(rows_file(request.committed, f"{LATER}/today", data, codec))
    found = {
        _BEFORE.format(config="int"): coded[coded["config"] == "int"],
        _BEFORE.format(config="default"): later[later["config"] == "default"],
    }
    for trained in dict.fromkeys(way.trained for way in WAYS):
        own = [way for way in WAYS if way.trained == trained]
        subject = subject_of(codec, trained).shown_in(request)
        rows = rows_of(subject, [way.config for way in own], request)
        found |= {way.words: rows[rows["config"] == way.config] for way in own}
    return _on_common_images({name: rows for name, rows in found.items() if len(rows)})


def _on_common_images(found: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    images = set.intersection(*(set(rows["image"]) for rows in found.values()))
    return {
        name: means(rows[rows["image"].isin(images)]).set_index("point").sort_values("bpp")
        for name, rows in found.items()
    }


class Finetuned(Experiment):
    """Rate at equal PSNR of each point, against integers and `default` before."""

    name = "finetuned"
    title = "decoders trained on what they really get"
    source = f"{PAPER} has none of it: its future work"
    notes = (
        "Rate at equal PSNR, in percent, by the slope of the curve before at the same quality, as "
        "in figure4; rows `BD-rate` where all qualities were tuned. Bytes written, of the images "
        "that all rows have. What `default` gains with a decoder trained on integers is what more "
        "training gains; the rest is what its own points add. Trained on photographs of CLIC.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        for codec in CODECS:
            found = measured(codec, request)
            if set(found) == {_BEFORE.format(config=config) for config in ("int", "default")}:
                yield Cell(codec, "against int", note=LACKING)
            for name, own in found.items():
                if own is not found[_BEFORE.format(config="int")]:
                    yield from _cells_of(f"{codec}, {name}", own, found)

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        figure, panels = canvas(len(CODECS), width=13)
        for codec, axes in zip(CODECS, panels):
            for name, own in measured(codec, replace(request, run=False)).items():
                axes.plot(own["bpp"], own["psnr_db"], marker=".", label=name)
            axes.set(title=codec, xlabel="bits per pixel", ylabel="PSNR, dB")
            axes.legend(fontsize="small")
        save(figure, path)


def _cells_of(row: str, own: pd.DataFrame, found: Mapping[str, pd.DataFrame]) -> Iterator[Cell]:
    for config in ("int", "default"):
        base = found[_BEFORE.format(config=config)]
        if base is own:
            continue
        note = f"{own['images'].iloc[0]} images"
        for point, gain in gains(base, own).items():
            yield Cell(f"{row}, {point}", f"against {config}", float(gain), note=note)
        if len(own) == len(base) >= MIN_POINTS:
            value, why = attempt(partial(_bd_rate, base, own))
            yield Cell(f"{row}, BD-rate", f"against {config}", value, note=why or note)


def gains(base: pd.DataFrame, own: pd.DataFrame) -> pd.Series:
    """Rate of each point at equal PSNR, in percent of the same point's of a base."""
    at = dict(zip(base.index, tangents(base, "bpp", "psnr_db")))
    return pd.Series(
        {p: at[p].rate_percent(row["bpp"], row["psnr_db"]) for p, row in own.iterrows()}
    )


def _bd_rate(base: pd.DataFrame, own: pd.DataFrame) -> float:
    curves = [frame[q].to_numpy() for frame in (base, own) for q in ("bpp", "psnr_db")]
    return bd_rate(*curves)


EXPERIMENT = Finetuned()
