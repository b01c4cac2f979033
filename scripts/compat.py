"""Streams of the format `compressai`, decoded by a process that cannot import latentopt.

Run: python scripts/compat.py [--codecs trained] [--data kodak] [--limit 4] [--presets fast,default]
Each image is coded by the model's own `compress` and with each preset. Then all streams are decoded
in one process that only has CompressAI (scripts/foreign.py): how many fail, or differ from what
this one decodes? Where a codec has four rate points, BD-rate is that of what was decoded there.
`--codecs random` are real classes with random weights, trees and cheng2020 and ssf2020 among them:
there it only counts whether they decode.
"""

import argparse
import copy
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import foreign
import pandas as pd
import torch
from common import WEIGHTS, add_images, run, seconds, untrained
from compressai.models import (
    Cheng2020Anchor,
    Cheng2020AnchorCheckerboard,
    Cheng2020Attention,
    JointAutoregressiveHierarchicalPriors,
    ScaleHyperprior,
)
from compressai.models.sensetime import Elic2022Official
from torch import Tensor, nn
from tqdm import tqdm

from latentopt import wrap, zoo
from latentopt.adapters import with_step
from latentopt.adapters.base import Scale
from latentopt.bench import datasets
from latentopt.bench.bdrate import MIN_POINTS, bd_rate
from latentopt.bench.codecs import coded_bytes
from latentopt.codec.formats import NATIVE
from latentopt.codec.synthesis import padded
from latentopt.media.images import read_image, to_uint8
from latentopt.media.quality import psnr_db

PLAIN = "plain"
RANDOM: dict[str, tuple[type[Any], tuple[object, ...]]] = {
    "bmshj2018-hyperprior": (ScaleHyperprior, (64, 96)),
    "mbt2018": (JointAutoregressiveHierarchicalPriors, (64, 96)),
    "cheng2020-anchor": (Cheng2020Anchor, (48,)),
    "cheng2020-attn": (Cheng2020Attention, (48,)),
    "cheng2020-anchor-checkerboard": (Cheng2020AnchorCheckerboard, (48,)),
    "elic2022-official": (Elic2022Official, (48, 96, [16, 16, 32, 32])),
}
CROP, FRAMES = 256, 3  # of what random weights code
TOLERANCE = 1e-4


@dataclass
class Point:
    """One set of weights of a codec."""

    codec: str
    name: str
    model: Any

    @property
    def elsewhere(self) -> object:
        """The model as a foreign process knows it."""
        if self.codec in RANDOM and self.name == "random":
            return foreign.Built(*RANDOM[self.codec], state=self.model.state_dict())
        return portable(self.model)


def trained(names: list[str]) -> Iterator[Point]:
    """Rate points of codecs whose weights are worth a BD-rate."""
    for name in names:
        if name == "lab-mean":
            for k in (1, 2, 3, 4):
                model = zoo.load("mbt2018-mean", weights=WEIGHTS / f"lab-mean-{k}.pt")
                yield Point(name, str(k), model)
        elif name == "factorized-q2":
            model = zoo.load("bmshj2018-factorized", weights=WEIGHTS / f"bmshj2018-{name}.pt")
            for step in (0.7, 1.0, 1.4, 2.0):
                yield Point(name, f"step {step}", with_step(model, step))
        else:
            for quality in zoo.qualities(name):
                yield Point(name, f"q{quality}", zoo.load(name, quality))


def untrained_point(name: str) -> Point:
    """Of one of :data:`RANDOM`."""
    kind, values = RANDOM[name]
    return Point(name, "random", untrained(lambda: kind(*values)))


class Streams:
    """What was coded, as jobs of a foreign process, and what each is about."""

    def __init__(self) -> None:
        self.jobs, self.rows = list[dict[str, Any]](), list[dict[str, Any]]()
        self.expected = list[list[Tensor]]()

    def add(self, job: dict[str, Any], expected: list[Tensor], **about: object) -> None:
        self.jobs.append(job)
        self.expected.append(expected)
        self.rows.append(dict(about))

    def decoded(self) -> list[Any]:
        """Of each job frames, or an error in words."""
        with tempfile.TemporaryDirectory() as folder:
            jobs, results = Path(folder, "jobs.pt"), Path(folder, "results.pt")
            torch.save(self.jobs, jobs)
            subprocess.run([sys.executable, foreign.__file__, jobs, results], check=True)
            return list(torch.load(results, weights_only=False))


def portable(model: nn.Module) -> nn.Module:
    """A copy whose every class a foreign process knows: a step's scales are latentopt's, and so is
    what the zoo notes on a model."""
    own = copy.deepcopy(model)
    vars(own).pop("origin", None)
    for whole in list(own.modules()):
        for name, part in whole.named_children():
            if isinstance(part, Scale):
                setattr(whole, name, foreign.Times(part.factor))
    return own


