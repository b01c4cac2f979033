"""How the video codec was trained, and its RD on clips: docs/reference/embedded-codecs.md.

Run: python scripts/video_report.py tiny-ssf2020 CLIP…
A clip is a file, or a folder of frames as images. Bytes are those that CompressAI's own `compress`
writes, PSNR is that of the 8-bit frames that its `decompress` returns, the mean over frames.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from common import TRAINING, head, line, run, training
from compressai.models.video import ScaleSpaceFlow
from torch import Tensor
from torch.nn.functional import pad
from tqdm import tqdm

from latentopt import zoo
from latentopt.bench.codecs import coded_bytes
from latentopt.media.clips import open_clip
from latentopt.media.images import to_uint8
from latentopt.media.quality import psnr_db

STRIDE = 128  # of the side latents


@dataclass(frozen=True)
class Rd:
    """Rate and quality of a clip."""

    bpp: float
    psnr_db: float


def read_clip(path: Path) -> list[Tensor]:
    """All frames of a clip, each (1, 3, H, W) in [0, 1]."""
    with open_clip(path) as clip:
        return list(clip)


def padded(x: Tensor) -> Tensor:
    """A frame of the size that the codec takes, by repeating its right and bottom edge."""
    height, width = x.shape[-2:]
    return pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")


@torch.inference_mode()
def measure(model: ScaleSpaceFlow, frames: list[Tensor], gop: int) -> Rd:
    """Code a clip in groups of ``gop`` frames, the first of each a key frame."""
    size, psnrs = 0, []
    height, width = frames[0].shape[-2:]
    for start in range(0, len(frames), gop):
        group = frames[start : start + gop]
        strings, shapes = model.compress([padded(x) for x in group])
        size += coded_bytes(strings, 0)
        for x, x_hat in zip(group, model.decompress(strings, shapes)):
            psnrs.append(psnr_db(to_uint8(x), to_uint8(x_hat[..., :height, :width])))
    return Rd(8 * size / (len(frames) * height * width), sum(psnrs) / len(psnrs))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("codec", help="an embedded video codec")
    parser.add_argument("clips", nargs="+", type=Path, help="folders of frames")
    parser.add_argument("--gop", type=int, default=8, help="frames from key frame to key frame")
    args = parser.parse_args(argv)
    clips = [read_clip(clip) for clip in args.clips]
    print(head(*TRAINING, *(f"{clip.name}: bpp / dB" for clip in args.clips)))
    for quality in zoo.qualities(args.codec):
        model = zoo.load(args.codec, quality)
        points = [measure(model, frames, args.gop) for frames in tqdm(clips, disable=None)]
        rd = (f"{point.bpp:.4f} / {point.psnr_db:.2f}" for point in points)
        print(line(*training(args.codec, quality), *rd), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(main)
