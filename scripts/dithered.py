"""The dithered channel: round trips in a fresh process, or bytes and PSNR against rounding.

Run: python scripts/dithered.py --trips 1000
     python scripts/dithered.py --codec tiny-mbt2018-mean --quality 2 --data kodak --limit 4

Trips are of random (codec, size, lattice, latents, seed): files are written here with one thread
and read in a second process with two. Decoded latents must be equal to the last bit; pixels may
differ by 1e-5, as synthesis adds up in an order that depends on the number of threads.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from time import process_time

import numpy as np
import torch
from common import run, untrained
from compressai.models import (
    CompressionModel,
    FactorizedPrior,
    JointAutoregressiveHierarchicalPriors,
    MeanScaleHyperprior,
    ScaleHyperprior,
)
from torch import Tensor

import latentopt
from latentopt import zoo
from latentopt.bench.datasets import resolve
from latentopt.codec.image import Codec
from latentopt.latents.dither import LATENTS, Dither
from latentopt.lattices import LATTICES
from latentopt.media.images import read_image

RANDOM: dict[str, Callable[[], CompressionModel]] = {
    "factorized": lambda: FactorizedPrior(8, 12),
    "hyperprior": lambda: ScaleHyperprior(8, 12),
    "mean": lambda: MeanScaleHyperprior(8, 12),
    "autoregressive": lambda: JointAutoregressiveHierarchicalPriors(8, 12),
}
EMBEDDED = ("tiny-bmshj2018-factorized", "tiny-mbt2018-mean", "tiny-mbt2018")
TOLERANCE = 1e-5


@cache
def model(name: str) -> CompressionModel:
    """The same weights in every process."""
    return zoo.load(name, 2) if name in EMBEDDED else untrained(RANDOM[name])


@cache
def kept(name: str, quant: str) -> Codec:
    """A codec that keeps the tables, which all seeds share."""
    return latentopt.wrap(model(name), quant=quant, dither=0)


def codec_of(case: dict[str, object]) -> Codec:
    name, quant = str(case["name"]), str(case["quant"])
    kept(name, quant)
    dither = Dither(int(str(case["seed"])), str(case["latents"]))
    return latentopt.wrap(model(name), quant=quant, shift=False, dither=dither)


def cases(count: int) -> list[dict[str, object]]:
    random = np.random.default_rng(0)
    return [
        {
            "name": str(random.choice([*RANDOM, *EMBEDDED])),
            "quant": str(random.choice(list(LATTICES))),
            "latents": str(random.choice(list(LATENTS))),
            "seed": int(random.integers(1 << 32)),
            "size": tuple(int(n) for n in random.integers([1, 1], [130, 130])),
        }
        for _ in range(count)
    ]


def encode(folder: Path, count: int) -> None:
    photographs = [read_image(path) for path in resolve("sample").paths]
    for i, case in enumerate(cases(count)):
        height, width = case["size"]  # type: ignore[misc]
        codec, x = codec_of(case), photographs[i % len(photographs)][..., :height, :width]
        coded = codec.encode(x)
        strings = [[one.string for one in latents] for latents in coded.values()]
        found = [torch.from_numpy(one.latent.hat) for [one] in coded.values()]
        x_hat = codec.decompress(strings, x.shape[-2:])["x_hat"]
        torch.save({**case, "strings": strings, "hats": found, "x_hat": x_hat}, folder / str(i))


def decode(folder: Path) -> int:
    """Number of files that decode to something else."""
    torch.set_num_threads(2)
    differing = 0
    for path in sorted(folder.iterdir()):
        case = torch.load(path, weights_only=True)
        codec, size = codec_of(case), case["size"]
        found = codec.decode([string for [string] in case["strings"]], size)
        same = all(
            torch.equal(torch.from_numpy(a.latent.hat), b) for a, b in zip(found, case["hats"])
        )
        x_hat = codec.decompress(case["strings"], size)["x_hat"]
        if not same or float((x_hat - case["x_hat"]).abs().max()) > TOLERANCE:
            differing += 1
            print(case["name"], case["quant"], case["latents"], case["seed"], size)
    return differing


def trips(count: int) -> int:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        encode(Path(folder), count)
        fresh = [sys.executable, __file__, "--decode", folder]
        failed = subprocess.run(fresh, check=False).returncode
    print(f"{count} combinations, {failed} not identical")
    return min(failed, 1)


def measure(codec: str, quality: int | None, weights: Path | None, paths: Sequence[Path]) -> None:
    """Bytes, PSNR and seconds (of the second of two runs), dithered and not, as a table."""
    torch.set_num_threads(1)
    trained = zoo.load(codec, quality, weights)
    images = [read_image(path) for path in paths]
    print("| lattice | dither | bpp | PSNR, dB | encode, s | decode, s |")
    print("|" + " --- |" * 6)
    for quant in LATTICES:
        for seed in (None, 0):
            own = latentopt.wrap(trained, quant=quant, shift=False, dither=seed)
            own.decompress(**own.compress(images[0]))
            rows = np.array([_measured(own, x) for x in images])
            bpp, _, *seconds = rows.mean(axis=0)
            psnr = -10 * np.log10(rows[:, 1]).mean()
            cells = [quant, "no" if seed is None else "yes", f"{bpp:.4f}", f"{psnr:.3f}"]
            print("| " + " | ".join([*cells, *(f"{s:.2f}" for s in seconds)]) + " |", flush=True)


def _measured(codec: Codec, x: Tensor) -> tuple[float, float, float, float]:
    start = process_time()
    out = codec.compress(x)
    middle = process_time()
    x_hat = codec.decompress(**out)["x_hat"]
    seconds = middle - start, process_time() - middle
    size = sum(len(string) for [string] in out["strings"])
    return 8 * size / x[0, 0].numel(), float((x_hat - x).square().mean()), *seconds


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trips", type=int)
    parser.add_argument("--decode", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--codec", default="tiny-mbt2018-mean")
    parser.add_argument("--quality", type=int)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--data", default="sample")
    parser.add_argument("--limit", type=int)
    args = parser.parse_args(argv)
    if args.decode:
        return min(decode(args.decode), 100)
    if args.trips:
        return trips(args.trips)
    measure(args.codec, args.quality, args.weights, resolve(args.data).paths[: args.limit])
    return 0


if __name__ == "__main__":
    run(main)
