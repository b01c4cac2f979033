"""Recipes: everything that an encoder does with a model, in one value. Presets are recipes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict, Unpack

from latentopt.bitstream import DIRECTIONS, Settings
from latentopt.bitstream.headers import LATTICE, PMFS, SAMPLE
from latentopt.codec.formats import (
    FIXED,
    NATIVE,
    OWN,
    UNCUT,
    asked,
    check_fixed,
    check_progressive,
    check_unquantized,
    check_unsearched,
)
from latentopt.encoder import Ahead, Effort, Schedule, Secant, StepSearch, get_search
from latentopt.encoder.search import Grid
from latentopt.errors import BitstreamError, InputError, WordError
from latentopt.latents import CHANNELS
from latentopt.latents.dither import DITHERED, Dither
from latentopt.latents.sampling import Sampling
from latentopt.lattices import RULES

Shift = bool | str | StepSearch
"""How to search the step sizes of the latent shift: not at all (False), as ``"secant"`` or
``"grid"`` does (True: secant), or as an object of one's own does."""

ALTERNATIVES = ("contextual", "factorized")
"""Recipes that a recipe may have for some kinds of codecs."""

_SECANT = Secant()

_ALIKE = (
    *("format", "portable", "channel", "dither", "spread", "progressive"),
    *("parts", "gop", "ahead"),
)
"""What is the same in a recipe's alternatives."""

_OF_NO_POINTS = ("lmbda", "portable", "progressive", "postfilter", "parts", "gop")
"""What says nothing of how points are chosen: the preset stays the default one."""


class MoreWords(TypedDict, total=False):
    """What can be said of a :class:`Recipe` besides lattice and shift; None: nothing."""

    direction: str | None
    scales: bool | None
    adaptive: bool | None
    effort: Effort | None
    lmbda: float | None
    pmf: str | None
    portable: bool | None
    parts: Sequence[str] | None
    gop: int | None
    ahead: Ahead | None
    channel: str | None
    context: bool | None
    dither: int | Dither | None
    spread: float | Sampling | None
    progressive: bool | None
    postfilter: bool | None
    prepacked: bool | None
    format: str | None


class Words(MoreWords, total=False):
    """What can be said of a :class:`Recipe`; None: nothing."""

    quant: str | None
    shift: Shift | None


