"""The `latentopt` command: encode an image or a clip, decode it, see what it holds, measure gains.

PyTorch and CompressAI take seconds to import, so each command imports what it needs once its
arguments are known to be good.
"""

import argparse
import math
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from latentopt import __version__
from latentopt.atomic import reading
from latentopt.errors import BitstreamError, InputError, LatentoptError, TruncatedError

if TYPE_CHECKING:
    from torch import Tensor

    from latentopt.bitstream import Container, Settings

QUANTS = ("int", "hex", "oct", "d4", "e8", "auto")
SHIFTS = ("secant", "grid", "none")
DIRECTIONS = ("density", "sign", "split")
PMFS = ("exact", "paper")
PRESETS = ("paper", "fast", "default", "slow", "best")

_EPILOG = """examples:
  latentopt encode photo.png -o photo.lo --codec tiny-mbt2018-mean --quality 3
  latentopt info photo.lo
  latentopt decode photo.lo -o decoded.png --codec tiny-mbt2018-mean --quality 3
  latentopt explain photo.lo --codec tiny-mbt2018-mean --quality 3
  latentopt bdrate --codec tiny-mbt2018-mean --data kodak
  latentopt report results/tiny-mbt2018-mean-kodak
  latentopt zoo list"""
_ENCODE_EPILOG = """examples:
  latentopt encode photo.png -o photo.lo --codec tiny-mbt2018-mean --quality 3
  latentopt encode photo.png -o photo.lo --codec tiny-mbt2018-mean --quality 3 --preset best
  latentopt encode clip.y4m -o clip.lov --codec tiny-ssf2020 --quality 3 --gop 8

A preset is a choice of the options --quant, --shift, --direction and --scales, and of how long to
search; options that are given as well prevail."""
_DECODE_EPILOG = """examples:
  latentopt decode photo.lo -o decoded.png --codec tiny-mbt2018-mean --quality 3
  latentopt decode clip.lov -o decoded.y4m --codec tiny-ssf2020 --quality 3

A clip is written as .y4m, .mp4, .mkv, .yuv or, without a suffix, a folder of PNG.
The file records lattice, direction, tables, scales and portability; the model is yours to name."""
_INFO_EPILOG = """example:
  latentopt info photo.lo"""
_EXPLAIN_EPILOG = """example:
  latentopt explain photo.lo --codec tiny-mbt2018-mean --quality 3 --plot bits.png"""
_BDRATE_EPILOG = """example:
  latentopt bdrate --codec tiny-mbt2018-mean --data kodak --configs baseline,oct,oct+shift"""
_REPORT_EPILOG = """examples:
  latentopt report results/tiny-mbt2018-mean-kodak
  latentopt report results/mine -o mine.html --image kodim23.png --weights 'checkpoints/*.pt'

The page needs nothing but a browser. Its slider codes one image again, where data and weights are
to be had; else the page says why it has none."""
_ZOO_EPILOG = """examples:
  latentopt zoo list
  latentopt zoo fetch mbt2018-mean 3
  latentopt zoo add mine checkpoint.pth.tar --codec mbt2018-mean --quality 2
  latentopt zoo remove mine

What is added is kept in $LATENTOPT_HOME, or else in ~/.local/share/latentopt."""

