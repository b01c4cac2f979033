"""Which elements of a latent a lattice's noise grows in, and what they are worth to the image.

By the elements' spread, in quantization steps: their share of the latent's squared error and of the
image's (each squared error times the squared sensitivity of its channel), and by how much a lattice
changes each and the rate, nearest points, in percent of the whole. Then what the elements are like:
kurtosis (of a Gaussian: 3), and how many are beyond half a step, measured and by their spreads.

    python scripts/latent_noise.py lab-mean-1…4 --lattice hex --limit 4
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from common import run
from scipy.special import ndtr
from torch import nn
from tqdm import tqdm

from latentopt.encoder import sensitivity_of
from latentopt.media.images import read_image
from tables.common import data, subjects
from tables.common.latents import View, plain

EDGES = (0.0, 0.35, 0.7, 1.0, 2.0)
"""Least spread of each band."""

_WHAT = ("latent", "image", "bits")


def bands(view: View) -> pd.DataFrame:
    """Of one image, per band: elements, squared error of the latent and of the image, bits."""
    latent = view.latent
    spread = latent.density.spreads[latent.prior.levels]
    error = (view.y - view.y_hat).square().double().cpu().numpy()[0]  # (M, h, w)
    squared = sensitivity_of(view.codec.assembly.adapter).squared
    worth = error * squared[:, None, None]
    values = {"elements": np.ones(error.size), "bits": latent.bits()}
    values |= {"latent": error.ravel(), "image": worth.ravel()}
    away = np.abs(view.y.double().cpu().numpy().ravel() - latent.prior.centres)
    values |= {"second": (away / spread) ** 2, "fourth": (away / spread) ** 4}
    values |= {"beyond": away > 0.5, "expected": 2 * ndtr(-0.5 / spread)}
    return (
        pd.DataFrame(values)
        .groupby(np.digitize(spread, EDGES) - 1)
        .sum()
        .reindex(range(len(EDGES)), fill_value=0.0)
    )


def compared(model: nn.Module, lattice: str, images: data.Dataset) -> pd.DataFrame:
    """Means over the images, in percent of rounding's whole."""
    codecs = [plain(model, name) for name in ("int", lattice)]
    base, own = (sum(bands(View(c, read_image(p))) for p in images.paths) for c in codecs)
    whole = base.sum()
    out = {"elements": 100 * base["elements"] / whole["elements"]}
    for what in _WHAT:
        out |= {
            f"{what} share": 100 * base[what] / whole[what],
            f"{what} change": 100 * (own[what] - base[what]) / whole[what],
        }
    table = pd.DataFrame(out)
    table.loc["all"] = table.sum()
    table["kurtosis"] = base["elements"] * base["fourth"] / base["second"] ** 2
    for what in ("beyond", "expected"):
        table[f"{what} %"] = 100 * base[what] / base["elements"]
    return table.rename(lambda k: k if k == "all" else f"from {EDGES[k]:g}")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("codec", help="as `python -m tables` knows it")
    parser.add_argument("--lattice", default="hex")
    parser.add_argument("--data", default="kodak")
    parser.add_argument("--limit", type=int, default=4, help="images")
    args = parser.parse_args(argv)
    images = data.resolve(args.data).first(args.limit)
    [subject] = [s for s in subjects.resolve(["tiny", "lab"]) if s.label == args.codec]
    for point in tqdm(subject.points, disable=None):
        with torch.no_grad():
            table = compared(point.load(), args.lattice, images)
        print(f"{point.name}, {args.lattice}\n{table.round(2).to_string()}\n", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(main)
