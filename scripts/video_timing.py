"""Encode and decode time of a predicted frame against CompressAI's own, as ratios in one process.

Run: python scripts/video_timing.py [--codec tiny-ssf2020] [--quality 1] [--data video] [--limit 8]
     python scripts/video_timing.py --codec ssf2020 --weights random
Every frame is coded by CompressAI (`encode_inter`, `decode_inter`) and by each configuration in
turn, all from one reference, so that a slow moment of the machine falls on all alike; the figures
are medians of the ratios of single frames. Strings are part of both. The paper's are of its Table
6: one core of an Intel i7-8850H, frames of Kodak's size, its lowest rate.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import torch
from common import head, line, run, seconds
from compressai.models.video import ScaleSpaceFlow
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from latentopt import zoo
from latentopt.adapters import Reference
from latentopt.bench import clipsets
from latentopt.bench.codecs import VideoBaseline, padded
from latentopt.bench.configs import parse_recipe
from latentopt.codec.frames import Frames
from latentopt.codec.wrap import wrap_video
from latentopt.media.clips import open_clip

CONFIGS = ("int", "hex", "oct", "shift", "oct+shift", "fast", "default")
PAPER = {"hex": (1.024, 1.020), "oct": (1.033, 1.020), "shift": (5.984, 1.008)}
"""Encode and decode ratios of Table 6 for its ssf; its shift tries eight step sizes."""

Pair = tuple[Tensor, Tensor]
"""A frame and the one before as decoded, (1, 3, H, W), padded."""


@torch.no_grad()
def random_model(data: str) -> ScaleSpaceFlow:
    """The codec in its published size, with random weights, fit to a clip as a trained one is.

    Channels of its latents spread over five octaves, and the scales say so: about 2 bits per
    element, so that the coders have their usual work.
    """
    torch.manual_seed(0)
    model = ScaleSpaceFlow().eval()
    model.motion_decoder[-1].weight *= 0.01  # hardly any motion: the reference is the prediction
    key, x = padded_frames(clipsets.resolve(data).paths[0], 2)
    spread(model.img_encoder, model.img_hyperprior, key)
    reference = model.forward_keyframe(key)[0]
    spread(model.motion_encoder, model.motion_hyperprior, torch.cat([x, reference], dim=1))
    spread(model.res_encoder, model.res_hyperprior, x - reference)
    model.update()
    return model


def spread(encoder: nn.Module, hyperprior: nn.Module, x: Tensor) -> None:
    """Give each channel of a latent a standard deviation, and the hyperprior's scales the same."""
    y, (weight, bias) = encoder(x), last_layer(encoder)
    wanted = 2 ** torch.linspace(-2.5, 2.5, len(bias))
    gain = wanted / y.std(dim=(0, 2, 3))
    bias.sub_(y.mean(dim=(0, 2, 3))).mul_(gain)
    weight.mul_(gain[:, None, None, None])
    for name, centre in (("hyper_decoder_scale", wanted), ("hyper_decoder_mean", 0 * wanted)):
        weight, bias = last_layer(hyperprior.get_submodule(name))
        bias.copy_(centre)
        weight.mul_(wanted[None, :, None, None])


def last_layer(network: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of its last convolution."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    [*_, last] = [module for module in network.modules() if isinstance(module, kinds)]
    assert last.bias is not None
    return last.weight, last.bias


def padded_frames(path: Path, count: int) -> list[Tensor]:
    """The first frames of a clip, each (1, 3, H, W), as the codec takes them."""
    with open_clip(path, count=count) as clip:
        return [padded(x, VideoBaseline.stride) for x in clip]


@torch.no_grad()
def pairs(model: ScaleSpaceFlow, data: str) -> Iterator[Pair]:
    """Second frames of the data set's clips, after first ones that CompressAI coded, then third."""
    for path in clipsets.resolve(data).paths:
        key, *frames = padded_frames(path, 3)
        reference, _ = model.encode_keyframe(key)
        for x in frames:
            yield x, reference
            reference, _ = model.encode_inter(x, reference)


def compressai(model: ScaleSpaceFlow, x: Tensor, reference: Tensor) -> tuple[float, float]:
    """Seconds to encode and to decode."""
    encode, (_, out) = seconds(lambda: model.encode_inter(x, reference))
    decode, _ = seconds(lambda: model.decode_inter(reference, out["strings"], out["shape"]))
    return encode, decode


def ours(codec: Frames, x: Tensor, reference: Tensor) -> tuple[float, float]:
    """The same."""
    size = (x.shape[-2], x.shape[-1])
    encode, strings = seconds(lambda: encoded(codec, x, reference))
    decode, _ = seconds(lambda: codec.decode_frame(strings, size, Reference(reference)))
    return encode, decode


def encoded(codec: Frames, x: Tensor, reference: Tensor) -> dict[str, list[bytes]]:
    frame, _ = codec.encode_frame(x, Reference(reference))
    return {name: [latent.string for latent in latents] for name, latents in frame.items()}


@torch.no_grad()
def measure(model: ScaleSpaceFlow, configs: list[str], frames: list[Pair]) -> NDArray[np.float64]:
    """Seconds (frames, 1 + configs, 2), the first of CompressAI; the first frame warms up."""
    codecs = [wrap_video(model, parse_recipe(name)).frames for name in configs]
    times = [
        [compressai(model, *pair), *(ours(codec, *pair) for codec in codecs)]
        for pair in tqdm([frames[0], *frames], disable=None)
    ]
    return np.array(times[1:])


def table(configs: list[str], times: NDArray[np.float64]) -> str:
    """Medians as Markdown."""
    ratios = np.median(times / times[:, :1], axis=0)
    absolute = np.median(times, axis=0)
    lines = [head("", "encode s", "ratio", "paper", "decode s", "ratio", "paper")]
    for name, took, ratio in zip(["CompressAI", *configs], absolute, ratios):
        papers = [f"{r:.3f}" for r in PAPER[name]] if name in PAPER else ["", ""]
        cells = zip(took, ratio, papers)
        lines.append(line(name, *(c for s, r, p in cells for c in (f"{s:.3f}", f"{r:.3f}", p))))
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codec", default="tiny-ssf2020")
    parser.add_argument("--quality", type=int, default=1)
    parser.add_argument("--weights", help='a checkpoint, or "random": those of ssf2020\'s size')
    parser.add_argument("--configs", nargs="+", default=list(CONFIGS))
    parser.add_argument("--data", default="video", help="as of scripts/bdrate.py")
    parser.add_argument("--limit", type=int, default=8, help="predicted frames, 2 of each clip")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    if args.weights == "random":
        model = random_model(args.data)
    else:
        model = cast(ScaleSpaceFlow, zoo.load(args.codec, args.quality, args.weights))
    frames = list(islice(pairs(model, args.data), args.limit))
    sizes = sorted({f"{x.shape[-1]}x{x.shape[-2]}" for x, _ in frames})
    print(
        f"{args.codec}, {len(frames)} predicted frames of {', '.join(sizes)}, padding included",
        end=", ",
    )
    print(f"{args.threads} thread(s): medians\n")
    print(table(args.configs, measure(model, args.configs, frames)))


if __name__ == "__main__":
    run(main)
