"""Codecs from a checkout of DCVC, of images and of predicted frames: the options that name them."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.errors import InputError, WeightsError
from latentopt.zoo import catalog

if TYPE_CHECKING:
    from torch import nn

    from latentopt.adapters import Adapter
    from latentopt.codec.wrap import MakeVideoAdapter

_EVC = tuple(f"EVC-{size}" for size in ("LL", "LM", "LS", "ML", "MM", "SL", "SS"))
_OF_IMAGES = (
    *("DCVC-TCM", "DCVC-HEM", "DCVC-DC", "DCVC-FM", "DCVC-RT"),
    *(*_EVC, "SCALE-EVC-SL", "SCALE-EVC-SS"),
)
_OF_PREDICTED = {  # with what the library calls them, and where their adapters are
    "DCVC": ("DCVC", "dcvc_net"),
    "DCVC-TCM": ("DCVC-TCM-P", "dcvc_tcm"),
    "DCVC-HEM": ("DCVC-HEM-P", "dcvc_hem"),
    "DCVC-DC": ("DCVC-DC-P", "dcvc_dc"),
    "DCVC-FM": ("DCVC-FM-P", "dcvc_fm"),
    "DCVC-RT": ("DCVC-RT-P", "dcvc_rt"),
}
_ONE_RATE = ("DCVC", "DCVC-TCM")  # whose checkpoints have no other


@dataclass(frozen=True)
class Predicted:
    """What ``--predicted`` says: the codec of predicted frames."""

    family: str
    weights: Path

    def __str__(self) -> str:
        return f"{self.family.lower()}:{self.weights.name}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that the functions below read."""
    add = parser.add_argument
    repo = "checkout of microsoft/DCVC: see docs/guide/dcvc.md"
    add("--dcvc-repo", type=Path, metavar="PATH", help=repo)
    index = "which rate of a DCVC checkpoint (default: 0)"
    add("--q-index", type=int, metavar="N", help=index)
    predicted = "of a clip: DCVC's codec of predicted frames, where --codec is that of key frames"
    add("--predicted", type=_predicted, metavar="FAMILY:FILE", help=predicted)


def _predicted(text: str) -> Predicted:
    family, _, path = text.partition(":")
    if family.upper() not in _OF_PREDICTED or not path:
        known = " or ".join(f"{name.lower()}:FILE" for name in _OF_PREDICTED)
        raise argparse.ArgumentTypeError(f"{text!r} is not {known}")
    return Predicted(family.upper(), Path(path))


def is_named(args: argparse.Namespace) -> bool:
    """Whether ``--codec`` is an image codec of the checkout, and none of the zoo."""
    return bool(args.dcvc_repo) and (args.codec or "").upper() in _OF_IMAGES


def check(args: argparse.Namespace) -> None:
    """Refuse what does not go with a checkout of DCVC, or goes with nothing else.

    Raises:
        InputError: the options contradict each other, or one is missing.
        WeightsError: there is no such file of weights.
    """
    if not args.dcvc_repo:
        for option, value in {"--q-index": args.q_index, "--predicted": args.predicted}.items():
            if value is not None:
                raise InputError(f"{option} is for --dcvc-repo: name the checkout, too")
        if (args.codec or "").upper() in _OF_IMAGES:
            raise InputError(f"--codec {args.codec}: name its checkout, too, with --dcvc-repo")
        return
    if is_named(args) and not args.weights:
        raise InputError("--dcvc-repo: name the checkpoint with --weights")
    if args.q_index is not None and is_named(args) and not (args.predicted or _has_rates(args)):
        raise InputError(f"--q-index: checkpoints of {args.codec} have one rate")
    if args.predicted:
        _check_predicted(args, args.predicted)
    elif not is_named(args):
        raise InputError(f"--dcvc-repo: no codec {args.codec}: choose {', '.join(_OF_IMAGES)}")


def _check_predicted(args: argparse.Namespace, predicted: Predicted) -> None:
    if args.codec is None:
        raise InputError("--predicted: name the codec of key frames, too, with --codec")
    if not is_named(args) and catalog.is_video(catalog.canonical(args.codec)):
        raise InputError(f"--predicted: key frames are images, and {args.codec} codes clips")
    if args.q_index is not None and not _has_rates(args):
        raise InputError("--q-index: neither codec is of a checkpoint of several rates")
    if not predicted.weights.expanduser().exists():
        raise WeightsError(f"--predicted: {predicted.weights}: no such file")


def check_image(args: argparse.Namespace, path: object) -> None:
    """Raises InputError for an image, or its file, with a codec of predicted frames."""
    if args.predicted:
        raise InputError(f"--predicted is for clips, and {path} is none")


def check_clip(args: argparse.Namespace) -> None:
    """Raises InputError for a clip, or its file, with a codec of images alone."""
    if is_named(args) and not args.predicted:
        known = " or ".join(f"{name.lower()}:FILE" for name in _OF_PREDICTED)
        predicted = f"name the codec of predicted frames with --predicted {known}"
        raise InputError(f"{args.codec} codes images: {predicted}")


def rate_hint(args: argparse.Namespace) -> str:
    """What to say where a file is of other weights: one checkpoint has a hash for each rate."""
    other = "; or of another rate of this one: say which with --q-index"
    return other if _has_rates(args) else ""


def _has_rates(args: argparse.Namespace) -> bool:
    """Whether the checkpoint of a codec that is named has several."""
    families = [args.codec.upper()] if is_named(args) else []
    families += [args.predicted.family] if args.predicted else []
    return any(family not in _ONE_RATE for family in families)


def check_target(args: argparse.Namespace) -> None:
    """Raises InputError for a target that would choose the key frames' quality by itself."""
    if args.predicted and args.quality is None and not args.weights:
        raise InputError("a target with --predicted moves lambda alone: name the --quality, too")


def load(args: argparse.Namespace) -> "nn.Module":
    """The image codec that ``--codec`` names."""
    from latentopt.adapters import load_dcvc

    return load_dcvc(args.dcvc_repo, args.codec.upper(), args.weights)


def image_adapter(args: argparse.Namespace) -> "Callable[[nn.Module, bool], Adapter] | None":
    """What makes its adapter; None: one of a single rate, which needs no other than its own."""
    from latentopt.adapters import intra

    has_rates = is_named(args) and args.codec.upper() not in _ONE_RATE
    return intra(q_index=args.q_index) if has_rates else None


def of_clip(
    args: argparse.Namespace, named: "nn.Module"
) -> "tuple[nn.Module, MakeVideoAdapter | None]":
    """The model that codes a clip, and what makes its adapter, if that is not its own.

    Args:
        named: what the other options name: the model itself, or that of key frames.
    """
    if not args.predicted:
        return named, None
    from latentopt.adapters import load_dcvc

    predicted: Predicted = args.predicted
    family, adapters = _OF_PREDICTED[predicted.family]
    model = load_dcvc(args.dcvc_repo, family, predicted.weights).to(args.device)
    key = image_adapter(args) or _own_adapter(named)
    rate = {} if predicted.family in _ONE_RATE else {"q_index": args.q_index or 0}
    video = import_module(f"latentopt.adapters.{adapters}").video
    return model, video(named, key, **rate)


def _own_adapter(key: "nn.Module") -> "type[Adapter]":
    """Of a codec of one rate; those of clips were refused by name."""
    from latentopt.adapters import Adapter, adapter_class

    found = adapter_class(key)
    assert issubclass(found, Adapter)
    return found
