"""`latentopt finetune`: a codec's decoder trained on what a preset really sends it."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli import arguments, model, native, recipe
from latentopt.cli.outputs import check_output
from latentopt.cli.recipe import CLIP_OPTIONS
from latentopt.errors import InputError
from latentopt.zoo import catalog, register
from latentopt.zoo.names import OWN, SAMPLED

if TYPE_CHECKING:
    from compressai.models import CompressionModel

    from latentopt.training.tuning import Budget, Outcome

EPILOG = """examples:
  latentopt finetune --codec tiny-mbt2018-mean --quality 2 --data photos/ -o mine.safetensors
  latentopt finetune --quality 3 --quant e8 --shift secant --data photos/ -o mine-e8.safetensors
  latentopt encode photo.png --codec mine --quality 2

The analysis stays as it is. Every seventh photograph is for validation; where nothing is better on
those, nothing is written. A run that was stopped goes on when it is called again. Its state and log
are in FILE.run, which may be deleted afterwards."""

PARTS = ("hyper-synthesis", "density")
"""What can be trained besides the synthesis, as the library has them; a test compares."""

_SUFFIX = ".safetensors"
_BUDGET = ("steps", "rounds", "crops", "crop", "batch", "learning_rate")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    data = "photographs to train on: a folder, a glob, or a data set that bdrate knows"
    add("--data", required=True, metavar="FOLDER", help=data)
    output = f"file to write the weights to, in {_SUFFIX}"
    add("-o", "--output", type=Path, required=True, metavar="FILE", help=output)
    name = "what the codec is called from then on (default: as FILE)"
    add("--name", metavar="NAME", help=name)
    add("--force", action="store_true", help="replace FILE, and a codec of that name and quality")
    also = f"train these, too: {', '.join(PARTS)} (default: the synthesis alone)"
    add("--also", type=arguments.names, default=(), metavar="P,P", help=also)
    add("--threads", type=arguments.whole, metavar="N", help="CPU threads (default: all)")
    _add_budget(parser)
    model.add_arguments(parser)
    recipe.add_arguments(parser)
    rate = "bits against error (default: what the weights were trained for)"
    add("--lmbda", type=arguments.positive, metavar="L", help=rate)
    parser.set_defaults(format=native.FORMATS[0], **dict.fromkeys(CLIP_OPTIONS))


def _add_budget(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how long (docs/guide/finetuning.md)").add_argument
    add("--steps", type=arguments.whole, metavar="N", help="of Adam (default: 600)")
    rounds = "how often crops are coded anew, for the decoder as it is then (default: 3)"
    add("--rounds", type=arguments.whole, metavar="N", help=rounds)
    add("--crops", type=arguments.whole, metavar="N", help="coded in each round (default: 256)")
    add("--crop", type=arguments.whole, metavar="N", help="pixels a side (default: 256)")
    add("--batch", type=arguments.whole, metavar="N", help="crops in each step (default: 4)")
    rate = "the highest (default: 3e-5)"
    add("--learning-rate", type=arguments.positive, metavar="R", help=rate)


def run(args: argparse.Namespace) -> int:
    name = _settle(args)
    import torch

    from latentopt.bench import datasets
    from latentopt.cli.progress import progress
    from latentopt.training.tuning import finetune

    files = datasets.resolve(args.data).paths
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    plain = argparse.Namespace(**{**vars(args), "step": 1.0})  # training puts the step around it
    with progress() as stage:
        loaded = model.model(plain, stage)
    outcome = finetune(
        loaded,
        recipe.recipe(args),
        files,
        Path(f"{args.output}.run"),
        _budget(args),
        args.also,
        args.step,
    )
    print(_said(outcome))
    if outcome.improved:
        _keep(args, loaded, name)
    return 0


def _settle(args: argparse.Namespace) -> str:
    """Put into the options what they leave open; returns the name to register.

    Raises:
        InputError: they contradict each other, or a name or file is taken.
    """
    model.settle(args, Path())
    recipe.check(args)
    arguments.refuse(
        args, ["dcvc_repo"], "for DCVC's codecs", "their decoders are not trained here"
    )
    if catalog.is_video(args.codec) or catalog.is_variable(args.codec):
        raise InputError(f"{args.codec}: only image codecs of one rate are fine-tuned")
    if catalog.family(args.codec) in (*OWN, *SAMPLED):
        raise InputError(f"{args.codec}: only codecs whose decoder gets points are fine-tuned")
    unknown = [part for part in args.also if part not in PARTS]
    if unknown:
        raise InputError(f"--also {unknown[0]}: choose of {', '.join(PARTS)}")
    if args.output.suffix != _SUFFIX:
        raise InputError(f"{args.output}: weights are written in {_SUFFIX}; name the file so")
    check_output(args.output, [args.weights])
    if args.output.exists() and not args.force:
        raise InputError(f"{args.output}: is there already; replace it with --force")
    name = args.name or args.output.stem
    register.check(name, args.codec, _quality(args), args.force)
    return name


def _quality(args: argparse.Namespace) -> int:
    return args.quality or 1


def _budget(args: argparse.Namespace) -> "Budget":
    from latentopt.training.tuning import Budget

    given = {name: getattr(args, name) for name in _BUDGET}
    return Budget(**{name: value for name, value in given.items() if value is not None})


def _said(outcome: "Outcome") -> str:
    """Both ends, and how far they are apart."""
    before, after = outcome.before, outcome.after
    lines = [f"before: {_figures(before)}"]
    if outcome.improved:
        lines += [f"after {after['step']:.0f} steps: {_figures(after)}", _gain(before, after)]
    else:
        lines += ["no other weights are better: these stay, and nothing is written"]
    return "\n".join(lines)


def _gain(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    quality, rate = (after[name] - before[name] for name in ("psnr_db", "bpp"))
    lower = 100 * (1 - after["loss"] / before["loss"])
    return f"gain: {quality:+z.3f} dB, {rate:+z.4f} bpp, and {lower:.2g} % of the loss"


def _figures(row: Mapping[str, float]) -> str:
    return f"{row['bpp']:.4f} bpp, {row['psnr_db']:.3f} dB, loss {row['loss']:.4f}"


def _keep(args: argparse.Namespace, tuned: "CompressionModel", name: str) -> None:
    """Write the weights, and give them their name."""
    from latentopt.zoo import folder

    family, quality = catalog.family(args.codec), _quality(args)
    metadata = {
        "architecture": family,
        "quality": str(quality),
        "source": f"{args.weights or f'{args.codec} {quality}'} finetuned",
        "preset": recipe.preset(args),
    }
    if (lmbda := getattr(tuned, "lmbda", None)) is not None:
        metadata["lambda"] = repr(float(lmbda))
    folder.write(args.output, tuned.state_dict(), metadata)
    path = register.add(name, args.output, family, quality, args.force)
    named = catalog.canonical(name)
    print(f"{args.output}, and {path}: use it as --codec {named} --quality {quality}")
