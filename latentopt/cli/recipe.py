"""The options that say what an encoder does, and the recipe that they make."""

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from latentopt.cli import arguments, dcvc, native
from latentopt.errors import InputError
from latentopt.zoo import catalog
from latentopt.zoo.names import CONTEXTUAL, FACTORIZED, OWN, SAMPLED

if TYPE_CHECKING:
    from latentopt.codec.recipe import Recipe, Words

# As the library has them, whose import takes seconds; a test compares.
QUANTS = ("int", "hex", "oct", "d4", "e8", "auto")
SHIFTS = ("secant", "grid", "none")
DIRECTIONS = ("density", "sign", "split")
PMFS = ("exact", "paper")
DITHERED = ("all", "main", "side")
SAMPLERS = (
    *("layered", "uniform", "astar", "ordered", "importance"),
    *("rejection", "budget", "poisson", "greedy", "adaptive", "is-gs", "mixed"),
    "mixed-uniform",
)
PRESETS = ("paper", "plain", "fast", "default", "slow", "best")
NATIVE_PRESETS = PRESETS[2:]

OF_POINTS = (
    *("preset", "quant", "shift", "direction", "scales", "adaptive", "context", "prepacked", "pmf"),
    *("dither", "versus_plain", "lmbda", "max_bytes", "target_bpp", "target_kbps", "target_psnr"),
    "match",
)
"""Options that mean nothing where there are no points of a lattice to choose."""

CLIP_OPTIONS = ("gop", "parts", "ahead", "size", "rate")
"""Of `add_clip_arguments`."""
GOP = 8
_SLOW = ("slow", "best")  # presets of many steps, worth a bar of their own


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every codec."""
    preset = (
        "time against bytes: fast, default, slow, best from quick to small (default: default; "
        "plain where an option below says how points are chosen)"
    )
    parser.add_argument("--preset", choices=PRESETS, help=preset)
    group = parser.add_argument_group(
        "in place of what the preset says (docs/guide/recipes.md)",
        "Without --preset they are said on top of plain, but for --no-…, --shift none,\n"
        "--postfilter and --progressive, with which it stays default.",
    )
    add = group.add_argument
    quant = "grid that values are rounded to: oct and e8 save more than int"
    add("--quant", choices=QUANTS, help=quant)
    shift = "how to search the correction that the decoder adds to what it gets"
    add("--shift", choices=SHIFTS, help=shift)
    direction = "what that correction follows; split fits most closely"
    add("--direction", choices=DIRECTIONS, help=direction)
    scales = "adapt the model's statistics to the image: a few bytes that often save more"
    add("--scales", action=argparse.BooleanOptionalAction, help=scales)
    adaptive = "let the side latent's statistics learn from what was decoded: free but for time"
    add("--adaptive", action=argparse.BooleanOptionalAction, help=adaptive)
    context = "learn from the part of the image that is decoded already: fewer bytes"
    add("--context", action=argparse.BooleanOptionalAction, help=context)
    prepacked = "of mbt2018 and cheng2020: form vectors before any is decoded; default does already"
    add("--prepacked", action=argparse.BooleanOptionalAction, help=prepacked)
    postfilter = "filter the decoded image as is best for it: 25 to 40 bytes that save more"
    add("--postfilter", action=argparse.BooleanOptionalAction, help=postfilter)
    dither = "move that grid by noise drawn from this seed, which the decoder draws, too"
    add("--dither", type=arguments.seed, metavar="SEED", help=dither)
    dithered = "which latents that is for (default: all)"
    add("--dithered", choices=DITHERED, help=dithered)
    alpha = "round softly before that, as the model was trained to: 1 is soft, 16 sharp (int only)"
    add("--alpha", type=arguments.alpha, metavar="A", help=alpha)
    sigma = "let the noise be Gaussian, of this deviation (int only)"
    add("--sigma", type=arguments.sigma, metavar="S", help=sigma)
    mean = "decode the mean of what may have been sent"
    add("--mean", action="store_true", help=mean)
    spread = "send samples of this standard deviation, in steps, in place of points of a grid"
    add("--spread", "--sample", type=float, metavar="TAU", help=spread)
    sampler = "how these are coded (default: layered; mixed for tiny-pln and tiny-gamma-pln)"
    add("--sampler", choices=SAMPLERS, help=sampler)
    seed = "of what encoder and decoder draw for them (default: 0)"
    add("--seed", type=arguments.seed, metavar="SEED", help=seed)
    progressive = "in an order of which any beginning is an image: see latentopt truncate"
    add("--progressive", action="store_true", default=None, help=progressive)
    pmf = "probabilities: exact, or as the paper computes them, for comparisons (default: exact)"
    add("--pmf", choices=PMFS, help=pmf)
    portable = "faster, but the file decodes only on a machine like this one"
    add("--no-portable", dest="portable", action="store_false", help=portable)


def add_clip_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of video codecs."""
    add = parser.add_argument_group("clips").add_argument
    gop = f"every how many frames one can be decoded by itself (default: {GOP})"
    add("--gop", type=arguments.count, metavar="N", help=gop)
    parts = "spend effort on these parts of the frames only: image, motion, residual"
    add("--parts", type=arguments.names, metavar="P,P", help=parts)
    ahead = "choose each frame so that the next one costs less, too: slower"
    add("--ahead", action="store_true", help=ahead)
    size = "width and height of a raw .yuv, unless its name says"
    add("--size", type=arguments.size, metavar="WxH", help=size)
    add(
        "--rate", type=arguments.rate, metavar="FPS", help="frames per second, unless the file says"
    )


