"""Encode and decode time against CompressAI's own, as ratios within one process.

Run: python scripts/timing.py [--codec mbt2018-mean] [--weights FILE] [--limit 24] [--threads 1 2]
     python scripts/timing.py --codec mbt2018 --weights random --limit 3   # or cheng2020-attn
     python scripts/timing.py --codec tiny-mbt2018-mean --quality 3 --configs fast default
Every image is coded by the baseline and by each configuration in turn, so that a slow moment of the
machine falls on all alike; the figures are medians of the per-image ratios.
"""

import argparse
from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
import torch
from common import LAB_MEAN_2, WEIGHTS, add_images, images, run, seconds
from compressai.models import CompressionModel
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

import latentopt
from latentopt import Recipe, zoo
from latentopt.adapters.base import Scale
from latentopt.codec.recipe import get_preset
from latentopt.encoder import Secant
from latentopt.encoder.search import Grid

CONFIGS = {
    "int": Recipe("int", None, portable=False),
    "hex": Recipe("hex", None, portable=False),
    "oct": Recipe("oct", None, portable=False),
    "e8": Recipe("e8", None, portable=False),
    "oct portable": Recipe("oct", None),
    "oct+secant": Recipe("oct", Secant(), portable=False),
    "oct+secant portable": Recipe("oct", Secant()),
    "oct+grid": Recipe("oct", Grid(), portable=False),
}
PRESETS = {name: get_preset(name) for name in ("fast", "default")}
CHECKPOINTS = {
    "mbt2018-mean": LAB_MEAN_2,
    "bmshj2018-factorized": str(WEIGHTS / "bmshj2018-factorized-q2.pt"),
}


class Timed(Protocol):
    """What is timed: a codec of CompressAI's, or a wrapped one."""

    def compress(self, x: Tensor) -> dict[str, object]: ...

    def decompress(self, strings: object, shape: object) -> dict[str, Tensor]: ...


@torch.no_grad()
def random_model(codec: str, x: Tensor) -> CompressionModel:
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


@torch.no_grad()
def measure(codec: Timed, x: Tensor) -> tuple[float, float]:
    """Seconds to encode and to decode."""
    encode, out = seconds(lambda: codec.compress(x))
    decode, _ = seconds(lambda: codec.decompress(out["strings"], out["shape"]))
    return encode, decode


def model_of(args: argparse.Namespace, x: Tensor) -> CompressionModel:
    """The codec that was asked for; one with random weights has work to do on ``x``."""
    if args.quality:
        return zoo.load(args.codec, args.quality)
    weights = args.weights or CHECKPOINTS.get(args.codec, "random")
    if weights == "random":
        return random_model(args.codec, x)
    return zoo.load(args.codec, weights=weights)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codec", default="mbt2018-mean")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quality", type=int, help="of a codec that the zoo has weights of")
    which.add_argument("--weights", help='a checkpoint, or "random"')
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--configs", nargs="+", choices=CONFIGS | PRESETS, default=list(CONFIGS))
    add_images(parser, "kodak", limit=24)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args(argv)
    crops = [x.to(args.device) for x in images(args)]
    model = model_of(args, crops[0].cpu()).to(args.device)
    codecs = {"CompressAI": cast(Timed, model)}
    for name in args.configs:
        recipe = (CONFIGS | PRESETS)[name]
        codecs[name] = cast(Timed, latentopt.wrap(model, recipe=recipe))
    for threads in args.threads:
        torch.set_num_threads(threads)
        for codec in codecs.values():
            measure(codec, crops[0])  # warm up
        times = np.array(
            [
                [measure(codec, x) for codec in codecs.values()]
                for x in tqdm(crops, desc=f"{threads} thread(s)", disable=None)
            ]
        )  # (images, codecs, 2)
        report(args.codec, threads, list(codecs), times)


def report(codec: str, threads: int, names: list[str], times: NDArray[np.float64]) -> None:
    ratios = np.median(times / times[:, :1], axis=0)
    absolute = np.median(times, axis=0)
    print(f"\n{codec}, {len(times)} images, {threads} thread(s): medians")
    print(f"{'':22}{'encode s':>10}{'ratio':>8}{'decode s':>10}{'ratio':>8}")
    for name, (encode, decode), (e, d) in zip(names, absolute, ratios):
        print(f"{name:22}{encode:10.3f}{e:8.3f}{decode:10.3f}{d:8.3f}")


if __name__ == "__main__":
    run(main)
