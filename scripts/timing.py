"""Encode and decode time against CompressAI's own, as ratios within one process.

Run: python scripts/timing.py [--codec mbt2018-mean] [--weights FILE] [--limit 24] [--threads 1 2]
Every image is coded by the baseline and by each configuration in turn, so that a slow moment of the
machine falls on all alike; the figures are medians of the per-image ratios.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

import latentopt
from latentopt import zoo
from latentopt.bench import datasets
from latentopt.bench.images import read_image

CONFIGS: dict[str, dict] = {
    "int": {"quant": "int", "shift": False, "portable": False},
    "hex": {"quant": "hex", "shift": False, "portable": False},
    "oct": {"quant": "oct", "shift": False, "portable": False},
    "e8": {"quant": "e8", "shift": False, "portable": False},
    "oct portable": {"quant": "oct", "shift": False},
    "oct+secant": {"quant": "oct", "shift": "secant", "portable": False},
    "oct+secant portable": {"quant": "oct", "shift": "secant"},
    "oct+grid": {"quant": "oct", "shift": "grid", "portable": False},
}
WEIGHTS = {
    "mbt2018-mean": "../shared/weights/lab-mean-2.pt",
    "bmshj2018-factorized": "../shared/weights/bmshj2018-factorized-q2.pt",
}


def seconds(function: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


@torch.no_grad()
def measure(codec: nn.Module, x: Tensor) -> tuple[float, float]:
    """Seconds to encode and to decode."""
    encode, out = seconds(lambda: codec.compress(x))
    decode, _ = seconds(lambda: codec.decompress(out["strings"], out["shape"]))
    return encode, decode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codec", default="mbt2018-mean", choices=WEIGHTS)
    parser.add_argument("--weights")
    parser.add_argument("--data", default="kodak")
    parser.add_argument("--limit", type=int, default=24)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    weights = args.weights or WEIGHTS[args.codec]
    if not Path(weights).exists():
        print(f"{weights} is absent: name a checkpoint with --weights", file=sys.stderr)
        return 2
    model = zoo.load(args.codec, weights=weights)
    codecs = {"CompressAI": model}
    codecs |= {name: latentopt.wrap(model, **config) for name, config in CONFIGS.items()}
    images = [read_image(path) for path in datasets.resolve(args.data).paths[: args.limit]]
    for threads in args.threads:
        torch.set_num_threads(threads)
        for codec in codecs.values():
            measure(codec, images[0])  # warm up
        times = np.array(
            [
                [measure(codec, x) for codec in codecs.values()]
                for x in tqdm(images, desc=f"{threads} thread(s)", disable=None)
            ]
        )  # (images, codecs, 2)
        report(args.codec, threads, list(codecs), times)
    return 0


def report(codec: str, threads: int, names: list[str], times: np.ndarray) -> None:
    ratios = np.median(times / times[:, :1], axis=0)
    absolute = np.median(times, axis=0)
    print(f"\n{codec}, {len(times)} images, {threads} thread(s): medians")
    print(f"{'':22}{'encode s':>10}{'ratio':>8}{'decode s':>10}{'ratio':>8}")
    for name, (encode, decode), (e, d) in zip(names, absolute, ratios):
        print(f"{name:22}{encode:10.3f}{e:8.3f}{decode:10.3f}{d:8.3f}")


if __name__ == "__main__":
    sys.exit(main())
