"""How much each gradient step of the encoder buys: cost against encode time, a table and a plot.

The cost is bits + trade * squared error, the encoder's objective, less that of rounding to integers
and in percent of its bits: rate saved at equal quality, to first order. Images are cut to 768x512.

    python scripts/effort.py --codec mbt2018-mean --weights ../shared/weights/lab-mean-2.pt
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

import latentopt
from latentopt import zoo
from latentopt.bench import datasets
from latentopt.bench.plots import plot_effort
from latentopt.codec.recipe import PRESETS
from latentopt.encoder import Effort
from latentopt.media.images import read_image

STEPS = [0, 1, 2, 3, 5, 10, 20, 30, 60, 100]


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
    start = time.perf_counter()
    out = codec.compress(x)
    seconds = time.perf_counter() - start
    x_hat = codec.decompress(**out)["x_hat"]
    bits = 8 * sum(len(s) for strings in out["strings"] for s in strings)
    return bits + trade * float((x_hat - x).square().sum()), bits, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codec", default="mbt2018-mean")
    parser.add_argument("--weights", default="../shared/weights/lab-mean-2.pt")
    parser.add_argument("--data", default="../shared/data/clic")
    parser.add_argument("--limit", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("results/effort"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = zoo.load(args.codec, weights=args.weights)
    paths = datasets.resolve(args.data).first(args.limit).paths
    images = [read_image(path)[..., :512, :768].contiguous() for path in paths]
    codecs = {"int": latentopt.wrap(model, "int", False)}
    for n in STEPS:
        codecs[f"{n}"] = latentopt.wrap(model, "auto", False, scales=True, effort=effort(n))
    trade = codecs["1"].trade
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in codecs}
    for x in tqdm(images, unit="image"):
        for name, codec in codecs.items():
            codec.compress(x[..., :128, :128])  # what is built at first use
            rows[name].append(measured(codec, x, trade))
    plain = np.array(rows["int"])
    own = [_seconds(model, x) for x in images]
    points = []
    print("| gradient steps | cost, % of the rate | encode time |\n| --- | --- | --- |")
    for name, values in rows.items():
        found = np.array(values)
        saved = 100 * float(np.mean((found[:, 0] - plain[:, 0]) / plain[:, 1]))
        ratio = float(np.mean(found[:, 2] / own))
        print(f"| {name} | {saved:+.2f} | {ratio:.2f} |")
        points.append((name, ratio, saved))
    args.out.mkdir(parents=True, exist_ok=True)
    plot_effort(points, args.out / "effort.png", f"{args.codec}, {len(images)} images")


def _seconds(model: torch.nn.Module, x: Tensor) -> float:
    """To encode with CompressAI's own coder."""
    start = time.perf_counter()
    model.compress(x)  # type: ignore[operator]
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
