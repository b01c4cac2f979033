"""What `encode` does with a clip, and says of it."""

import argparse
from pathlib import Path
from time import perf_counter

from torch import Tensor

from latentopt.cli import model, native
from latentopt.cli.progress import Stage, frames
from latentopt.cli.recipe import GOP, codec_of, recipe
from latentopt.codec.video import VideoCodec
from latentopt.codec.wrap import wrap_video
from latentopt.media.clips import open_clip
from latentopt.media.clips.clip import Clip
from latentopt.media.images import to_uint8
from latentopt.media.quality import psnr_db


def encode(path: Path, output: Path, args: argparse.Namespace, stage: Stage) -> str:
    """Write the file of a clip; what was written, in words."""
    stage("reading the clip")
    with open_clip(path, size=args.size, rate=args.rate) as clip:
        gop = args.gop or (None if native.is_native(args) else GOP)
        codec = wrap_video(model.model(args, stage), recipe(args).but(gop=gop))
        native.put_label(args, codec)
        stage("encoding")
        said = " ".join(map(str, codec_of(args).values()))
        return f"{_coded(clip, output, codec)}, {said}"


def _coded(clip: Clip, output: Path, codec: VideoCodec) -> str:
    quality: list[float] = []  # dB of each frame

    def watch(x: Tensor, x_hat: Tensor) -> None:
        quality.append(psnr_db(to_uint8(x), to_uint8(x_hat)))

    started = perf_counter()
    with frames(clip.count) as done:
        size, count = codec.save(output, clip, clip.format.rate, lambda _: done(), watch)
    seconds = perf_counter() - started
    bpp = 8 * size / (clip.format.width * clip.format.height * count)
    mean = sum(quality) / count
    return f"{count} frames, {size} bytes, {bpp:.4f} bpp, {mean:.2f} dB, {seconds:.1f} s"