@dataclass(frozen=True)
class Recipe:
    """What an encoder does with a model; of it, a file's header stores what a decoder needs.

    >>> Recipe(quant="hex").but(shift=False, scales=True).settings.quant
    'hex'
    >>> PRESETS["fast"].effort.schedule.steps
    1

    Raises:
        InputError: an unknown name, or two values that exclude each other.
    """

    quant: str = "oct"
    """Lattice of the main latent: ``int``, ``hex``, ``oct``, ``d4``, ``e8``, or ``auto``: the best
    one for each level."""
    shift: StepSearch | None = _SECANT
    """How step sizes of the latent shift are searched; None: there is no shift."""
    direction: str = "density"
    """Where to shift: ``density``, the gradient of -log density; ``sign``; or ``split``, sign with
    a step size for each of six ranges of spread."""
    scales: bool = False
    """Correct the scales of each channel, per image."""
    adaptive: bool = False
    """Let the prior of the side latent learn from what was decoded of it."""
    effort: Effort | None = None
    """How long lattice points are searched by rate and distortion; None: the nearest are taken."""
    lmbda: float | None = None
    """Of lambda * 255^2 * MSE + bits per pixel, which an effort minimizes; None: the model's own
    attribute ``lmbda``, where it has one, else estimated from its weights."""
    pmf: str = "exact"
    """Probability tables: ``exact``, or ``paper``: without rare centres."""
    portable: bool = True
    """Compute what selects tables in float64 on the CPU: a stream then decodes on any machine."""
    parts: tuple[str, ...] | None = None
    """Of a video codec, the latents that all this is for, of ``image`` (key frames), ``motion`` and
    ``residual``; the others are rounded. None: all of them with an effort, else all but motion."""
    gop: int | None = None
    """Of a video codec, frames from one key frame to the next; None: only the first is one."""
    ahead: Ahead | None = None
    """Of a video codec, step sizes chosen with the next frame's cost in view."""
    channel: str = LATTICE
    """How latents cross; what follows lattices only (quant, scales, context, effort, pmf) goes with
    that."""
    context: bool = False
    """Adapt the entropy parameters of the main latent to what has crossed of it; for codecs that
    know all of them at once."""
    dither: Dither | None = None
    """Move the lattice by noise that both sides draw from a seed: what arrives then has the noise
    that codecs are trained with (docs/guide/dither.md)."""
    spread: Sampling | None = None
    """Of the channel ``sample``: send a sample around each element of the main latent, in place of
    a point (docs/guide/sampling.md)."""
    progressive: bool = False
    """Send each channel of the main latent by itself, the most valuable first, so that a file may
    be cut after any of them (docs/guide/progressive.md)."""
    postfilter: bool = False
    """Fit a Wiener filter to each decoded image, which the decoder applies to it; for images."""
    format: str = OWN
    """What is written: ``latentopt``, or ``compressai``: the model's own strings, which its own
    ``decompress`` reads. Of such a recipe only the effort and lambda are free."""
    prepacked: bool | None = None
    """Of codecs with a context model of their own, form the vectors of the main latent before any
    of it is decoded, so that a search finds them as they will be; None: with an effort."""
    contextual: "Recipe | None" = None
    """What to do instead with codecs whose entropy parameters depend on what was decoded before."""
    factorized: "Recipe | None" = None
    """What to do instead with codecs whose main latent has a factorized prior."""

    def __post_init__(self) -> None:
        _check_name("lattice", self.quant, RULES)
        _check_name("direction", self.direction, DIRECTIONS)
        _check_name("pmf", self.pmf, PMFS)
        _check_name("channel", self.channel, CHANNELS)
        _check_name("format", self.format, FIXED)
        check_fixed(self.format, vars(self))
        _check_kind("shift", self.shift, StepSearch, "a StepSearch; wrap and but() know the words")
        _check_kind("effort", self.effort, Effort, "an Effort; presets are names of recipes")
        _check_kind("ahead", self.ahead, Ahead, "an Ahead")
        _check_kind("dither", self.dither, Dither, "a Dither; wrap and but() take a seed, too")
        _check_kind(
            "spread", self.spread, Sampling, "a Sampling; wrap and but() take a number, too"
        )
        for name in ("scales", "adaptive", "context", "portable", "progressive", "postfilter"):
            _check_flag(name, getattr(self, name))
        if self.prepacked is not None:
            _check_flag("prepacked", self.prepacked)
        if self.lmbda is not None and not _is_number(self.lmbda, above=0):
            raise InputError(f"lmbda {self.lmbda}: it must be a positive number")
        if self.gop is not None and not (type(self.gop) is int and self.gop > 0):
            raise InputError(f"gop {self.gop}: a key frame comes every 1 frame or more")
        if self.parts is not None and not _is_names(self.parts):
            raise InputError(f"parts {self.parts!r}: they are a tuple of names, such as ('image',)")
        for name in ALTERNATIVES:
            if getattr(self, name) is not None:
                self._check_alternative(name, getattr(self, name))
        if self.pmf == "paper" and (self.effort or self.scales or self.context):
            raise WordError(
                "{} excludes an encoder that chooses points: use {}",
                *(("pmf", "paper"), ("pmf", "exact")),
            )
        self._check_channel()
        self._check_prepacked()
        check_progressive(vars(self))

    def _check_prepacked(self) -> None:
        """Refuse what no encoder makes, and a header may say."""
        if not self.prepacked or self.can_prepack:
            return
        if self.channel == LATTICE and RULES[self.quant].wide.dim == 1:
            raise WordError(
                "{} is for vectors, and {} has none: leave it out, or take another lattice",
                ("prepacked", True),
                ("quant", self.quant),
            )
        raise WordError(
            "{} is for vectors of a lattice, without dither, context or maps, and with exact "
            "tables: leave it out",
            ("prepacked", True),
        )

    @property
    def can_prepack(self) -> bool:
        """Whether several elements of a main latent are one point, of those formed ahead."""
        others = self.dither or self.context or self.progressive or self.pmf == "paper"
        return self.channel == LATTICE and RULES[self.quant].wide.dim > 1 and not others

    @property
    def prepacks(self) -> bool:
        """What ``prepacked`` means for codecs with a context model of their own."""
        said = self.effort is not None if self.prepacked is None else self.prepacked
        return self.can_prepack and said

    def _check_channel(self) -> None:
        """Refuse what is for lattice points alone, or for those without a dither."""
        if self.channel in DITHERED:
            raise InputError(f"channel {self.channel!r} goes by its seed: dither=SEED")
        if (self.channel == SAMPLE) != (self.spread is not None):
            which = "without a spread" if self.spread is None else "with a spread"
            both = f"for samples give both the channel {SAMPLE!r} and a spread"
            raise InputError(f"channel {self.channel!r} {which}: {both}")
        what = ("spread", None) if self.spread else ("channel", self.channel)
        if self.channel != LATTICE:  # tables are a channel's own business
            check_unsearched(what, {**vars(self), "pmf": self.pmf if self.spread else None})
        if self.dither is None:
            return
        if self.channel != LATTICE:
            raise WordError(
                "{} and {} exclude each other: give one of them", ("dither", None), what
            )
        check_unsearched(("dither", None), vars(self))
        self.dither.check_lattice(self.quant)

    def _check_alternative(self, which: str, other: "Recipe") -> None:
        """What is not for some codecs alone must be the same for them."""
        _check_kind(which, other, Recipe, "a Recipe")
        if other.alternatives:
            raise InputError(f"{which}: the recipe for such codecs has another in it")
        for name in _ALIKE:
            if getattr(other, name) != getattr(self, name):
                raise InputError(f"{which}: its {name} must be that of the recipe itself")

    @property
    def alternatives(self) -> "dict[str, Recipe]":
        """By the kind of codec that they are for."""
        return {name: other for name in ALTERNATIVES if (other := getattr(self, name))}

    @property
    def settings(self) -> Settings:
        """What of it the decoder must know."""
        words = self.quant, self.pmf, self.direction, self.portable, self.scales
        said = Settings(
            *words,
            channel=self.channel,
            adaptive=self.adaptive,
            context=self.context,
            progressive=self.progressive,
            postfilter=self.postfilter,
            prepacked=bool(self.prepacked),
        )
        if self.dither:
            return self.dither.said_in(said)
        return self.spread.said_in(said) if self.spread else said

    @property
    def summary(self) -> str:
        """What the encoder does, in a few words: the preset, where it is that of one.

        >>> Recipe("int", None, scales=True).summary, PRESETS["slow"].but(gop=8).summary
        ('int+scales', 'preset slow')
        """
        for name, preset in PRESETS.items():
            if any(map(self._does_as, [preset, *preset.alternatives.values()])):
                return f"preset {name}"
        said = {
            "shift": self.shift,
            self.direction: self.shift and self.direction != "density",
            "scales": self.scales,
            "adaptive": self.adaptive,
            "context": self.context,
            f"{self.effort and self.effort.schedule.steps} steps": self.effort,
            "tables of the paper": self.pmf == "paper",
            "dither": self.dither,
            "progressive": self.progressive,
            "postfilter": self.postfilter,
            "prepacked": self.prepacked,
        }
        lattice = self.quant if self.channel == LATTICE else self.channel
        if self.spread:
            lattice += f" {self.spread.spread} {self.spread.sampler}"
        return "+".join([lattice, *(word for word, holds in said.items() if holds)])

    def _does_as(self, other: "Recipe") -> bool:
        """Whether both choose the same points and shifts, given one and the same model."""
        effort = self.effort and replace(self.effort, progress=False)
        names = (
            *("quant", "shift", "direction", "scales", "pmf", "channel", "context", "dither"),
            *("spread", "progressive", "postfilter", "adaptive", "prepacks"),
        )
        same = all(getattr(self, name) == getattr(other, name) for name in names)
        return same and effort == other.effort

    @staticmethod
    def reading(settings: Settings) -> "Recipe":
        """A recipe for codecs that read streams with these settings, and write plain ones.

        Raises:
            BitstreamError: no encoder writes such settings, or a newer one does.
        """
        try:
            return Recipe(
                quant=settings.quant,
                shift=None,
                direction=settings.direction,
                scales=settings.scales,
                adaptive=settings.adaptive,
                pmf=settings.pmf,
                portable=settings.portable,
                channel=LATTICE if settings.channel in DITHERED else settings.channel,
                context=settings.context,
                dither=Dither.of(settings),
                spread=Sampling.of(settings),
                progressive=settings.progressive,
                postfilter=settings.postfilter,
                prepacked=settings.prepacked,
            )
        except InputError as error:
            raise BitstreamError(
                f"the header's settings are none of this latentopt: {error}"
            ) from None

    def but(self, **words: Unpack[Words]) -> "Recipe":
        """The same but for what is given, that is, not None; its alternatives as well."""
        changes: dict[str, Any] = {name: v for name, v in words.items() if v is not None}
        check_unquantized(changes)
        _check_name("format", changes.get("format", self.format), FIXED)
        check_fixed(changes.get("format", self.format), changes)  # in the words that were said
        if changes.get("format", self.format) != self.format:
            return self._in(changes.pop("format")).but(**changes)
        if "shift" in changes:
            changes["shift"] = _search(changes["shift"])
        if isinstance(changes.get("dither"), int):
            changes["dither"] = Dither(changes["dither"])
        if "spread" in changes:
            said = changes["spread"]
            changes["spread"] = said if isinstance(said, Sampling) else Sampling(said)
            changes = {"channel": SAMPLE, **changes}
        if changes.get("progressive"):
            changes = {**UNCUT, **changes}
        if "parts" in changes:
            named = changes["parts"]
            changes["parts"] = named if isinstance(named, str) else tuple(named)
        if self.factorized and changes.get("quant", "int") != "int":
            # Presets have their contexts on the lattices that they chose.
            context = self.context and changes["quant"] == self.quant
            return replace(self, factorized=None, context=context)._with(changes)
        return self._with(changes)

    def _in(self, name: str) -> "Recipe":
        """The same for another format, of which what that format fixes is left out."""
        if FIXED[name] and not self.effort:
            raise InputError(
                f"nothing of this recipe is left in format {name!r}: give an effort, or the preset "
                "fast, default, slow or best"
            )
        return self._with({"format": name, **FIXED[name]})

    def _with(self, changes: dict[str, Any]) -> "Recipe":
        """The same, changed, and its alternatives alike.

        Whether vectors are formed ahead is said of what codecs with a context model get.
        """
        rest = {name: v for name, v in changes.items() if name != "prepacked"}
        others = {
            name: other._changed(changes if name == "contextual" else rest)
            for name, other in self.alternatives.items()
        }
        return self._changed((rest if self.contextual else changes) | others)

    def _changed(self, changes: dict[str, Any]) -> "Recipe":
        """The same, changed; vectors stay formed ahead as long as there are any of that kind."""
        if "prepacked" in changes:
            return replace(self, **changes)
        changed = replace(self, **changes, prepacked=None)
        keeps = changed.can_prepack or not self.prepacked
        return replace(changed, prepacked=self.prepacked) if keeps else changed

    def fitting(self, contextual: bool, factorized: bool = False) -> "Recipe":
        """What it means for codecs with a context model, with a factorized prior, or neither."""
        found = (contextual and self.contextual) or (factorized and self.factorized) or self
        if contextual and found.prepacks:
            return replace(found, prepacked=True)
        return found