def check(args: argparse.Namespace) -> None:
    """Refuse, before PyTorch is imported, what the format of the file has no room for.

    Raises:
        InputError: the message names it.
    """
    from latentopt.codec.formats import asked, check_fixed, check_progressive

    if native.is_native(args) and args.preset not in (None, *NATIVE_PRESETS):
        known = ", ".join(NATIVE_PRESETS)
        raise InputError(f"--preset {args.preset} is not for --format {args.format}: use {known}")
    if args.spread is None and (args.sampler or args.seed is not None):
        raise InputError("--sampler and --seed say how samples are sent: give their --spread")
    if not args.dcvc_repo and (args.adaptive or args.prepacked):
        _check_codec(args)
    said = {**_words(args), "ahead": args.ahead, "gop": args.gop}
    given = asked(said)
    check_fixed(args.format, given)
    check_progressive(given)
    _check_dither(args)
    _check_samples(args)


def _check_codec(args: argparse.Namespace) -> None:
    family = catalog.family(args.codec)
    lacking: dict[str, str] = {}
    if family in FACTORIZED:
        lacking["adaptive"] = "a side latent"
    if family not in CONTEXTUAL:
        lacking["prepacked"] = "a context model"
    for word, what in lacking.items():
        arguments.refuse(args, [word], f"for codecs with {what}", f"{args.codec} has none")


def _check_dither(args: argparse.Namespace) -> None:
    from latentopt.codec.formats import check_unsearched

    if args.dither is None:
        if args.dithered:
            raise InputError("--dithered says which latents --dither is for: give a seed")
        for name in ("alpha", "sigma", "mean"):
            if getattr(args, name):
                raise InputError(f"--{name} goes with --dither: give a seed")
        return
    if args.spread is not None:
        raise InputError("--dither and --spread exclude each other: give one of them")
    check_unsearched(("dither", None), _searched(args))
    for name in ("alpha", "sigma"):
        if getattr(args, name) and args.quant != "int":
            raise InputError(f"--{name} is for integers: give --quant int")
    if args.alpha and args.sigma:
        raise InputError("--alpha and --sigma exclude each other")


def _check_samples(args: argparse.Namespace) -> None:
    from latentopt.codec.formats import check_unquantized, check_unsearched

    if args.spread is not None:
        check_unsearched(("spread", None), _searched(args))
        check_unquantized(vars(args))
        if args.lmbda is not None:
            raise InputError("--lmbda is for a search, and --spread excludes one: leave it out")


def _searched(args: argparse.Namespace) -> dict[str, object]:
    """The words, and whether the preset that is named has a search."""
    return {**_words(args), "effort": args.preset in NATIVE_PRESETS}


def _words(args: argparse.Namespace) -> "Words":
    return {
        "quant": args.quant,
        "shift": False if args.shift == "none" else args.shift,
        "direction": args.direction,
        "scales": args.scales,
        "adaptive": args.adaptive,
        "context": args.context,
        "prepacked": args.prepacked,
        "pmf": args.pmf,
        "dither": args.dither,
        "spread": args.spread,
        "progressive": args.progressive,
        "postfilter": args.postfilter,
    }


def recipe(args: argparse.Namespace) -> "Recipe":
    """What the options say, on top of their preset."""
    from latentopt.codec.recipe import get_preset
    from latentopt.encoder import Ahead
    from latentopt.latents.dither import Dither
    from latentopt.latents.sampling import Sampling

    words: Words = {**_words(args), "ahead": Ahead() if args.ahead else None}
    if args.dither is not None:
        own = args.alpha or 0.0, args.sigma or 0.0, args.mean
        words["dither"] = Dither(args.dither, args.dithered or "all", *own)
    if args.spread is not None:
        words["spread"] = Sampling(args.spread, args.sampler or "layered", args.seed or 0)
    is_native = native.is_native(args)
    base = get_preset(preset(args), args.format)
    if args.preset in _SLOW and sys.stderr.isatty():
        base = _with_bar(base)
    portable = None if is_native else args.portable  # it is the model's own arithmetic
    made = base.but(**words).but(portable=portable, parts=args.parts, gop=args.gop)
    return made.but(lmbda=args.lmbda)


def preset(args: argparse.Namespace) -> str:
    """The one that is named, or that options without one are said on top of."""
    from latentopt.codec.recipe import preset_for

    if args.preset or native.is_native(args):
        return args.preset or "default"
    return preset_for({**_words(args), "ahead": args.ahead}) if _has_points(args) else "plain"


def codec_of(args: argparse.Namespace) -> dict[str, object]:
    """With what is coded, in the words of the options; without what does not apply."""
    weights = args.weights.name if args.weights else None
    named = {
        "codec": args.codec,
        "weights": weights,
        "quality": args.quality,
        "predicted": args.predicted and str(args.predicted),
        "preset": preset(args) if _has_points(args) else None,
    }
    return {name: value for name, value in named.items() if value is not None}


def _has_points(args: argparse.Namespace) -> bool:
    """Whether there is anything for a preset to choose."""
    return dcvc.is_named(args) or catalog.family(args.codec) not in (*OWN, *SAMPLED)


def _with_bar(quiet: "Recipe") -> "Recipe":
    """The same, with a progress bar; for all kinds of codecs."""
    effort = quiet.effort and replace(quiet.effort, progress=True)
    others: dict[str, Any] = {name: _with_bar(other) for name, other in quiet.alternatives.items()}
    return replace(quiet, effort=effort, **others)
