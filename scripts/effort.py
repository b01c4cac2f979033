"""How much each gradient step of the encoder buys: cost against encode time, a table and a plot.

The cost is bits + trade * squared error, the encoder's objective, less that of rounding to integers
and in percent of its bits: rate saved at equal quality, to first order. Images are cut to 768x512.

    python scripts/effort.py --codec tiny-mbt2018-mean --quality 3
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import (
    LAB_MEAN_2,
    add_codec,
    add_images,
    cut,
    head,
    images,
    line,
    load,
    run,
    seconds,
)
from torch import Tensor
from tqdm import tqdm

import latentopt
from latentopt.bench.codecs import coded_bytes
from latentopt.bench.plots import plot_effort
from latentopt.codec.recipe import PRESETS
from latentopt.encoder import Effort

STEPS = (0, 1, 2, 3, 5, 10, 20, 30, 60, 100)


def effort(steps: int) -> Effort:
    """The preset's schedule for so few steps, else that of ``slow`` stretched or cut."""
    known = {e.schedule.steps: e for p in PRESETS.values() if (e := p.effort)}
    if steps in known:
        return known[steps]
    if steps == 0:
        return replace(known[1], schedule=replace(known[1].schedule, steps=0))
    like = known[2] if steps == 3 else known[30]
    return replace(like, refits=0, schedule=replace(like.schedule, steps=steps))


def measured(codec: latentopt.Codec, x: Tensor, trade: float) -> tuple[float, float, float]:
    """Cost and rate in bits, and seconds to encode."""
    took, out = seconds(lambda: codec.compress(x))
    x_hat = codec.decompress(out["strings"], out["shape"])["x_hat"]
    bits = 8 * coded_bytes(out["strings"], 0)
    return bits + trade * float((x_hat - x).square().sum()), bits, took


def summary(
    rows: Mapping[str, Sequence[tuple[float, float, float]]], own: Sequence[float]
) -> list[tuple[str, float, float]]:
    """Of each codec: name, encode time against the model's ``own``, cost against ``int`` in %."""
    points, plain = [], np.array(rows["int"])
    for name, values in rows.items():
        found = np.array(values)
        saved = 100 * float(np.mean((found[:, 0] - plain[:, 0]) / plain[:, 1]))
        points.append((name, float(np.mean(found[:, 2] / own)), saved))
    return points


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_codec(parser, "mbt2018-mean", weights=LAB_MEAN_2)
    add_images(parser, "clic2020", limit=4)
    parser.add_argument("--steps", nargs="+", type=int, default=STEPS, help="gradient steps")
    parser.add_argument("--out", type=Path, default=Path("results/effort"))
    args = parser.parse_args(argv)
    model = load(args)
    codecs = {"int": latentopt.wrap(model, "int", False)}
    for n in args.steps:
        codecs[f"{n}"] = latentopt.wrap(model, "auto", False, scales=True, effort=effort(n))
    trade = codecs["int"].trade
    crops = [cut(x) for x in images(args)]
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in codecs}
    for x in tqdm(crops, unit="image", disable=None):
        for name, codec in codecs.items():
            codec.compress(x[..., :128, :128])  # what is built at first use
            rows[name].append(measured(codec, x, trade))
    own = [seconds(partial(model.compress, x))[0] for x in crops]
    points = summary(rows, own)
    print(head("gradient steps", "cost, % of the rate", "encode time"))
    for name, ratio, saved in points:
        print(line(name, f"{saved:+.2f}", f"{ratio:.2f}"))
    args.out.mkdir(parents=True, exist_ok=True)
    plot_effort(points, args.out / "effort.png", f"{args.codec}, {len(crops)} images")


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(main)