def get_preset(name: str, format: str = OWN) -> Recipe:
    """The preset of that name, for a format.

    Raises:
        InputError: no such preset or format; the message lists the names.
    """
    _check_name("preset", name, PRESETS)
    _check_name("format", format, FIXED)
    if format == OWN:
        return PRESETS[name]
    _check_name(f"preset of format {format!r}", name, NATIVE_PRESETS)
    return NATIVE_PRESETS[name]


def preset_for(words: Words) -> str:
    """The preset that words are said on top of where none is named.

    It is ``plain`` where a word says how points are chosen, which one that only switches something
    off does not.

    >>> preset_for({"progressive": True, "scales": False}), preset_for({"quant": "hex"})
    ('default', 'plain')
    """
    return "plain" if asked(words).keys() - set(_OF_NO_POINTS) else "default"


def _search(shift: Shift) -> StepSearch | None:
    if isinstance(shift, bool):
        return get_search("secant") if shift else None
    return get_search(shift) if isinstance(shift, str) else shift


def _check_kind(what: str, value: object, kind: type, expected: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise InputError(f"{what} {value!r}: expected {expected}")


def _check_flag(what: str, value: object) -> None:
    if value not in (True, False):
        raise InputError(f"{what} {value!r}: it is True or False")


def _is_names(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) for name in value)


