"""Encode and decode time against CompressAI's own, as ratios within one process.

Run: python scripts/timing.py [--codec mbt2018-mean] [--weights FILE] [--limit 24] [--threads 1 2]
     python scripts/timing.py --codec mbt2018 --weights random --limit 3   # or cheng2020-attn
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
from latentopt.adapters.base import Scale
from latentopt.bench import datasets
from latentopt.media.images import read_image

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


@torch.no_grad()
def random_model(codec: str, x: Tensor) -> nn.Module:
    """A codec of the published size (N = 192) with random weights, autoregressive.

    Scaled so that the latent and its scales spread as a trained codec's do: about 2 bits per
    element of the latent and scales of two decades, so that the coders have their usual work.
    """
    torch.manual_seed(0)
    model = zoo.architecture(codec)(*([192] if "cheng" in codec else [192, 192])).eval()
    gain = 2 / model.g_a(x).std()
    model.g_a = nn.Sequential(model.g_a, Scale(float(gain)))
    last = model.entropy_parameters[-1]
    z = model.h_a(model.g_a(x))
    given = torch.cat([model.h_s(z.round()), model.context_prediction(model.g_a(x).round())], 1)
    output = model.entropy_parameters(given)
    last.weight /= output.std(dim=(0, 2, 3))[:, None, None, None]
    last.bias.zero_()
    scales = 2 ** torch.linspace(-2.5, 2.5, len(last.bias) // 2)
    last.weight[: len(scales)] *= 0.3 * scales[:, None, None, None]
    last.bias[: len(scales)] = scales
    model.update()
    return model


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
    parser.add_argument("--codec", default="mbt2018-mean")
    parser.add_argument("--weights", help='a checkpoint, or "random"')
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--configs", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument("--data", default="kodak")
    parser.add_argument("--limit", type=int, default=24)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    weights = args.weights or WEIGHTS.get(args.codec, "random")
    if weights != "random" and not Path(weights).exists():
        print(f"{weights} is absent: name a checkpoint with --weights", file=sys.stderr)
        return 2
    paths = datasets.resolve(args.data).paths[: args.limit]
    images = [read_image(path).to(args.device) for path in paths]
    if weights == "random":
        model = random_model(args.codec, images[0].cpu())
    else:
        model = zoo.load(args.codec, weights=weights)
    model.to(args.device)
    codecs = {"CompressAI": model}
    codecs |= {name: latentopt.wrap(model, **CONFIGS[name]) for name in args.configs}
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