@torch.no_grad()
def code_image(streams: Streams, point: Point, x: Tensor, image: str, presets: list[str]) -> None:
    """Plainly, and with each preset."""
    model, frame = point.elsewhere, padded(x, 64)
    coders = {PLAIN: point.model} | {p: wrap(point.model, preset=p, format=NATIVE) for p in presets}
    for preset, coder in coders.items():
        took, out = seconds(partial(coder.compress, frame))
        about = {"codec": point.codec, "point": point.name, "image": image, "preset": preset}
        job = {"kind": "strings", "model": model, "strings": out["strings"], "shape": out["shape"]}
        x_hat = point.model.decompress(out["strings"], out["shape"])["x_hat"].clamp(0, 1)
        size = coded_bytes(out["strings"], 0)
        streams.add(job, [x_hat], **about, bytes=size, seconds=took, x=x)


@torch.no_grad()
def code_clip(streams: Streams, x: Tensor, image: str, presets: list[str]) -> None:
    """A moving crop, with each preset, by ssf2020."""
    model: Any = foreign.flow()
    frames = [x[..., i : i + CROP, 2 * i : 2 * i + CROP] for i in range(FRAMES)]
    for preset, coder in {p: wrap(model, preset=p, format=NATIVE) for p in presets}.items():
        strings, shapes = coder.compress(frames)
        job = {"kind": "clip", "strings": strings, "shapes": shapes}
        about = {"codec": "ssf2020", "point": "random", "image": image, "preset": preset}
        streams.add(job, model.decompress(strings, shapes), **about, bytes=coded_bytes(strings, 0))


def report(streams: Streams, found: list[Any]) -> int:
    """Print what failed, then the table; the number of failures."""
    failures = 0
    for row, frames, expected in zip(streams.rows, found, streams.expected, strict=True):
        wrong = _fault(frames, expected)
        if wrong:
            failures += 1
            print(f"FAILED {row['codec']} {row['point']} {row['image']} {row['preset']}: {wrong}")
        elif "x" in row:
            x = row.pop("x")
            row["psnr"] = psnr_db(to_uint8(x[0]), to_uint8(_cropped(frames[0], x)[0]))
    print(f"{len(found)} streams decoded without latentopt, {failures} failures")
    print(summary(pd.DataFrame(streams.rows)).to_string(float_format=lambda v: f"{v:.3f}"))
    return failures


def _cropped(decoded: Tensor, x: Tensor) -> Tensor:
    return decoded[..., : x.shape[-2], : x.shape[-1]]


def _fault(frames: Any, expected: list[Tensor]) -> str:
    if isinstance(frames, str):
        return frames
    worst = max(float((a - b).abs().max()) for a, b in zip(frames, expected, strict=True))
    return f"differs by {worst:.1e}" if not worst < TOLERANCE else ""


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each codec and preset: streams, bytes, PSNR, encode ratio, BD-rate."""
    lines = []
    for (codec, preset), part in rows.groupby(["codec", "preset"], sort=False):
        line = {
            "codec": codec,
            "preset": preset,
            "streams": len(part),
            "bytes": part["bytes"].sum(),
        }
        plain = rows[(rows["codec"] == codec) & (rows["preset"] == PLAIN)]
        if len(plain) and "psnr" in part:
            line["psnr"] = part["psnr"].mean()
            ratios = part["seconds"].to_numpy() / plain["seconds"].to_numpy()
            line["encode ratio"] = float(pd.Series(ratios).median())
            line["BD-rate"] = _bd_rate(plain, part)
        lines.append(line)
    return pd.DataFrame(lines)


def _bd_rate(plain: pd.DataFrame, own: pd.DataFrame) -> float:
    a, b = (p.groupby("point", sort=False)[["bytes", "psnr"]].mean() for p in (plain, own))
    if len(a) < MIN_POINTS:
        return float("nan")
    return bd_rate(a["bytes"], a["psnr"], b["bytes"], b["psnr"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    trained_names = "tiny-mbt2018-mean,tiny-bmshj2018-factorized,lab-mean,factorized-q2"
    parser.add_argument(
        "--codecs", default=trained_names, help=f"or random; default {trained_names}"
    )
    parser.add_argument("--presets", default="fast,default", help="default: fast,default")
    add_images(parser, "kodak", 4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    streams, presets = Streams(), args.presets.split(",")
    paths = datasets.resolve(args.data).first(args.limit).paths
    if args.codecs == "random":
        points = [untrained_point(name) for name in RANDOM]
    else:
        points = list(trained(args.codecs.split(",")))
    for path in tqdm(paths, disable=None):
        x = read_image(path)
        for point in points:
            shown = x[..., :CROP, :CROP] if args.codecs == "random" else x
            code_image(streams, point, shown, path.stem, presets)
        if args.codecs == "random":
            code_clip(streams, x, path.stem, presets)
    return min(report(streams, streams.decoded()), 100)


if __name__ == "__main__":
    run(main)
