"""The paper's future work: decoders trained on what a lattice and its search really send them.

Weights are made by the command that `LACKING` has, one for each quality, and measured from there.
"""

import json
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
LACKING = "latentopt finetune --codec CODEC --quality Q … -o runs/tuned/CODEC-WAY-Q.safetensors"

_BEFORE = "{config}, before"


@dataclass(frozen=True)
class Tuned:
    """A codec whose decoders are fine-tuned: those of its qualities, or one at several steps."""

    label: str
    """As rows of the codec itself have it."""
    codec: str
    qualities: tuple[int, ...] = (1, 2, 3, 4)
    steps: tuple[float, ...] = (1.0,)

    def trained(self, on: str) -> Subject:
        """Its decoders that were fine-tuned."""
        here = [q for q in self.qualities if _was_tuned(self.codec, on, q)]
        points = tuple(RatePoint(f"q{q}", partial(tuned, self.codec, on, q)) for q in here)
        label = f"{self.label} tuned {on}"
        return Subject(label, self.codec, points, self.steps, needs=LACKING)

    def curve(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Means by rate point, from few bits to many."""
        found = means(rows)
        names = found["step"].map("step {:g}".format) if len(self.steps) > 1 else found["point"]
        return found.set_index(pd.Index(names)).sort_values("bpp")


CODECS = (
    Tuned("tiny-mbt2018-mean", "tiny-mbt2018-mean"),
    Tuned("tiny-bmshj2018-factorized", "tiny-bmshj2018-factorized"),
    Tuned("factorized q2, steps", "bmshj2018-factorized", (2,), (0.7, 1.0, 1.4, 2.0)),
)
"""The last is a published checkpoint, tuned at step 1 and used at all of them."""


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
    """A codec with a decoder that was fine-tuned; as it was, where that found nothing better."""
    file = _file(codec, trained, quality)
    model = zoo.load(codec, quality, file if file.is_file() else None)
    model.lmbda = zoo.lmbda(codec, quality)
    return model


def _was_tuned(codec: str, trained: str, quality: int) -> bool:
    """Whether a run came to its end; one that found nothing better left no weights."""
    file = _file(codec, trained, quality)
    run = Path(f"{file}.run")
    if file.is_file() or not (run / "state.csv").is_file():
        return file.is_file()
    steps = json.loads((run / "begun.json").read_text(encoding="utf-8"))["steps"]
    return bool(pd.read_csv(run / "state.csv")["step"].iloc[-1] == steps)


def _file(codec: str, trained: str, quality: int) -> Path:
    return RUNS / f"{codec}-{trained}-{quality}.safetensors"


def measured(own: Tuned, request: Request) -> dict[str, pd.DataFrame]:
    """Rate and PSNR of each configuration, before and after, over the images that all have.

    By point; what was fine-tuned may have some of them only.
    """
    data = request.dataset.name
    coded = recorded(request.committed, data, own.label)
    later = read_run(rows_file(request.committed, f"{LATER}/today", data, own.label))
    found = {
        _BEFORE.format(config="int"): coded[coded["config"] == "int"],
        _BEFORE.format(config="default"): later[later["config"] == "default"],
    }
    for trained in dict.fromkeys(way.trained for way in WAYS):
        ways = [way for way in WAYS if way.trained == trained]
        subject = own.trained(trained).shown_in(request)
        rows = rows_of(subject, [way.config for way in ways], request)
        found |= {way.words: rows[rows["config"] == way.config] for way in ways}
    return _on_common_images(own, {name: rows for name, rows in found.items() if len(rows)})


def _on_common_images(own: Tuned, found: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    images = set.intersection(*(set(rows["image"]) for rows in found.values()))
    return {name: own.curve(rows[rows["image"].isin(images)]) for name, rows in found.items()}


class Finetuned(Experiment):
    """Rate at equal PSNR of each point, against integers and `default` before."""

    name = "finetuned"
    title = "decoders trained on what they really get"
    source = f"{PAPER} has none of it: its future work"
    notes = (
        "Rate at equal PSNR, in percent, by the slope of the curve before at the same quality, as "
        "in figure4; rows `BD-rate` where all qualities were tuned. Bytes written, of the images "
        "that all rows have. What `default` gains with a decoder trained on integers is what more "
        "training gains; the rest is what its own points add. Where nothing better was found, "
        "weights are as before. Trained on photographs of CLIC; `factorized q2` at step 1.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        for codec in CODECS:
            found = measured(codec, request)
            if set(found) == {_BEFORE.format(config=config) for config in ("int", "default")}:
                yield Cell(codec.label, "against int", note=LACKING)
            for name, own in found.items():
                if own is not found[_BEFORE.format(config="int")]:
                    yield from _cells_of(f"{codec.label}, {name}", own, found)

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        figure, panels = canvas(len(CODECS), width=13)
        for codec, axes in zip(CODECS, panels):
            for name, own in measured(codec, replace(request, run=False)).items():
                axes.plot(own["bpp"], own["psnr_db"], marker=".", label=name)
            axes.set(title=codec.label, xlabel="bits per pixel", ylabel="PSNR, dB")
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
