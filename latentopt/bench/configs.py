"""What a configuration name such as `oct+shift+grid` means: a recipe.

name     = "baseline" | preset | "compat" [":" preset] | part {"+" part}
compat   = the model's own strings, which its own decoder reads (default: the preset "default")
preset   = "paper" | "plain" | "fast" | "default" | "slow" | "best"
part     = lattice (at most one, first; else it is "int") | "shift" | "grid" (search the step size
           as the paper does) | "sign" or "split" (shift direction) | "scales" (corrected)
           | "adaptive" (prior of the side latent) | "context" (adapted to what has crossed)
           | "postfilter" (of the decoded image)
           | "rdo" (rate and distortion) | "refine" (tens of steps) | "paper" (the paper's tables)
           | "dither" (all latents, with the seed 0) | "soft" (with it: rounding of alpha 16 before
           it) | "mean" (with it: what is decoded is E[y | what arrived])
lattice  = "int" | "hex" | "oct" | "d4" | "e8" | "auto"
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from latentopt.codec.formats import NATIVE
from latentopt.codec.recipe import PRESETS, Recipe, Words, get_preset
from latentopt.encoder import Effort, Schedule
from latentopt.errors import InputError
from latentopt.latents.dither import Dither
from latentopt.lattices import RULES

BASELINE = "baseline"
"""The name of CompressAI's own quantizer and coder."""

COMPAT, _COMPAT_PRESET = "compat", "default"
"""The model's own strings, searched as a preset says."""

SOFT = 16.0
"""Alpha of soft rounding, where it is in a name: that at which training ends."""

_RDO = Effort(Schedule(0, (1, 1), (1, 1)), strengths=(0.1, 0.3, 0.6), draft=False)
_REFINE = replace(cast(Effort, get_preset("slow").effort), refits=0)
_OPTIONS: dict[str, Words] = {
    "shift": {"shift": True},
    "grid": {"shift": "grid"},
    "sign": {"direction": "sign"},
    "split": {"direction": "split"},
    "scales": {"scales": True},
    "adaptive": {"adaptive": True},
    "context": {"context": True},
    "postfilter": {"postfilter": True},
    "rdo": {"effort": _RDO},
    "refine": {"effort": _REFINE},
    "paper": {"pmf": "paper"},
    "dither": {"dither": 0},
    "soft": {},
    "mean": {},
}
"""In the order of the canonical spelling; what comes later says more than what comes before."""


@dataclass(frozen=True)
class Configuration:
    """One way to code a pretrained model's latents.

    >>> parse("int+shift").name, parse("hex+sign+shift").name
    ('shift', 'hex+shift+sign')
    """

    name: str
    """The canonical spelling."""
    recipe: Recipe | None
    """None: CompressAI's own quantizer and coder."""


def parse(name: str) -> Configuration:
    """The configuration called ``name``; InputError with the grammar where there is none."""
    if name.strip().lower() == BASELINE:
        return Configuration(BASELINE, None)
    head, _, preset = name.strip().lower().partition(":")
    return _compat(preset or _COMPAT_PRESET) if head == COMPAT else _parse(name)


def parse_all(names: Sequence[str]) -> list[Configuration]:
    """Configurations in order, without repeats."""
    configurations = list(dict.fromkeys(parse(name) for name in names))
    if not configurations:
        raise InputError("no configuration given; try baseline,oct+shift")
    return configurations


def parse_recipe(name: str) -> Recipe:
    """The recipe of a configuration; InputError where there is none, as of the baseline.

    >>> parse_recipe("oct+sign+shift").direction
    'sign'
    """
    recipe = parse(name).recipe
    if recipe is None:
        raise InputError(f"configuration {name!r}: this is the model's own coder, not a recipe")
    return recipe


def _compat(preset: str) -> Configuration:
    name = COMPAT if preset == _COMPAT_PRESET else f"{COMPAT}:{preset}"
    return Configuration(name, get_preset(preset, NATIVE))


def _parse(name: str) -> Configuration:
    tokens = name.strip().lower().split("+")
    if len(tokens) == 1 and tokens[0] in PRESETS:
        return Configuration(tokens[0], get_preset(tokens[0]))
    lattice, given = (tokens[0], tokens[1:]) if tokens[0] in RULES else ("int", tokens)
    _check(name, given)
    options = [option for option in _OPTIONS if option in given]
    words: Words = {}
    for option in options:
        words.update(_OPTIONS[option])
    if "dither" in options:
        words["dither"] = Dither(0, alpha=SOFT * ("soft" in options), mean="mean" in options)
    return Configuration(_spelling(lattice, options), Recipe(lattice, None).but(**words))


def _check(name: str, options: Sequence[str]) -> None:
    unknown = [option for option in options if option not in _OPTIONS]
    if unknown or len(set(options)) != len(options):
        wrong = f"unknown part {unknown[0]!r}" if unknown else "a part is repeated"
        raise InputError(
            f"configuration {name!r}: {wrong}; known: {BASELINE}, {', '.join(PRESETS)}, "
            f"{COMPAT}, {COMPAT}:slow and so on, or one of "
            f"{', '.join(RULES)} and any of +{', +'.join(_OPTIONS)} ('shift' alone: int+shift)"
        )
    if "shift" not in options and {"grid", "sign", "split"} & set(options):
        raise InputError(f"configuration {name!r}: grid, sign and split qualify +shift: add it")
    if "dither" not in options and {"soft", "mean"} & set(options):
        raise InputError(f"configuration {name!r}: soft and mean qualify +dither: add it")
    if {"sign", "split"} <= set(options) or {"rdo", "refine"} <= set(options):
        raise InputError(f"configuration {name!r}: two parts exclude each other")


def _spelling(lattice: str, options: Sequence[str]) -> str:
    """Without ``int``, where that is not the name of something else."""
    short = "+".join(options) if lattice == "int" else ""
    return short if short and short not in PRESETS else "+".join([lattice, *options])
