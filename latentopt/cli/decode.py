"""`latentopt decode`: a file that encode wrote to an image or a clip."""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli import model
from latentopt.cli.coded import is_video, naming, read_container, recipe_for
from latentopt.cli.outputs import check_output, check_png
from latentopt.cli.progress import frames, progress
from latentopt.errors import TruncatedError

if TYPE_CHECKING:
    from torch import Tensor

EPILOG = """examples:
  latentopt decode photo.lo -o decoded.png --codec tiny-mbt2018-mean --quality 3
  latentopt decode clip.lov -o decoded.y4m --codec tiny-ssf2020 --quality 3

A clip is written as .y4m, .mp4, .mkv, .yuv or, without a suffix, a folder of PNG.
The file records lattice, direction, tables, scales and portability; the model is yours to name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=Path, metavar="F", help="file that encode wrote")
    add("-o", "--output", type=Path, required=True, metavar="OUT", help="PNG, or clip, to write")
    model.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    video = is_video(args.file)
    check_output(args.output, [args.file, args.weights], folder=video)
    return (_decode_clip if video else _decode_image)(args)


def _decode_image(args: argparse.Namespace) -> int:
    check_png(args.output, "decode")
    with progress() as stage:
        from latentopt.media.images import write_png

        stage("reading the file")
        data, container = read_container(args.file)
        recipe = recipe_for(args.file, container)
        with naming(args.file):
            codec = model.image_codec(args, stage, recipe, container.identity)
            stage("decoding")
            x_hat = codec.load_bytes(data)  # (1, 3, H, W)
        write_png(args.output, x_hat)
    print(f"{container.width}x{container.height}: {args.output}")
    return 0


def _decode_clip(args: argparse.Namespace) -> int:
    """0, or 1 where the file ends early: what it holds is written, and stderr says so."""
    with progress() as stage:
        from latentopt.bitstream import read_header
        from latentopt.codec.wrap import wrap_for
        from latentopt.media.clips import Format, write_clip

        stage("reading the file")
        with naming(args.file):
            header = read_header(args.file)
            codec = wrap_for(model.model(args, stage), header)
        stage("decoding")
        found = Format(header.width, header.height, header.rate)
        with frames(None) as done, naming(args.file):
            clip = _Whole(codec.load(args.file), done)
            written = write_clip(args.output, clip, found)
    print(f"{written} frames {header.width}x{header.height}: {args.output}")
    if clip.lost:
        print(f"latentopt: {args.file}: {clip.lost}", file=sys.stderr)
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
