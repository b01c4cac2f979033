"""Presets: what an encoder spends, and what it gets for it. The decoder's cost is the same for all.

Encode times are against CompressAI's own ``compress``, of docs/measurements.md.
"""

from dataclasses import dataclass, replace

from latentopt.encoder.refine import Schedule
from latentopt.errors import InputError


@dataclass(frozen=True)
class Effort:
    """How an encoder chooses lattice points, where it does not just take the nearest."""

    schedule: Schedule
    strengths: tuple[float, ...] = (0.1,)
    """Weights of the rate in the last choice, when the annealed latent becomes points. Several are
    tried, each with its shift, and the best is kept; each costs a few decodes."""
    probes: int = 0
    """Gradients that find the sensitivity of this image's latent; 0: that of random latents."""
    refits: int = 0
    """How often, during the annealing, scale corrections are fitted anew."""
    draft: bool = True
    """Analyze in low precision, too: refinement corrects it."""
    verify: bool = True
    """Decode the result, and take the nearest points instead where they cost less."""
    seconds: float | None = None
    """Time limit of the refinement of one image; with one, a stream depends on the machine."""
    progress: bool = False
    """Show a progress bar on stderr."""


@dataclass(frozen=True)
class Preset:
    """Values for the arguments of :func:`latentopt.wrap`."""

    quant: str
    shift: bool | str
    direction: str = "density"
    scales: bool = False
    effort: Effort | None = None


_ONE = Effort(Schedule(1, (0.3, 0.3), (0.4, 0.4), caution=4), verify=False)
_TWO = Effort(Schedule(2, (1.0, 0.5), (0.3, 0.3), caution=2))
_TEN = Effort(Schedule(10, (2.0, 0.3), (0.25, 0.1)))
_TENS = Effort(Schedule(30, (2.0, 0.3), (0.25, 0.05)), refits=1)
_SIXTY = Effort(Schedule(60, (2.0, 0.1), (0.2, 0.03)), refits=2, draft=False)

PRESETS = {
    "paper": Preset("oct", "grid"),
    "fast": Preset("auto", False, scales=True, effort=_ONE),
    "default": Preset("auto", False, scales=True, effort=_TWO),
    "slow": Preset("auto", "secant", "split", scales=True, effort=_TENS),
    "best": Preset("auto", "secant", "split", scales=True, effort=_SIXTY),
}

# Where entropy parameters depend on what was decoded, the coding itself repacks the vectors that
# were annealed, so integers keep more of it; and random latents, drawn without a context, say less
# of the sensitivity. Such codecs' own encoders take so long that ten steps are not much.
_PROBED = {
    name: replace(effort, probes=2, schedule=replace(effort.schedule, caution=1.5))
    for name, effort in (("default", _TEN), ("slow", _TENS), ("best", _SIXTY))
}
_CONTEXTUAL = {
    **{name: replace(PRESETS[name], quant="int", effort=e) for name, e in _PROBED.items()},
    "paper": PRESETS["paper"],
    "fast": Preset("auto", False, scales=True),
}


def get_preset(name: str, contextual: bool = False) -> Preset:
    """The preset of that name, for codecs with or without a context model.

    Raises:
        InputError: no such preset; the message lists the names.
    """
    try:
        return (_CONTEXTUAL if contextual else PRESETS)[name]
    except KeyError:
        raise InputError(f"unknown preset {name!r}: choose {', '.join(PRESETS)}") from None