def _is_number(value: object, above: float) -> bool:
    return isinstance(value, int | float) and above < value < math.inf


def _check_name(what: str, name: str, known: Iterable[str]) -> None:
    if name not in (names := list(known)):
        raise InputError(f"unknown {what} {name!r}: choose {', '.join(names)}")


ROUNDING = Recipe("int", None)
"""Each element of the latent rounded, and nothing searched."""


def of_maps(recipe: Recipe) -> Recipe:
    """What a recipe means for a codec of one-hot maps, of which there is nothing to choose.

    Raises:
        InputError: it is no preset, and so says what such a codec cannot do.
    """
    own = ROUNDING.but(progressive=True, portable=recipe.portable)
    plain = (ROUNDING, *PRESETS.values())
    known = [*plain, *(preset.but(progressive=True) for preset in plain)]
    if not any(map(recipe._does_as, known)):
        raise InputError(
            f"{recipe.summary}: this codec's maps are what they are, and the order in which they "
            "come; leave out all but the preset"
        )
    return own


# -- presets: what an encoder spends and gets for it; decoding costs about the same ---------------

_ONE = Effort(Schedule(1, (0.3, 0.3), (0.4, 0.4), caution=4), verify=False)
_SIDE_FIVE = Schedule(5, (0.5, 0.1), (0.5, 0.4), caution=2.5, momentum=0.4)
_SIDE_TEN = Schedule(10, (1.0, 0.1), (0.3, 0.3), caution=2, momentum=0.4)
_THREE = Effort(Schedule(3, (1.5, 0.4), (0.3, 0.3), caution=2, momentum=0.3), side=_SIDE_FIVE)
_TEN = Effort(Schedule(10, (2.0, 0.3), (0.25, 0.1)), side=_SIDE_FIVE)
_TEN_OF_VECTORS = Effort(
    Schedule(10, (2.0, 0.15), (0.3, 0.15), momentum=0.5), side=_SIDE_FIVE, probes=2
)
_THIRTY = Schedule(30, (2.0, 0.2), (0.25, 0.1), momentum=0.7)
# Each move changes a context.
_STEADY = Schedule(30, (2.0, 0.3), (0.25, 0.05), momentum=0.5)
_TENS = Effort(_THIRTY, side=_SIDE_TEN, refits=1)
_SIXTY = Effort(replace(_THIRTY, steps=60), side=_SIDE_TEN, refits=2, draft=False)


