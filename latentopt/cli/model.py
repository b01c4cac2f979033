"""The options that name a model, the same for encoding, decoding and explaining; and that model."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli import dcvc
from latentopt.cli.arguments import positive
from latentopt.cli.progress import Stage, silent
from latentopt.errors import InputError, WeightsError
from latentopt.media import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from torch import nn

    from latentopt.bitstream import Container, Header, Identity, Origin
    from latentopt.codec.image import Codec
    from latentopt.codec.recipe import Recipe
    from latentopt.codec.video import VideoCodec

CODEC, CLIP_CODEC = "tiny-mbt2018-mean", "tiny-ssf2020"
"""What codes images, and clips, where no codec is named: embedded, and quick."""
CLIPS = (".y4m", ".yuv", ".mp4", ".mkv", ".mov", ".avi", ".webm")
"""Suffixes of clips, as the library has them, whose import takes seconds; a test compares."""

CLIP_SUFFIX = ".lov"
"""Of their coded files."""

METRICS = ("mse", "ms-ssim")  # as headers have them; a test compares
_IN_THE_FILE = "what the file says"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that name a model to encode with."""
    _add(
        parser,
        f"{CODEC}, for clips {CLIP_CODEC}",
        "the middle one, of two the higher",
        "1",
        METRICS[0],
    )
    parser.set_defaults(step=1.0, metric=METRICS[0])


def add_reader_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the same for a file that was encoded, which says of itself what is needed."""
    _add(parser, *[_IN_THE_FILE] * 4)


def _add(parser: argparse.ArgumentParser, codec: str, quality: str, step: str, metric: str) -> None:
    add = parser.add_argument
    add("--codec", metavar="NAME", help=f"one that `latentopt zoo list` shows (default: {codec})")
    add(
        "--quality",
        type=int,
        metavar="Q",
        help=f"which of its weights; downloaded where need be (default: {quality})",
    )
    weights = "a checkpoint of your own; of a codec of variable rate (…-vbr) with its --quality"
    add("--weights", type=Path, metavar="FILE", help=weights)
    add(
        "--step",
        type=positive,
        metavar="S",
        help=f"quantization step multiplier: above 1 for fewer bits (default: {step})",
    )
    dcvc.add_arguments(parser)
    metric_help = f"what published weights were trained for (default: {metric})"
    add("--metric", choices=METRICS, help=metric_help)
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where it runs (default: cpu)")


# -- what the options say, settled before PyTorch is imported --------------------------------------


def settle(args: argparse.Namespace, path: Path) -> None:
    """Put what the options leave open into them, for an image or clip that shall be encoded.

    Raises:
        InputError: there is no such codec, or the options contradict each other.
    """
    dcvc.check(args)
    if args.codec is None:
        default = CLIP_CODEC if _is_clip(args, path) else CODEC
        args.codec = _architecture(args) if args.weights else default
        if args.codec is None:
            raise InputError("--weights: name their architecture with --codec")
    elif _is_clip(args, path):
        dcvc.check_clip(args)
    _settle_quality(args)


def _is_clip(args: argparse.Namespace, path: Path) -> bool:
    """Whether an input is to be one clip: so says its name, the output's, or an option of clips.

    Of an image its output alone says so: options of clips are a mistake there.
    """
    from latentopt.cli.recipe import CLIP_OPTIONS  # which is made of options of models

    suffixes = {path.suffix.lower(), args.output.suffix.lower() if args.output else ""}
    asked = any(getattr(args, name, None) for name in (*CLIP_OPTIONS, "target_kbps"))
    is_image = path.suffix.lower() in IMAGE_SUFFIXES
    return (asked and not is_image) or not suffixes.isdisjoint({*CLIPS, CLIP_SUFFIX})


def check(args: argparse.Namespace) -> None:
    """Refuse, before any file is read, what is wrong with the options whatever a file says.

    Raises:
        InputError: there is no such codec, or the options contradict each other.
    """
    dcvc.check(args)
    if args.codec is not None and not dcvc.is_named(args):
        _name(args)


def settle_by(args: argparse.Namespace, origin: "Origin | None") -> None:
    """The same by what a file says, unless the options leave everything to it.

    Raises:
        InputError: likewise.
    """
    check(args)
    if _leaves_all_to_the_file(args):
        return
    if args.codec is None:
        args.codec = _architecture(args)
    if args.codec is None:
        if origin is None or (args.weights and origin.quality is not None):
            raise InputError(
                "name the codec, too, with --codec: neither the coded file nor the weights say it"
            )
        args.codec = origin.codec
    if args.step is None:
        args.step = origin.step if origin else 1.0
    if args.quality is None and not args.weights and origin and origin.codec == _name(args):
        args.quality = origin.quality
    if args.metric is None:
        args.metric = origin.metric if origin else METRICS[0]
    _settle_quality(args)


def _architecture(args: argparse.Namespace) -> str | None:
    """What --weights say of themselves, as those of `latentopt finetune` do."""
    if not args.weights or not os.path.isfile(os.path.expanduser(args.weights)):
        return None
    from latentopt.zoo.folder import recorded

    return recorded(Path(os.path.expanduser(args.weights))).get("architecture")


def conflict(args: argparse.Namespace, origin: "Origin | None") -> str:
    """What to say where settled options do not read a file that says it is of another model."""
    if args.dcvc_repo:
        return dcvc.rate_hint(args)
    if origin is None:
        return ""
    same_step = args.step in (None, origin.step)
    if same_step and (args.codec is None or _is_named(args, origin)):
        return ""
    return f"; the file says {origin}: leave out --codec, --quality, --weights and --step"


def _is_named(args: argparse.Namespace, origin: "Origin") -> bool:
    """Whether settled options name the codec that a file does, or the architecture."""
    from latentopt.zoo import catalog

    name = _name(args) if origin.quality is not None else catalog.family(_name(args))
    return (name, args.quality) == (origin.codec, origin.quality)


def _leaves_all_to_the_file(args: argparse.Namespace) -> bool:
    named = args.codec or args.weights or args.dcvc_repo or args.metric
    return not named and args.quality is None


def _settle_quality(args: argparse.Namespace) -> None:
    from latentopt.zoo import catalog

    if dcvc.is_named(args) or args.weights:
        _check_weights(args)
    elif args.quality is None:
        args.quality = catalog.middle(_name(args))
    else:
        catalog.check_quality(_name(args), args.quality, args.metric or METRICS[0])


def _check_weights(args: argparse.Namespace) -> None:
    """Refuse weights that are not there, and a quality for what has but one."""
    from latentopt.zoo import catalog

    is_variable = not dcvc.is_named(args) and catalog.is_variable(_name(args))
    if args.quality is not None and not is_variable:
        raise InputError(
            f"--quality is not allowed with --weights: a checkpoint of {args.codec} has one quality"
        )
    if args.quality is None and is_variable:
        raise InputError(f"{args.codec} codes at several rates: say which with --quality")
    if args.weights and not os.path.exists(os.path.expanduser(args.weights)):
        raise WeightsError(f"{args.weights}: no such file")


def _name(args: argparse.Namespace) -> str:
    """The codec's, as the zoo spells it; InputError where it has no such codec."""
    from latentopt.zoo import catalog

    return catalog.canonical(args.codec)


