"""Does a decoder drift from its encoder? Codes frames without a second key frame, decodes the file
in a fresh process, and prints the largest difference of the reconstructions.

    python scripts/drift.py ../shared/data/video/foreman_cif --codec tiny-ssf2020 --quality 3
"""

import argparse
import subprocess
import sys
import tempfile
from itertools import chain, cycle, islice
from pathlib import Path

import torch
from torch import Tensor

import latentopt
from latentopt import zoo
from latentopt.codec.video import VideoCodec
from latentopt.media.clips import open_clip


def frames_of(path: Path, count: int) -> list[Tensor]:
    """So many frames of a clip; a shorter one goes back and forth."""
    with open_clip(path) as clip:
        frames = list(islice(clip, count))
    return list(islice(cycle(chain(frames, frames[-2:0:-1])), count))


def codec_of(args: argparse.Namespace) -> VideoCodec:
    model = zoo.load(args.codec, args.quality)
    return latentopt.wrap(model, args.quant, True, parts=("image", "motion", "residual"))


def decode(args: argparse.Namespace) -> None:
    torch.save(list(codec_of(args).load(args.decode)), args.clip)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--codec", default="tiny-ssf2020")
    parser.add_argument("--quality", type=int, default=3)
    parser.add_argument("--quant", default="oct")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--decode", type=Path, help=argparse.SUPPRESS)  # the second process
    args = parser.parse_args()
    if args.decode:
        return decode(args)
    frames = frames_of(args.clip, args.frames)
    height, width = frames[0].shape[-2:]
    codec = codec_of(args)
    ours = [x[..., :height, :width].clamp(0, 1) for _, x in codec.encode(frames)]
    with tempfile.TemporaryDirectory() as folder:
        coded, decoded = Path(folder, "clip.lov"), Path(folder, "frames.pt")
        codec.save(coded, frames)
        options = ["--codec", args.codec, "--quality", str(args.quality), "--quant", args.quant]
        command = [sys.executable, __file__, str(decoded), *options, "--decode", str(coded)]
        subprocess.run(command, check=True)
        theirs = torch.load(decoded)
    differences = [float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True)]
    errors = [10 * torch.log10(1 / (a - b).square().mean()) for a, b in zip(theirs, frames)]
    print(f"{len(frames)} frames, {torch.get_num_threads()} thread(s): largest difference ", end="")
    print(f"{max(differences):g}; PSNR {errors[0]:.2f} dB first, {errors[-1]:.2f} dB last frame")


if __name__ == "__main__":
    main()
