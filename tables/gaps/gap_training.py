"""Figures 1 to 5: one codec trained with one or another thing in rounding's place."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from compressai.models import CompressionModel
from torch import Tensor, nn

from latentopt.bench.gaps import measure as gaps_of
from tables.common.experiment import Cell, Experiment, Request, attempt
from tables.common.harness import MIN_POINTS, RatePoint, bd_rate
from tables.common.plots import canvas, save
from tables.common.probes import Measure, Probe, curve, db, probed
from tables.common.subjects import Subject
from tables.gaps import PAPER
from tables.gaps.trained.course import COURSE
from tables.universal.codecs.train import RUNS, Curve, trained

CURVES = {
    "hyperprior-un": "noise",
    "hyperprior-ste": "STE",
    "hyperprior-soft-ste": "Soft-STE",
    "hyperprior-soft-ste-sn": "Soft-STE + SN",
    "hyperprior-sr": "soft rounding",
}
"""What stood for rounding."""

WAYS = {"centred": "", "plain": ", integers"}
"""How it is evaluated: mean-centred ("noise+", the codec's own), or rounded to integers."""

_METERS = (
    "discrete_1",
    "discrete_2",
    "wasserstein",
    "kl_levels_bits",
    "smoothness",
    "noise_db",
)
_START = "as it began"
_COLOURS = {name: f"C{k}" for k, name in enumerate([_START, *CURVES.values()])}


def _rounded(inputs: Tensor, mode: str, means: Tensor | None = None) -> Tensor:
    return torch.round(inputs)


def prepare(model: nn.Module) -> Measure:
    """Gaps, and estimated rate and PSNR of both ways of rounding."""
    assert isinstance(model, CompressionModel)

    def measure(x: Tensor) -> dict[str, float]:
        found = gaps_of(model, [x], draws=1).row()
        return {name: found[name] for name in _METERS} | _evaluated(model, x)

    return measure


def _evaluated(model: CompressionModel, x: Tensor) -> dict[str, float]:
    """Of x, whose sides are multiples of 64: estimated bits per pixel and PSNR in dB."""
    conditional, found = model.gaussian_conditional, {}
    for way in WAYS:
        if way == "plain":
            conditional.quantize = _rounded
        try:
            out = model(x)
        finally:
            vars(conditional).pop("quantize", None)
        bits = sum(float(-p.log2().sum()) for p in out["likelihoods"].values())
        found[f"{way} bpp"] = bits / (x.numel() / 3)
        found[f"{way} psnr_db"] = db(float((out["x_hat"].clamp(0, 1) - x).square().mean()))
    return found


PROBE = Probe(
    "gaps-training",
    (*_METERS, *(f"{way} {q}" for way in WAYS for q in ("bpp", "psnr_db"))),
    prepare,
)


def subject_of(name: str) -> Subject:
    """A curve's points that were trained."""
    points = tuple(RatePoint(f"{name}-{k}", partial(trained, name, k)) for k in _trained(name))
    return Subject(name, name, points, architecture="hyperprior", needs=f"needs {RUNS}/{name}-*")


def start() -> Subject:
    """The codec that all curves began with, where one of them was trained."""
    own = Curve.named(next(iter(CURVES)))
    numbers = sorted({k for name in CURVES for k in _trained(name)})
    points = tuple(RatePoint(f"start-{k}", partial(own.model, k)) for k in numbers)
    return Subject(_START, own.start, points, architecture="hyperprior")


def _trained(name: str) -> list[int]:
    """Numbers of the lambdas that were."""
    numbers = range(1, len(Curve.named(name).lambdas) + 1)
    return [k for k in numbers if (RUNS / f"{name}-{k}.best.pt").is_file()]


def measured(request: Request) -> dict[str, pd.DataFrame]:
    """Means over the images for each point of the start and of each curve that was trained."""
    found = {}
    for subject in [start(), *map(subject_of, CURVES)]:
        rows = probed(PROBE, subject.shown_in(request), request)
        if len(rows):
            means = curve(rows, PROBE.quantities).droplevel("step")
            means.index = [int(str(point).rpartition("-")[2]) for point in means.index]
            means["images"] = rows["image"].nunique()
            found[CURVES.get(subject.label, _START)] = means.sort_index()
    return found


def course(request: Request) -> pd.DataFrame:
    """Gaps in the course of training: a row for each curve, point and step."""
    folders = dict.fromkeys((request.committed, request.rows))
    files = [file for folder in folders for file in sorted((folder / COURSE).glob("*/*.csv"))]
    if not files:
        return pd.DataFrame(columns=["curve", "point", "step", *_METERS])
    return pd.concat(map(pd.read_csv, files)).drop_duplicates(["curve", "point", "step"])


class GapTraining(Experiment):
    """Gaps and losses of each curve's points, and Bjøntegaard differences between them."""

    name = "gap_training"
    title = "one codec trained with other things in rounding's place"
    source = f"{PAPER}, Figures 1 to 5, plots without numbers"
    notes = (
        "The embedded mean-scale hyperprior, trained on from its weights, all with the same crops; "
        "how long is in tables/universal/codecs, and it is short. Rates are estimates of the "
        "model's own. Rounding is mean-centred (the paper's noise+), in columns `integers` it is "
        "to whole numbers, with the same means in the densities. Loss is λ 255² MSE + bpp at the "
        "λ of the point. BD-rates, in percent, are against noise, mean-centred.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        found = measured(request)
        if set(found) <= {_START}:
            yield Cell("trained", "loss", note="python -m tables.gaps.trained.course hyperprior-un")
        for name, means in found.items():
            for point, row in means.iterrows():
                lmbda = Curve.named(next(iter(CURVES))).lambdas[int(str(point)) - 1]
                yield from _cells_of(f"{name}, λ {lmbda:g}", row, lmbda)
        base = found.get("noise")
        for name, means in found.items():
            for way in WAYS:
                if base is not None and min(len(base), len(means)) >= MIN_POINTS:
                    yield _difference(name, base, means, way)

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        figure, panels = canvas(3, width=15)
        for name, means in measured(replace(request, run=False)).items():
            rate, quality = means["centred bpp"], means["centred psnr_db"]
            panels[0].plot(rate, quality, marker=".", color=_COLOURS[name], label=name)
        panels[0].set(xlabel="bits per pixel, estimated", ylabel="PSNR, dB", title="mean-centred")
        panels[0].legend(fontsize="small")
        for axes, meter in zip(panels[1:], ("discrete_2", "wasserstein")):
            found = course(request)
            for name, said in CURVES.items():
                mean = found[found["curve"] == name].groupby("step")[meter].mean()
                axes.plot(mean.index, mean, marker=".", color=_COLOURS[said], label=said)
            axes.set(xlabel="step", title=f"{meter}, mean over λ, CLIC held out")
        save(figure, path)


def _cells_of(row: str, found: pd.Series, lmbda: float) -> Iterator[Cell]:
    for way, said in WAYS.items():
        bpp, psnr = found[f"{way} bpp"], found[f"{way} psnr_db"]
        yield Cell(row, f"bpp{said}", float(bpp), unit="")
        yield Cell(row, f"PSNR{said}", float(psnr), unit="")
        yield Cell(row, f"loss{said}", float(lmbda * 255**2 * 10 ** (-psnr / 10) + bpp), unit="")
    for meter in (*_METERS, "images"):
        yield Cell(row, meter, float(found[meter]), unit="")


def _difference(name: str, base: pd.DataFrame, own: pd.DataFrame, way: str) -> Cell:
    values = [base["centred bpp"], base["centred psnr_db"]]
    values += [own[f"{way} bpp"], own[f"{way} psnr_db"]]
    value, why = attempt(lambda: bd_rate(*(v.to_numpy() for v in values)))
    return Cell(f"BD-rate, {name}", f"bpp{WAYS[way]}", value, unit="", note=why or "%")


EXPERIMENT = GapTraining()
