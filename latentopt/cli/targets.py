"""Rate where the user wants it: the options that name a target, and the ladders to it."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from latentopt.cli import dcvc, model, native
from latentopt.cli.arguments import byte_count, positive
from latentopt.cli.progress import silent
from latentopt.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from latentopt.codec.climb import Models, Outcome
    from latentopt.codec.clip_ladder import ClipLadder, CodedClip
    from latentopt.codec.ladder import Ladder
    from latentopt.codec.recipe import Recipe
    from latentopt.codec.rung import CodedFile
    from latentopt.codec.target import Target

MATCHES = ("psnr", "bytes")  # as the library has them, whose import takes seconds; a test compares
_TARGETS = ("max_bytes", "target_bpp", "target_kbps", "target_psnr", "match")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that the functions below read."""
    group = parser.add_argument_group(
        "rate",
        "At most one of the first five. Without --quality the best suited is taken; with it, only "
        "step and lambda move, of clips only lambda.",
    )
    one = group.add_mutually_exclusive_group()
    bytes_help = "a file of at most N bytes, such as 50k, and at most 1 %% fewer"
    one.add_argument("--max-bytes", type=byte_count, metavar="N", help=bytes_help)
    bpp_help = "the same in bits per pixel"
    one.add_argument("--target-bpp", type=positive, metavar="BPP", help=bpp_help)
    kbps_help = "of a clip: at most so many thousand bits per second, and at most 1 %% fewer"
    one.add_argument("--target-kbps", type=positive, metavar="K", help=kbps_help)
    psnr_help = "an image of at least this PSNR, at most 0.05 dB better; of clips the frames' mean"
    one.add_argument("--target-psnr", type=positive, metavar="DB", help=psnr_help)
    match_help = "what plain rounding gives: psnr in fewer bytes, or bytes with a better picture"
    one.add_argument("--match", choices=MATCHES, help=match_help)
    keep_help = "meet the target by lambda alone, for decoders that know no step but the codec's"
    group.add_argument("--keep-step", action="store_true", help=keep_help)
    lmbda_help = "what the search minimizes with: larger for quality (default: the codec's own)"
    group.add_argument("--lmbda", type=positive, metavar="L", help=lmbda_help)


def settle(args: argparse.Namespace) -> None:
    """Note whether a quality was left open, before one is put in its place.

    Raises:
        InputError: the options contradict each other.
    """
    args.any_quality = args.quality is None and args.weights is None and not args.dcvc_repo
    aimed = is_aimed(args)
    if aimed:
        dcvc.check_target(args)
    if args.keep_step and not aimed:
        raise InputError("--keep-step is for a target: --max-bytes, --target-bpp, … or --match")
    if aimed and args.step != 1:
        raise InputError(f"--step {args.step:g}: a target chooses the step: leave it out")


def check_kind(args: argparse.Namespace, is_clip: bool) -> None:
    """Raises InputError for what is of images, or of clips, and was given with the other."""
    if args.keep_step and is_clip:
        raise InputError("--keep-step is for images: of clips a target moves no step anyway")
    if args.target_kbps is not None and not is_clip:
        raise InputError("--target-kbps is for clips: give --max-bytes or --target-bpp")


def target(args: argparse.Namespace) -> "Target | None":
    """What was asked for; None: nothing."""
    from latentopt.codec import target as targets

    if args.max_bytes is not None:
        return targets.MaxBytes(args.max_bytes)
    if args.target_bpp is not None:
        return targets.Bpp(args.target_bpp)
    if args.target_psnr is not None:
        return targets.Psnr(args.target_psnr)
    return None if args.match is None else targets.MATCHES[args.match]


def clip_target(args: argparse.Namespace, seconds: float) -> "Target | None":
    """The same of a clip that long."""
    from latentopt.codec.target import MaxBytes

    if args.target_kbps is not None:
        return MaxBytes(args.target_kbps * seconds * 1000 / 8)
    return target(args)


def is_aimed(args: argparse.Namespace) -> bool:
    """Whether there is a target."""
    return any(getattr(args, name) is not None for name in _TARGETS)


def ladder(args: argparse.Namespace, recipe: "Recipe") -> "Ladder":
    """The codec that the arguments name, at the qualities that they leave open.

    What it loads it keeps: one serves for many images.
    """
    from latentopt.codec.dial import lambda_dial
    from latentopt.codec.ladder import Ladder

    adapter = dcvc.image_adapter(args)
    return Ladder(models(args), recipe, adapter, lambda_dial if args.keep_step else None)


def clip_ladder(args: argparse.Namespace, recipe: "Recipe") -> "ClipLadder":
    """The same of a video codec."""
    from latentopt.codec.clip_ladder import ClipLadder

    if not args.predicted:
        return ClipLadder(models(args), recipe)
    found, adapter = dcvc.of_clip(args, model.model(args, silent))
    return ClipLadder({args.quality: lambda: found}, recipe, adapter)


def models(args: argparse.Namespace) -> "Models":
    """What loads the model of each quality that the arguments leave open.

    Raises:
        InputError: there are none.
    """
    from latentopt import zoo

    if not args.any_quality:
        return {args.quality: _loader(args, args.quality)}
    qualities = zoo.qualities(args.codec, args.metric)
    if not qualities:
        raise InputError(f"there are no weights of {args.codec} here: give --weights FILE")
    return {quality: _loader(args, quality) for quality in qualities}


def _loader(args: argparse.Namespace, quality: int | None) -> "Callable[[], nn.Module]":
    """What loads the model of one quality, without stages: there may be several models."""
    named = argparse.Namespace(**{**vars(args), "quality": quality})

    def load() -> "nn.Module":
        loaded = model.model(named, silent)
        native.put_origin(named, loaded)
        return loaded

    return load


def how(outcome: "Outcome[CodedFile] | Outcome[CodedClip]") -> dict[str, object]:
    """What was done, in the words of the options."""
    quality = {} if outcome.quality is None else {"quality": outcome.quality}
    moved = {"step": outcome.step, "lambda": float(f"{outcome.lmbda:.4g}")}
    return {**quality, **moved, "encodes": outcome.encodes}
