"""The options that name a model, the same for encoding, decoding and explaining; and that model."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli.arguments import positive, refuse
from latentopt.cli.progress import Stage
from latentopt.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from latentopt.bitstream import Identity
    from latentopt.codec.image import Codec
    from latentopt.codec.recipe import Recipe

_DCVC = ("DCVC-HEM", "DCVC-DC")  # families with an image codec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that the functions below read."""
    add = parser.add_argument
    add("--codec", required=True, metavar="NAME", help="a name that `latentopt zoo list` shows")
    weights = parser.add_mutually_exclusive_group(required=True)
    weights.add_argument(
        "--quality", type=int, metavar="Q", help="which of its weights; downloaded where need be"
    )
    weights.add_argument("--weights", type=Path, metavar="FILE", help="a checkpoint of your own")
    add(
        "--step",
        type=positive,
        default=1.0,
        metavar="S",
        help="quantization step multiplier: above 1 for fewer bits; "
        "decode with the one of encode (default: 1)",
    )
    add(
        "--dcvc-repo",
        type=Path,
        metavar="PATH",
        help="checkout of microsoft/DCVC: see docs/guide/dcvc.md",
    )
    add("--q-index", type=int, metavar="N", help="which rate of a DCVC checkpoint (default: 0)")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where it runs (default: cpu)")


def image_codec(
    args: argparse.Namespace, stage: Stage, recipe: "Recipe", reads: "Identity | None" = None
) -> "Codec":
    """The model that the arguments name, wrapped, to read streams of an identity."""
    from latentopt.adapters import intra
    from latentopt.codec.wrap import wrap_image

    adapter = intra(q_index=args.q_index) if args.dcvc_repo else None
    return wrap_image(model(args, stage), recipe, adapter, reads)


def model(args: argparse.Namespace, stage: Stage) -> "nn.Module":
    """The model that the arguments name, where they say."""
    import torch

    from latentopt import zoo
    from latentopt.adapters import load_dcvc, with_step

    _check_dcvc(args)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: PyTorch sees no GPU here; use cpu")
    stage("loading the model")
    found: nn.Module
    if args.dcvc_repo:
        found = load_dcvc(args.dcvc_repo, args.codec.upper(), args.weights)
    else:
        found = zoo.load(args.codec, args.quality, args.weights)
    if args.step != 1:
        found = with_step(found, args.step)
    stage("building tables")
    return found.to(args.device)


def _check_dcvc(args: argparse.Namespace) -> None:
    """Refuse what does not go with a checkout of DCVC, or goes with nothing else."""
    if not args.dcvc_repo:
        return refuse(args, ["q_index"], "for --dcvc-repo")
    if args.codec.upper() not in _DCVC:
        raise InputError(f"--dcvc-repo: the codec is {' or '.join(_DCVC)}, not {args.codec}")
    if not args.weights:
        raise InputError("--dcvc-repo: name the checkpoint with --weights")
