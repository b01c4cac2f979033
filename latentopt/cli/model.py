"""The options that name a model, the same for encoding, decoding and explaining; and that model."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli.arguments import positive
from latentopt.cli.progress import Stage
from latentopt.errors import InputError, WeightsError

if TYPE_CHECKING:
    from torch import nn

    from latentopt.bitstream import Container, Header, Identity, Origin
    from latentopt.codec.image import Codec
    from latentopt.codec.recipe import Recipe

CODEC, CLIP_CODEC = "tiny-mbt2018-mean", "tiny-ssf2020"
"""What codes images, and clips, where no codec is named: embedded, and quick."""
CLIPS = (".y4m", ".yuv", ".mp4", ".mkv", ".mov", ".avi", ".webm")
"""Suffixes of clips, as the library has them, whose import takes seconds; a test compares."""

CLIP_SUFFIX = ".lov"
"""Of their coded files."""

METRICS = ("mse", "ms-ssim")  # as headers have them; a test compares
_DCVC = ("DCVC-HEM", "DCVC-DC")  # families with an image codec
_IN_THE_FILE = "what the file says"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that name a model to encode with."""
    _add(parser, f"{CODEC}, for clips {CLIP_CODEC}", "the middle one", "1", METRICS[0])
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
    add(
        "--dcvc-repo",
        type=Path,
        metavar="PATH",
        help="checkout of microsoft/DCVC: see docs/guide/dcvc.md",
    )
    add("--q-index", type=int, metavar="N", help="which rate of a DCVC checkpoint (default: 0)")
    metric_help = f"what published weights were trained for (default: {metric})"
    add("--metric", choices=METRICS, help=metric_help)
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where it runs (default: cpu)")


# -- what the options say, settled before PyTorch is imported --------------------------------------


def settle(args: argparse.Namespace, path: Path) -> None:
    """Put what the options leave open into them, for an image or clip that shall be encoded.

    Raises:
        InputError: there is no such codec, or the options contradict each other.
    """
    _check_dcvc(args)
    if args.codec is None:
        if args.weights:
            raise InputError("--weights: name their architecture with --codec")
        args.codec = CLIP_CODEC if _is_clip(args, path) else CODEC
    _settle_quality(args)


def _is_clip(args: argparse.Namespace, path: Path) -> bool:
    """Whether an input is to be one clip: so says its name, the output's, or an option of clips."""
    suffixes = {path.suffix.lower(), args.output.suffix.lower() if args.output else ""}
    asked = any(getattr(args, name, None) is not None for name in ("gop", "target_kbps"))
    return asked or not suffixes.isdisjoint({*CLIPS, CLIP_SUFFIX})


def check(args: argparse.Namespace) -> None:
    """Refuse, before any file is read, what is wrong with the options whatever a file says.

    Raises:
        InputError: there is no such codec, or the options contradict each other.
    """
    _check_dcvc(args)
    if args.codec is not None and not args.dcvc_repo:
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
        if origin is None or (args.weights and origin.quality is not None):
            raise InputError("name the codec, too, with --codec: the file does not say it")
        args.codec = origin.codec
    if args.step is None:
        args.step = origin.step if origin else 1.0
    if args.quality is None and not args.weights and origin and origin.codec == _name(args):
        args.quality = origin.quality
    if args.metric is None:
        args.metric = origin.metric if origin else METRICS[0]
    _settle_quality(args)


def conflict(args: argparse.Namespace, origin: "Origin | None") -> str:
    """What to say where settled options do not read a file that says it is of another model."""
    if origin is None or args.dcvc_repo:
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

    if args.dcvc_repo or args.weights:
        _check_weights(args)
    elif args.quality is None:
        args.quality = catalog.middle(_name(args))
    else:
        catalog.check_quality(_name(args), args.quality, args.metric or METRICS[0])


def _check_weights(args: argparse.Namespace) -> None:
    """Refuse weights that are not there, and a quality for what has but one."""
    from latentopt.zoo import catalog

    is_variable = not args.dcvc_repo and catalog.is_variable(_name(args))
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


def _check_dcvc(args: argparse.Namespace) -> None:
    """Refuse what does not go with a checkout of DCVC, or goes with nothing else."""
    if not args.dcvc_repo:
        if args.q_index is not None:
            raise InputError("--q-index is for --dcvc-repo: name the checkout, too")
        return
    if (args.codec or "").upper() not in _DCVC:
        raise InputError(f"--dcvc-repo: the codec is {' or '.join(_DCVC)}, not {args.codec}")
    if not args.weights:
        raise InputError("--dcvc-repo: name the checkpoint with --weights")


# -- the model -------------------------------------------------------------------------------------


def image_codec(args: argparse.Namespace, stage: Stage, recipe: "Recipe") -> "Codec":
    """The model that the settled arguments name, wrapped."""
    return _wrapped(args, model(args, stage), recipe)


def image_codec_for(
    args: argparse.Namespace, stage: Stage, container: "Container", recipe: "Recipe"
) -> "Codec":
    """What reads a file: its own model, or the one that the settled arguments name."""
    return _wrapped(args, model_for(args, stage, container), recipe, container.identity)


def model(args: argparse.Namespace, stage: Stage) -> "nn.Module":
    """The model that the settled arguments name, where they say."""
    from latentopt import zoo
    from latentopt.adapters import load_dcvc, with_step

    _check_device(args)
    stage("loading the model")
    found: nn.Module
    if args.dcvc_repo:
        found = load_dcvc(args.dcvc_repo, args.codec.upper(), args.weights)
    else:
        found = zoo.load(args.codec, args.quality, args.weights, args.metric or METRICS[0])
    if args.step != 1:
        found = with_step(found, args.step)
    stage("building tables")
    return found.to(args.device)


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
    from latentopt.adapters import intra
    from latentopt.codec.wrap import wrap_image

    adapter = intra(q_index=args.q_index) if args.dcvc_repo else None
    return wrap_image(found, recipe, adapter, reads)


def _check_device(args: argparse.Namespace) -> None:
    import torch

    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: PyTorch sees no GPU here; use cpu")