def _probed(effort: Effort) -> Effort:
    """The same where random latents, drawn without a context, say little of the sensitivity."""
    return replace(effort, probes=2, schedule=replace(effort.schedule, caution=1.5))


# Codecs whose entropy parameters depend on what was decoded have encoders of their own that take so
# long that ten steps are not much. With ten, vectors formed ahead win; with thirty, integers, which
# need not be formed by levels that are not yet known.
_PLAIN = Recipe("auto", None, scales=True, adaptive=True, postfilter=True)
_SPLIT = replace(_PLAIN, shift=Secant(), direction="split")
# Vectors with a context take a third longer to decode: only where encoding takes long as well.
_SEEING = replace(_SPLIT, context=True)


def _steady(effort: Effort) -> Recipe:
    """As many steps on integers, for codecs with a context model of their own."""
    schedule = replace(_STEADY, steps=effort.schedule.steps)
    return replace(_SPLIT, quant="int", effort=_probed(replace(effort, schedule=schedule)))


def _factorized(preset: Recipe) -> Recipe:
    """The preset with what a factorized prior, which knows nothing of an image, gains most from.

    Integers, with which a context costs least time to decode.
    """
    own = replace(preset, quant="int", context=True, contextual=None)
    return replace(preset, factorized=own)


PRESETS = {
    "paper": Recipe("oct", Grid()),
    "plain": Recipe(),
    "fast": _factorized(replace(_PLAIN, effort=_ONE, contextual=_PLAIN)),
    "default": _factorized(
        replace(
            _PLAIN,
            effort=_THREE,
            contextual=replace(_PLAIN, effort=_TEN_OF_VECTORS),
        )
    ),
    "slow": _factorized(
        replace(
            _SEEING,
            effort=_TENS,
            contextual=_steady(_TENS),
        )
    ),
    "best": _factorized(
        replace(
            _SEEING,
            effort=_SIXTY,
            contextual=_steady(_SIXTY),
        )
    ),
}
"""By name, from the cheapest encoder but `paper` on; docs/measurements.md has times and gains."""


