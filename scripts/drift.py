"""Does a decoder drift from its encoder? Codes frames without a second key frame, decodes the file
in a fresh process, and prints the largest difference of the reconstructions.

    python scripts/drift.py foreman.y4m --codec tiny-ssf2020 --quality 3
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import chain, cycle, islice
from pathlib import Path

import torch
from common import run
from torch import Tensor

from latentopt import Recipe, VideoCodec, zoo
from latentopt.codec.wrap import wrap_video
from latentopt.media.clips import open_clip


def frames_of(path: Path, count: int) -> list[Tensor]:
    """So many frames of a clip; a shorter one goes back and forth."""
    with open_clip(path) as clip:
        frames = list(islice(clip, count))
    return list(islice(cycle(chain(frames, frames[-2:0:-1])), count))


def codec_of(args: argparse.Namespace) -> VideoCodec:
    model = zoo.load(args.codec, args.quality)
    return wrap_video(model, Recipe(args.quant, parts=("image", "motion", "residual")))


def decode(args: argparse.Namespace) -> None:
    torch.save(list(codec_of(args).load(args.decode)), args.clip)


def decoded_elsewhere(args: argparse.Namespace, codec: VideoCodec, frames: list[Tensor]) -> Tensor:
    """The frames (n, 3, H, W) that another process decodes from a file of ``codec``."""
    with tempfile.TemporaryDirectory() as folder:
        coded, decoded = Path(folder, "clip.lov"), Path(folder, "frames.pt")
        codec.save(coded, frames)
        options = ["--codec", args.codec, "--quality", str(args.quality), "--quant", args.quant]
        command = [sys.executable, __file__, str(decoded), *options, "--decode", str(coded)]
        threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # sums depend on their number
        subprocess.run(command, check=True, env=os.environ | threads)
        return torch.cat(torch.load(decoded))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=" ".join(__doc__.splitlines()[:2]))
    parser.add_argument("clip", type=Path)
    parser.add_argument("--codec", default="tiny-ssf2020")
    parser.add_argument("--quality", type=int, default=3)
    parser.add_argument("--quant", default="oct")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--decode", type=Path, help=argparse.SUPPRESS)  # the second process
    args = parser.parse_args(argv)
    if args.decode:
        return decode(args)
    frames = frames_of(args.clip, args.frames)
    codec = codec_of(args)
    ours = torch.cat(codec.forward(frames)["x_hat"])
    theirs = decoded_elsewhere(args, codec, frames)
    difference = float((ours - theirs).abs().max())
    errors = (theirs - torch.cat(frames)).square().mean(dim=(1, 2, 3))
    first, last = (-10 * float(error.log10()) for error in errors[[0, -1]])
    print(f"{len(frames)} frames, {torch.get_num_threads()} thread(s): largest difference ", end="")
    print(f"{difference:g}; PSNR {first:.2f} dB first, {last:.2f} dB last frame")


if __name__ == "__main__":
    run(main)