# -- the model -------------------------------------------------------------------------------------


def image_codec(args: argparse.Namespace, stage: Stage, recipe: "Recipe") -> "Codec":
    """The model that the settled arguments name, wrapped."""
    return _wrapped(args, model(args, stage), recipe)


def image_codec_for(
    args: argparse.Namespace, stage: Stage, container: "Container", recipe: "Recipe"
) -> "Codec":
    """What reads a file: its own model, or the one that the settled arguments name."""
    return _wrapped(args, model_for(args, stage, container), recipe, container.identity)


def clip_codec(args: argparse.Namespace, stage: Stage, recipe: "Recipe") -> "VideoCodec":
    """The same of clips."""
    dcvc.check_clip(args)
    from latentopt.codec.wrap import wrap_video

    found, adapter = dcvc.of_clip(args, model(args, stage))
    return wrap_video(found, recipe, adapter)


def clip_codec_for(args: argparse.Namespace, stage: Stage, header: "Header") -> "VideoCodec":
    """What reads a clip's file."""
    dcvc.check_clip(args)
    from latentopt.codec.wrap import wrap_for

    found, adapter = dcvc.of_clip(args, model_for(args, stage, header))
    return wrap_for(found, header, adapter)


def weights(args: argparse.Namespace) -> list[Path | None]:
    """Files that the options name, none of which an output may replace."""
    return [args.weights, args.predicted and args.predicted.weights]


def model(args: argparse.Namespace, stage: Stage) -> "nn.Module":
    """The model that the settled arguments name, where they say."""
    from latentopt import zoo
    from latentopt.adapters import with_step

    _check_device(args)
    stage("loading the model")
    found: nn.Module
    if dcvc.is_named(args):
        found = dcvc.load(args)
    else:
        found = zoo.load(args.codec, args.quality, args.weights, args.metric or METRICS[0])
    if args.step != 1:
        found = with_step(found, args.step)
    stage("building tables")
    return found.to(args.device)


def check_named(args: argparse.Namespace) -> None:
    """Load once what options name whatever files say, so that each file need not find it wrong.

    Raises:
        LatentoptError: it cannot be loaded, or is of other rates than ``--q-index``.
    """
    _check_device(args)
    if args.codec is None or (args.quality is None and not args.weights):
        return
    from latentopt.adapters import adapter_class

    named = argparse.Namespace(**vars(args))
    settle_by(named, None)
    found = model(named, silent)
    (dcvc.image_adapter(named) or adapter_class(found))(found, True)


def model_for(args: argparse.Namespace, stage: Stage, header: "Container | Header") -> "nn.Module":
    """The model of a file, or the one that the settled arguments name."""
    if not _leaves_all_to_the_file(args):
        return model(args, stage)
    from latentopt import zoo

    _check_device(args)
    stage("loading the model")
    found = zoo.writer_of(header.origin, header.weights_hash, args.step)
    stage("building tables")
    return found.to(args.device)


def _wrapped(
    args: argparse.Namespace, found: "nn.Module", recipe: "Recipe", reads: "Identity | None" = None
) -> "Codec":
    from latentopt.codec.wrap import wrap_image

    return wrap_image(found, recipe, dcvc.image_adapter(args), reads)


def _check_device(args: argparse.Namespace) -> None:
    import torch

    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: PyTorch sees no GPU here; use cpu")