# Integers at fixed scales leave all of the gain to the search, so that each step is worth more; and
# the model's own coder takes its time whatever the search does. From four steps on momentum pays,
# and from thirty on it pays to ask how sensitive this image is, rather than random latents.
_FOUR = Schedule(4, (1.5, 0.3), (0.3, 0.2), caution=2, momentum=0.4)
_NATIVE_TWO = Effort(Schedule(2, (1.0, 0.5), (0.3, 0.3), caution=2), verify=False)
_NATIVE_FOUR = Effort(_FOUR, side=_SIDE_FIVE)
_NATIVE_TENS = Effort(_THIRTY, side=_SIDE_TEN, probes=2)
_NATIVE_SIXTY = Effort(
    Schedule(60, (2.0, 0.1), (0.2, 0.1), momentum=0.8), side=_SIDE_TEN, probes=2, draft=False
)


def _native(effort: Effort, contextual: Effort) -> Recipe:
    other = Recipe(effort=_probed(contextual)).but(format=NATIVE)
    return replace(Recipe(effort=effort).but(format=NATIVE), contextual=other)


NATIVE_PRESETS = {
    "fast": _native(_NATIVE_TWO, _NATIVE_FOUR),
    "default": _native(_NATIVE_FOUR, _TEN),
    "slow": _native(_NATIVE_TENS, _NATIVE_TENS),
    "best": _native(_NATIVE_SIXTY, _NATIVE_SIXTY),
}
"""The same of the format ``compressai``: what its search spends."""