_NOISY = r"(torch|compressai|torchquad|autoray|PIL)\b"
_SLOW = ("slow", "best")  # presets of many steps, worth a bar of their own
_GOP = 8
_CLIP_OPTIONS = ("gop", "parts", "ahead", "size", "rate")
_DCVC = ("DCVC-HEM", "DCVC-DC")  # families with an image codec
_STAGES = 5  # libraries, input, model, tables, coding: the same for both directions


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command: 0, or 2 with one line on stderr, or 130 when interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=_NOISY)
            args = _parser(argv).parse_args(argv)
            run: Callable[[argparse.Namespace], int] = args.run
            return run(args)
    except LatentoptError as error:
        print(f"latentopt: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("latentopt: interrupted", file=sys.stderr)
        return 130


# -- commands ------------------------------------------------------------------------------------


def _encode(args: argparse.Namespace) -> int:
    _check_output(args.output, [args.image, args.weights])
    with _progress() as stage:
        stage("loading libraries")
        from latentopt import zoo

        video = not args.dcvc_repo and zoo.is_video(args.codec)
        encode = _encode_clip if video else _encode_image
        print(f"{encode(args, stage)}: {args.output}")
    return 0


def _encode_image(args: argparse.Namespace, stage: Callable[[str], None]) -> str:
    from latentopt.media.images import read_image

    _refuse(args, _CLIP_OPTIONS, "for video codecs")
    stage("reading the image")
    _check_size(args.image)
    x = read_image(args.image)  # (1, 3, H, W)
    codec = _codec(args, stage, **_choices(args))
    stage("encoding")
    size = codec.save(args.output, x)
    height, width = x.shape[-2:]
    return f"{size} bytes, {8 * size / (width * height):.4f} bpp"


def _encode_clip(args: argparse.Namespace, stage: Callable[[str], None]) -> str:
    from latentopt.encoder import Ahead
    from latentopt.media.clips import open_clip

    stage("reading the clip")
    with open_clip(args.image, size=args.size, rate=args.rate) as clip:
        order = {"gop": args.gop or _GOP, "ahead": Ahead() if args.ahead else None}
        codec = _codec(args, stage, parts=args.parts, **order, **_choices(args))
        stage("encoding")
        with _frames(clip.count) as done:
            size, frames = codec.save(args.output, clip, clip.format.rate, lambda _: done())
    pixels = clip.format.width * clip.format.height * frames
    return f"{frames} frames, {size} bytes, {8 * size / pixels:.4f} bpp"


def _decode(args: argparse.Namespace) -> int:
    _check_output(args.output, [args.file, args.weights], folder=_is_video(args.file))
    return (_decode_clip if _is_video(args.file) else _decode_image)(args)


def _decode_image(args: argparse.Namespace) -> int:
    _check_png(args.output, "decode")
    with _progress() as stage:
        stage("loading libraries")
        from latentopt.media.images import write_png

        stage("reading the file")
        data, container = _read(args.file)
        codec = _codec(args, stage, shift=False, **asdict(container.settings))
        stage("decoding")
        with _naming(args.file):
            x_hat = codec.load_bytes(data)  # (1, 3, H, W)
        write_png(args.output, x_hat)
    print(f"{container.width}x{container.height}: {args.output}")
    return 0


def _decode_clip(args: argparse.Namespace) -> int:
    """0, or 1 where the file ends early: what it holds is written, and stderr says so."""
    with _progress() as stage:
        stage("loading libraries")
        from latentopt.codec.video import read_header
        from latentopt.codec.wrap import wrap_for
        from latentopt.media.clips import Format, write_clip

        stage("reading the file")
        with _naming(args.file):
            header = read_header(args.file)
            codec = wrap_for(_model(args, stage), header)
        stage("decoding")
        found = Format(header.width, header.height, header.rate)
        with _frames(None) as done, _naming(args.file):
            clip = _Whole(codec.load(args.file), done)
            frames = write_clip(args.output, clip, found)
    print(f"{frames} frames {header.width}x{header.height}: {args.output}")
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


def _info(args: argparse.Namespace) -> int:
    for name, value in (_clip_fields if _is_video(args.file) else _image_fields)(args.file).items():
        print(f"{name + ':':16}{value}")
    return 0


def _image_fields(path: Path) -> dict[str, object]:
    data, container = _read(path)
    settings = container.settings
    return {
        "file": f"{path}, {len(data)} bytes",
        "format version": data[3],
        "image size": f"{container.width}x{container.height}",
        **_setting_fields(settings),
        "weights hash": container.weights_hash.hex(),
        "table hash": container.table_hash.hex(),
        "payload": f"{sum(map(len, container.strings))} bytes",
        "rate": f"{8 * len(data) / (container.width * container.height):.4f} bpp",
    }


def _clip_fields(path: Path) -> dict[str, object]:
    from latentopt.codec.video import count_frames, read_header

    with _naming(path):
        header = read_header(path)
        keys, predicted, whole = count_frames(path)
    size = path.stat().st_size
    pixels = header.width * header.height * max(keys + predicted, 1)
    parts = {
        f"part {i} {name}": value
        for i, settings in enumerate(header.settings)
        for name, value in _setting_fields(settings).items()
    }
    return {
        "file": f"{path}, {size} bytes",
        "frame size": f"{header.width}x{header.height}",
        "frame rate": f"{float(header.rate):g} per second",
        "frames": f"{keys} key, {predicted} predicted{'' if whole else '; the file ends early'}",
        **parts,
        "weights hash": header.weights_hash.hex(),
        "table hash": header.table_hash.hex(),
        "rate": f"{8 * size / pixels:.4f} bpp",
    }


def _setting_fields(settings: "Settings") -> dict[str, object]:
    return {
        "lattice": settings.quant,
        "pmf": settings.pmf,
        "direction": settings.direction,
        "portable": "yes" if settings.portable else "no",
        "scales": "corrected" if settings.scales else "the model's",
    }


def _explain(args: argparse.Namespace) -> int:
    if _is_video(args.file):
        raise InputError(f"{args.file}: is a video, and explain is for images; use info")
    if args.plot:
        _check_output(args.plot, [args.file, args.weights])
        _check_png(args.plot, "explain")
    with _progress() as stage:
        stage("loading libraries")
        from latentopt.bench.plots import plot_bits

        stage("reading the file")
        _, container = _read(args.file)
        codec = _codec(args, stage, shift=False, **asdict(container.settings))
        stage("decoding")
        with _naming(args.file):
            explanation = codec.explain(args.file)
        if args.plot:
            plot_bits(explanation, codec.load(args.file), args.plot)
    print(f"{args.file}: {explanation}")
    return 0


def _bdrate(args: argparse.Namespace) -> int:
    from latentopt.bench.command import run

    return run(args)


def _report(args: argparse.Namespace) -> int:
    output = args.output or args.folder / "report.html"
    if args.folder.is_dir():  # else it is the folder that is wrong, not the output
        _check_output(output, [args.folder / "measurements.csv", *args.weights])
    with _progress() as stage:
        stage("loading libraries")
        from latentopt.report import report

        stage("writing the page")
        reason = report(args.folder, output, args.image, args.weights)
    if reason:
        print(f"latentopt: no slider: {reason}", file=sys.stderr)
    print(output)
    return 0


def _zoo(args: argparse.Namespace) -> int:
    from latentopt.zoo.command import run

    return run(args)


# -- what the commands share ---------------------------------------------------------------------


def _choices(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `wrap` for an encoder; None where its preset, or else `wrap`, decides."""
    names = ("preset", "quant", "direction", "scales", "pmf", "portable")
    given = {name: getattr(args, name) for name in names}
    return {**given, "shift": False if args.shift == "none" else args.shift}


def _codec(args: argparse.Namespace, stage: Callable[[str], None], **choices: Any) -> Any:
    """The model that the arguments name, wrapped with these ``choices``."""
    from latentopt import wrap
    from latentopt.adapters import intra

    adapter = intra(q_index=args.q_index) if args.dcvc_repo else None
    return wrap(_model(args, stage), adapter=adapter, **choices)


def _model(args: argparse.Namespace, stage: Callable[[str], None]) -> Any:
    """The model that the arguments name, where they say."""
    import torch

    from latentopt import zoo
    from latentopt.adapters import load_dcvc, with_step

    _check_dcvc(args)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: PyTorch sees no GPU here; use cpu")
    stage("loading the model")
    if args.dcvc_repo:
        model = load_dcvc(args.dcvc_repo, args.codec.upper(), args.weights)
    else:
        model = zoo.load(args.codec, args.quality, args.weights)
    if args.step != 1:
        model = with_step(model, args.step)
    stage("building tables")
    return model.to(args.device)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A bar on a terminal's stderr; the yielded function starts the stage that it is given."""
    from tqdm import tqdm

    layout = "{desc:18} |{bar:20}| {n_fmt}/{total_fmt} {elapsed}"
    with tqdm(total=_STAGES, disable=None, leave=False, bar_format=layout) as bar:
        started = 0

        def stage(name: str) -> None:
            nonlocal started
            bar.update(min(started, 1))  # the one before has ended
            started += 1
            bar.set_description_str(name)

        yield stage


@contextmanager
def _frames(count: int | None) -> Iterator[Callable[[], object]]:
    """A bar of frames on a terminal's stderr; the yielded function counts one."""
    from tqdm import tqdm

    with tqdm(total=count, unit="frame", position=1, disable=None, leave=False) as bar:
        yield bar.update


def _is_video(path: Path) -> bool:
    """Whether a coded file is one of frames; what cannot be read is for others to complain of."""
    try:
        with open(path, "rb") as file:
            return file.read(3) == b"\xacLV"
    except OSError:
        return False


def _read(path: Path) -> tuple[bytes, "Container"]:
    """A coded file's bytes and its header; the strings stay in one piece."""
    with reading(path) as file:
        data = file.read()
    from latentopt.bitstream import Container

    with _naming(path):
        return data, Container.from_bytes(data)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name in front of what is wrong with its content."""
    try:
        yield
    except BitstreamError as error:
        raise BitstreamError(f"{path}: {error}") from error


# -- checks, made before the expensive work ------------------------------------------------------


def _check_output(path: Path, inputs: Sequence[Path | None], folder: bool = False) -> None:
    """Refuse an output that could not be written, or whose writing would destroy something.

    ``folder``: it may be one.
    """
    # os.path rather than Path, whose questions raise on names that are too long
    for source in inputs:
        both = source and os.path.exists(path) and os.path.exists(source)
        if both and os.path.samefile(path, str(source)):
            raise InputError(f"{path}: is an input too; give the output another name")
    if os.path.isdir(path) and not folder:
        raise InputError(f"cannot write {path}: it is a folder; name a file in it")
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise InputError(f"cannot write {path}: it is not a regular file")
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise InputError(f"cannot write {path}: it is write-protected")
    if not os.path.isdir(path.parent):
        raise InputError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass  # as the file itself will be written, under a temporary name
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def _check_png(path: Path, command: str) -> None:
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: {command} writes PNG; give the output a name in .png")


def _check_dcvc(args: argparse.Namespace) -> None:
    """Refuse what does not go with a checkout of DCVC, or goes with nothing else."""
    if not args.dcvc_repo:
        return _refuse(args, ["q_index"], "for --dcvc-repo")
    if args.codec.upper() not in _DCVC:
        raise InputError(f"--dcvc-repo: the codec is {' or '.join(_DCVC)}, not {args.codec}")
    if not args.weights:
        raise InputError("--dcvc-repo: name the checkpoint with --weights")


def _refuse(args: argparse.Namespace, options: Sequence[str], why: str) -> None:
    """Refuse options that were given and mean nothing here."""
    unset = (None, False)
    given = [name for name in options if all(getattr(args, name) is not value for value in unset)]
    if given:
        raise InputError(f"--{given[0].replace('_', '-')} is {why}, and {args.codec} is not one")


def _check_size(path: Path) -> None:
    """Refuse an image that the format cannot hold, or that the decoder would refuse."""
    from latentopt.bitstream.image_file import MAX_SIDE
    from latentopt.codec.image import MAX_PIXELS
    from latentopt.media.images import image_size

    width, height = image_size(path)
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InputError(
            f"{path}: {width}x{height} is more than {MAX_SIDE} a side or {MAX_PIXELS} pixels; "
            "cut it into tiles"
        )


# -- arguments -----------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Reports a bad argument like any other error: by raising, in one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="latentopt",
        description="Code images and video with trained neural codecs, made better, not retrained.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"latentopt {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_encode(_command(commands, "encode", _encode, "code an image or a clip", _ENCODE_EPILOG))
    _add_decode(_command(commands, "decode", _decode, "decode to a PNG or a clip", _DECODE_EPILOG))
    _add_info(_command(commands, "info", _info, "show the header of a file", _INFO_EPILOG))
    explain = _command(
        commands, "explain", _explain, "show where the bits of a file went", _EXPLAIN_EPILOG
    )
    _add_explain(explain)
    bdrate = _command(
        commands, "bdrate", _bdrate, "measure rate savings on a data set", _BDRATE_EPILOG
    )
    report = _command(
        commands, "report", _report, "make one HTML page of what bdrate measured", _REPORT_EPILOG
    )
    _add_report(report)
    zoo = _command(commands, "zoo", _zoo, "list, fetch and add codecs", _ZOO_EPILOG)
    if "bdrate" in argv[:1]:  # its options list what the zoo has: an expensive import
        from latentopt.bench.command import add_arguments

        add_arguments(bdrate)
    if "zoo" in argv[:1]:  # so do the options of its commands
        from latentopt.zoo.command import add_arguments as add_zoo_commands

        add_zoo_commands(zoo)
    return parser


def _command(
    commands: "argparse._SubParsersAction[_Parser]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    purpose: str,
    epilog: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def _add_encode(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("image", type=Path, metavar="IN", help="8-bit image: PNG, JPEG, WebP, …; or a clip")
    add("-o", "--output", type=Path, required=True, metavar="F", help="file to write")
    _add_model(parser)
    add("--preset", choices=PRESETS, help="what to spend for fewer bytes (default: none)")
    add("--quant", choices=QUANTS, help="lattice (default: oct)")
    add("--shift", choices=SHIFTS, help="latent shift search (default: secant)")
    add("--direction", choices=DIRECTIONS, help="where to (default: density)")
    add(
        "--scales",
        action=argparse.BooleanOptionalAction,
        help="correct the scales of each channel (default: no)",
    )
    add("--pmf", choices=PMFS, default="exact", help="probability tables (default: exact)")
    add(
        "--no-portable",
        dest="portable",
        action="store_false",
        help="faster, but the file decodes only on a machine like this one",
    )
    clip = parser.add_argument_group("video codecs")
    add = clip.add_argument
    add("--gop", type=_count, metavar="N", help=f"frames per key frame (default: {_GOP})")
    add(
        "--parts",
        type=_names,
        metavar="P,P",
        help="of image, motion, residual: what to search",
    )
    add("--ahead", action="store_true", help="choose shifts with the next frame's cost in view")
    add("--size", type=_size, metavar="WxH", help="of raw .yuv, unless its name says")
    add("--rate", type=Fraction, metavar="FPS", help="frames per second, unless the file says")


def _add_decode(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=Path, metavar="F", help="file that encode wrote")
    add("-o", "--output", type=Path, required=True, metavar="OUT", help="PNG, or clip, to write")
    _add_model(parser)


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="F", help="file that encode wrote")


def _add_explain(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=Path, metavar="F", help="file that encode wrote")
    add("--plot", type=Path, metavar="P.png", help="PNG to write: where in the image the bits went")
    _add_model(parser)


def _add_report(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="folder that bdrate wrote")
    add("-o", "--output", type=Path, metavar="P.html", help="page (default: DIR/report.html)")
    add("--image", metavar="NAME", help="which image the slider shows (default: the first)")
    add(
        "--weights",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="checkpoints that were measured, folders of them, or globs",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    """The options that name a model: the same ones for encoding, decoding and explaining."""
    add = parser.add_argument
    add("--codec", required=True, metavar="NAME", help="a name that `latentopt zoo list` shows")
    weights = parser.add_mutually_exclusive_group(required=True)
    weights.add_argument(
        "--quality", type=int, metavar="Q", help="which of its weights; downloaded where need be"
    )
    weights.add_argument("--weights", type=Path, metavar="FILE", help="a checkpoint of your own")
    add(
        "--step",
        type=_positive,
        default=1.0,
        metavar="S",
        help="quantization step multiplier: above 1 for fewer bits; "
        "decode with the one of encode (default: 1)",
    )
    add(
        "--dcvc-repo",
        type=Path,
        metavar="PATH",
        help="checkout of microsoft/DCVC: see docs/dcvc.md",
    )
    add("--q-index", type=int, metavar="N", help="which rate of a DCVC checkpoint (default: 0)")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where it runs (default: cpu)")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 352x288")
    return int(found[1]), int(found[2])


def _positive(text: str) -> float:
    """A positive finite number, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value
