"""Files that CompressAI's own script decodes: `--format compressai` of encode and decode."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from latentopt.atomic import reading
from latentopt.cli import arguments, model
from latentopt.cli.coded import naming
from latentopt.cli.outputs import check_output, check_png
from latentopt.cli.progress import Stage, frames, progress
from latentopt.cli.sources import Kind
from latentopt.errors import InputError

if TYPE_CHECKING:
    from latentopt.codec.native_files import Label

T = TypeVar("T")

FORMATS = ("latentopt", "compressai")
"""As the library has them; a test compares."""

_RATE = 25  # frames per second, of which such a file says nothing


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the option that :func:`is_native` reads."""
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="compressai: a file that CompressAI's examples/codec.py decodes (default: latentopt)",
    )


def is_native(args: argparse.Namespace) -> bool:
    """Whether the file is for the model's own decoder."""
    return str(args.format) != FORMATS[0]


def put_label(args: argparse.Namespace, codec: object) -> None:
    """Tell a codec that writes or reads such files how CompressAI calls its model.

    Raises:
        InputError: such a file could not say what decodes it.
    """
    if is_native(args):
        setattr(codec, "label", _label(args))  # noqa: B010 (only codecs of this format have one)


def _label(args: argparse.Namespace) -> "Label":
    from latentopt import zoo
    from latentopt.codec.native_files import Label

    _refuse(args, ["dcvc_repo"])
    if args.step != 1:
        raise InputError(f"--step {args.step:g}: CompressAI's files know of no step; leave it out")
    return Label(zoo.family(args.codec), args.quality or 1, args.metric)


def kind(args: argparse.Namespace, own: Kind) -> Kind:
    """What encoding makes of an image, given what it is in latentopt's own format."""
    if not is_native(args):
        return own
    _refuse(args, ["versus_plain"])
    return replace(own, becomes=".bin")


def _refuse(args: argparse.Namespace, options: Sequence[str]) -> None:
    arguments.refuse(args, options, "for latentopt's own format", f"{args.format!r} is another")


def remark(args: argparse.Namespace) -> None:
    """Say what whoever decodes such a file must know; nothing where its header says it all."""
    if not is_native(args):
        return
    from latentopt import zoo

    family, whose = zoo.family(args.codec), args.weights or args.codec
    if args.weights or family != zoo.canonical(args.codec):
        note = f"note: its header can only say {family}; decode it with the weights of {whose}"
        note += "" if args.weights else f": --codec {whose} and the quality above"
        print(note, file=sys.stderr)


def decode(args: argparse.Namespace) -> int:
    """Write what such a file holds as a PNG, or a clip."""
    from latentopt import zoo

    _refuse(args, ["jobs", "json", "no_clobber", "max_pixels"])
    [args.file, *more] = args.inputs
    if more:
        raise InputError(f"--format compressai decodes one file at a time, not {len(args.inputs)}")
    _settle(args)
    video = zoo.is_video(args.codec)
    check_output(args.output, [args.file, args.weights], folder=video)
    if video:
        return _decode_clip(args)
    check_png(args.output, "decode")
    with progress() as stage:
        from latentopt.codec.wrap import wrap_image
        from latentopt.media.images import write_png

        codec = _codec(args, stage, wrap_image)
        stage("decoding")
        with naming(args.file):
            x_hat = codec.load(args.file)  # (1, 3, H, W)
        write_png(args.output, x_hat)
    return _said(f"{x_hat.shape[-1]}x{x_hat.shape[-2]}", args.output)


def _settle(args: argparse.Namespace) -> None:
    """What the options leave open is what the file's header says."""
    from latentopt.bitstream.compressai_file import Head
    from latentopt.codec.native_files import Label

    with reading(args.file) as file, naming(args.file):
        found = Label.of(Head.read(file))
    args.codec, args.step = args.codec or found.codec, args.step or 1.0
    args.metric = args.metric or found.metric
    if args.quality is None and not args.weights:
        args.quality = found.quality


def _decode_clip(args: argparse.Namespace) -> int:
    with progress() as stage:
        from latentopt.codec.wrap import wrap_video
        from latentopt.media.clips import Format, write_clip

        codec = _codec(args, stage, wrap_video)
        stage("decoding")
        with frames(None) as done, naming(args.file):
            images = codec.load(args.file)
            first = next(images)
            found = Format(first.shape[-1], first.shape[-2], Fraction(_RATE))
            shown = _counted(chain([first], images), done)
            written = write_clip(args.output, shown, found)
    return _said(f"{written} frames {found.width}x{found.height}", args.output)


def _counted(images: Iterable[T], done: Callable[[], object]) -> Iterator[T]:
    for image in images:
        yield image
        done()


def _said(what: str, path: Path) -> int:
    print(f"{what}: {path}")
    return 0


def _codec(args: argparse.Namespace, stage: Stage, wrap: Callable[..., T]) -> T:
    from latentopt.codec.formats import NATIVE
    from latentopt.codec.recipe import get_preset

    codec = wrap(model.model(args, stage), get_preset("fast", NATIVE))
    if not args.weights:  # whose quality no header knows
        put_label(args, codec)
    return codec
