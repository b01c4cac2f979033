"""What `encode` does with a clip, and says of it."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from latentopt.atomic import write_whole
from latentopt.cli import model, native, targets
from latentopt.cli.images import in_words
from latentopt.cli.progress import Stage, frames
from latentopt.cli.recipe import GOP, codec_of, recipe
from latentopt.codec.clip_ladder import Quality
from latentopt.codec.recipe import Recipe
from latentopt.errors import counted
from latentopt.media.clips import open_clip
from latentopt.media.clips.clip import Clip


@dataclass(frozen=True)
class Written:
    """A clip's file, and what it came to."""

    frames: int
    bytes: int
    psnr_db: float
    seconds: float
    """Of encoding, all encodes together."""
    codec: dict[str, object]
    """How it was coded, in the words of the options."""

    def said(self, clip: Clip) -> str:
        """In words; the rate also as players and networks count it."""
        bpp = clip.format.bits_per_pixel(self.bytes, self.frames)
        kbps = clip.format.kilobits_per_second(self.bytes, self.frames)
        rates = f"{self.bytes} bytes, {bpp:.4f} bpp, {kbps:.1f} kbit/s, {self.psnr_db:.2f} dB"
        said = f"{rates}, {self.seconds:.1f} s, {in_words(self.codec)}"
        return f"{counted(self.frames, 'frame')}, {said}"


def encode(path: Path, output: Path, args: argparse.Namespace, stage: Stage) -> str:
    """Write the file of a clip; what was written, in words."""
    stage("reading the clip")
    with open_clip(path, size=args.size, rate=args.rate) as clip:
        gop = args.gop or (None if native.is_native(args) else GOP)
        write = _aimed if targets.is_aimed(args) else _write
        return write(clip, output, recipe(args).but(gop=gop), args, stage).said(clip)


def _write(
    clip: Clip, output: Path, recipe: Recipe, args: argparse.Namespace, stage: Stage
) -> Written:
    codec = model.clip_codec(args, stage, recipe)
    native.put_label(args, codec)
    stage("encoding")
    quality, started = Quality(), perf_counter()
    with frames(clip.count) as done:
        size, count = codec.save(output, clip, clip.format.rate, lambda _: done(), quality)
    return Written(count, size, quality.psnr_db, perf_counter() - started, codec_of(args))


def _aimed(
    clip: Clip, output: Path, recipe: Recipe, args: argparse.Namespace, stage: Stage
) -> Written:
    """The same to a target; the bar of frames runs on from one encode to the next."""
    count = clip.count or sum(1 for _ in clip)
    target = targets.clip_target(args, float(count / clip.format.rate))
    assert target
    pixels = clip.format.width * clip.format.height * count
    ladder = targets.clip_ladder(args, recipe)
    stage("encoding")
    started = perf_counter()
    with frames(None) as done:
        found = ladder.encode(
            clip, clip.format.rate, pixels, target, args.quality, stage, lambda _: done()
        )
    write_whole(output, found.file.data)
    how = {**codec_of(args), **targets.how(found)}
    del how["step"]  # of clips lambda alone moves
    seconds = perf_counter() - started
    return Written(count, len(found.file.data), found.file.psnr_db, seconds, how)
