"""`latentopt decode`: a file that encode wrote to an image or a clip."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli import archive, arguments, batch, dcvc, model, native
from latentopt.cli.coded import check_pixels, is_video, naming, opened, read_video_header
from latentopt.cli.outputs import check_clip, check_output, check_png
from latentopt.cli.progress import frames, progress
from latentopt.cli.sources import STREAM, Job, Kind, plan
from latentopt.errors import TruncatedError, counted

if TYPE_CHECKING:
    from torch import Tensor

EPILOG = """examples:
  latentopt decode photo.lo -o decoded.png
  latentopt decode coded/ -o decoded/ --jobs 4
  latentopt decode photo.lo -o - | display -
  latentopt decode clip.lov -o decoded.y4m
  latentopt decode photo.lo -o decoded.png --codec mbt2018-mean --weights checkpoint.pth.tar

A clip is written as .y4m, .mp4, .mkv, .yuv or, without a suffix, a folder of PNG.
The file says what it was coded with. Only weights of your own have to be named, unless they were
given a name with `latentopt zoo add`."""


_KIND = Kind("coded file", (".lo",), becomes=".png")
_BATCH_OPTIONS = ("jobs", "engine", "scheduler", "json", "no_clobber", "max_pixels")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    inputs = "file that encode wrote, folder or glob of them, or - for standard input"
    add("inputs", type=archive.place, nargs="+", metavar="IN", help=inputs)
    output = "PNG or clip to write, folder, for several inputs too, or - for standard output"
    add("-o", "--output", type=archive.place, required=True, metavar="OUT", help=output)
    arguments.add_max_pixels(parser)
    batch.add_arguments(parser)
    archive.add_arguments(parser)
    model.add_reader_arguments(parser)
    native.add_reader_argument(parser)


def run(args: argparse.Namespace) -> int:
    model.check(args)
    kind = replace(_KIND, suffixes=(native.SUFFIX,)) if native.is_native(args) else _KIND
    is_archive = archive.is_meant(args)
    [first, *more] = args.inputs
    if not is_archive and not more and os.path.isfile(first) and _is_clip(first, args):
        return _decode_clip(first, args)
    dcvc.check_image(args, f"a list of {len(args.inputs)} files" if more else first)
    if is_archive:
        return archive.run(kind, archive.decoding, args)
    planned = plan(args.inputs, args.output, kind, [args.weights])
    for job in () if planned.is_batch or args.output == STREAM else planned.jobs:
        check_png(job.output, "decode")
    return batch.run(planned.checked(lambda job: _check(job, args)), worker, args)


def worker(args: argparse.Namespace) -> batch.Worker:
    """What decodes images."""
    from latentopt.cli.decoded import Decoder

    return Decoder(args)


def _check(job: Job, args: argparse.Namespace) -> None:
    if not native.holds_native(args, job.data()):
        _, container, settled = opened(job, args)
        check_pixels(job, container, settled)


def _is_clip(path: Path, args: argparse.Namespace) -> bool:
    return is_video(path) or native.is_clip(path, args)


def _decode_clip(path: Path, args: argparse.Namespace) -> int:
    """0, or 1 where the file ends early: what it holds is written, and stderr says so."""
    arguments.refuse(args, _BATCH_OPTIONS, "for image codecs")
    check_output(args.output, [path, *model.weights(args)], folder=True)
    check_clip(args.output)
    if not is_video(path):
        return native.decode_clip(path, args)
    header = read_video_header(path)
    model.settle_by(args, header.origin)
    with progress() as stage:
        from latentopt.media.clips import Format, write_clip

        stage("reading the file")
        with naming(path, model.conflict(args, header.origin)):
            codec = model.clip_codec_for(args, stage, header)
        stage("decoding")
        found = Format(header.width, header.height, header.rate)
        with frames(None) as done, naming(path):
            clip = _Whole(codec.load(path), done)
            written = write_clip(args.output, clip, found)
    print(f"{counted(written, 'frame')} {header.width}x{header.height}: {args.output}")
    if clip.lost:
        print(f"latentopt: {path}: {clip.lost}", file=sys.stderr)
    return 1 if clip.lost else 0


class _Whole:
    """The whole frames of a file that may end early; ``lost`` says that it does."""

    def __init__(self, frames: "Iterator[Tensor]", done: Callable[[], object]):
        self._frames, self._done = frames, done
        self.lost: TruncatedError | None = None

    def __iter__(self) -> "Iterator[Tensor]":
        try:
            for frame in self._frames:
                yield frame
                self._done()
        except TruncatedError as error:
            if not error.frames:
                raise
            self.lost = error
