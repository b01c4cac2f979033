"""Files that CompressAI's own script decodes: `--format compressai` of encode and decode."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from latentopt.cli import model
from latentopt.cli.arguments import refuse
from latentopt.cli.coded import naming
from latentopt.cli.progress import Stage, frames, progress
from latentopt.cli.sources import Kind, content
from latentopt.errors import InputError, WeightsError, counted

if TYPE_CHECKING:
    from torch import nn

    from latentopt.codec.native_files import Label

T = TypeVar("T")

FORMATS = ("latentopt", "compressai")
"""As the library has them; a test compares."""

SUFFIX = ".bin"
"""Of such files, unless they are named."""

_RATE = 25  # frames per second, of which such a file says nothing


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the option that :func:`is_native` reads."""
    what = "compressai: a file that CompressAI's examples/codec.py decodes (default: latentopt)"
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help=what)


def add_reader_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the same for a file that is there, of which it tells itself."""
    what = "layout of the files; compressai also says what is wrong with one (default: as it looks)"
    parser.add_argument("--format", choices=FORMATS, help=what)


def holds_native(args: argparse.Namespace, data: bytes) -> bool:
    """Whether a file is in CompressAI's layout, as the options or it itself say."""
    return is_foreign(data) if args.format is None else is_native(args)


def is_foreign(data: bytes) -> bool:
    """Whether a file has CompressAI's layout to its last byte, which no other has by chance."""
    from latentopt.bitstream.compressai_file import is_whole

    return is_whole(data)


def is_native(args: argparse.Namespace) -> bool:
    """Whether the file is for the model's own decoder."""
    return args.format not in (None, FORMATS[0])


def put_label(args: argparse.Namespace, codec: object) -> None:
    """Tell a codec that writes or reads such files how CompressAI calls its model.

    Raises:
        InputError: such a file could not say what decodes it.
    """
    if is_native(args):
        _check_model(args)
        setattr(codec, "label", _label(args))  # noqa: B010 (only codecs of this format have one)


def put_origin(args: argparse.Namespace, loaded: "nn.Module") -> None:
    """The same by a model of unnamed weights, of which a ladder will make the codecs."""
    from latentopt.bitstream import Origin

    if is_native(args) and args.weights:
        label = _label(args)
        setattr(loaded, "origin", Origin(label.codec, label.quality, label.metric))  # noqa: B010


def _label(args: argparse.Namespace) -> "Label":
    from latentopt import zoo
    from latentopt.codec.native_files import Label

    return Label(zoo.family(args.codec), args.quality or 1, args.metric)


def check(args: argparse.Namespace) -> None:
    """Refuse what an encoder of the format has no use for.

    Raises:
        InputError: the message names it.
    """
    if is_native(args):
        _refuse(args, "versus_plain")
        _check_model(args)


def _check_model(args: argparse.Namespace) -> None:
    """Refuse a model that the files cannot name."""
    _refuse(args, "dcvc_repo")
    if args.step != 1:
        raise InputError(f"--step {args.step:g}: CompressAI's files know of no step; leave it out")


def _refuse(args: argparse.Namespace, option: str) -> None:
    refuse(args, [option], "for latentopt's own format", f"{args.format!r} is another")


def kind(args: argparse.Namespace, own: Kind) -> Kind:
    """What encoding makes of an image, given what it is in latentopt's own format."""
    return replace(own, becomes=SUFFIX) if is_native(args) else own


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


# -- decoding --------------------------------------------------------------------------------------


def remark_assumed(args: argparse.Namespace, label: "Label") -> None:
    """Say which weights were taken where neither the options nor such a file name any."""
    from tqdm import tqdm

    if args.codec is None and args.weights is None:
        whose = f"CompressAI's published {label.codec} quality {args.quality or label.quality}"
        note = "if other weights wrote the file, name them with --codec or --weights"
        tqdm.write(f"note: decoded with {whose}; {note}", file=sys.stderr)  # above a bar


def label_in(name: Path, data: bytes) -> "Label":
    """What the header of a file says of its model."""
    from latentopt.bitstream.compressai_file import Head
    from latentopt.codec.native_files import Label

    with naming(name):
        return Label.of(Head.read(BytesIO(data)))


def settled(args: argparse.Namespace, label: "Label") -> argparse.Namespace:
    """The options, where what they leave open is what a file's header says."""
    found = argparse.Namespace(**vars(args))
    found.format, found.codec, found.step = FORMATS[1], args.codec or label.codec, args.step or 1.0
    found.metric = args.metric or label.metric
    if args.quality is None and not args.weights:
        found.quality = label.quality
    return found


def is_clip(path: Path, args: argparse.Namespace) -> bool:
    """Whether a file is in this layout and of a video codec; the options may say of which."""
    from latentopt import zoo

    data = content(path)
    if not holds_native(args, data):
        return False
    return zoo.is_video(args.codec or label_in(path, data).codec)


def decode_clip(path: Path, args: argparse.Namespace) -> int:
    """Write the clip that a file holds."""
    asked, label = args, label_in(path, content(path))
    args = settled(asked, label)
    with progress() as stage:
        from latentopt.codec.wrap import wrap_video
        from latentopt.media.clips import Format, write_clip

        made = codec(args, stage, wrap_video)
        stage("decoding")
        with frames(None) as done, naming(path):
            images = made.load(path)
            first = next(images)
            found = Format(first.shape[-1], first.shape[-2], Fraction(_RATE))
            shown = _counted(chain([first], images), done)
            written = write_clip(args.output, shown, found)
    print(f"{counted(written, 'frame')} {found.width}x{found.height}: {args.output}")
    remark_assumed(asked, label)
    return 0


def _counted(images: Iterable[T], done: Callable[[], object]) -> Iterator[T]:
    for image in images:
        yield image
        done()


def codec(args: argparse.Namespace, stage: Stage, wrap: Callable[..., T]) -> T:
    """What reads such files, of the model that settled options name."""
    from latentopt.codec.formats import NATIVE
    from latentopt.codec.recipe import get_preset

    try:
        loaded = model.model(args, stage)
    except WeightsError as error:
        raise WeightsError(
            f"{error}; CompressAI's files name an architecture and no weights: where others wrote "
            f"this one, name them, such as --codec tiny-{args.codec}"
        ) from error
    made = wrap(loaded, get_preset("fast", NATIVE))
    if not args.weights:  # whose quality no header knows
        put_label(args, made)
    return made
