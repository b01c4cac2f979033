"""What a dither is and which latents are dithered, and how a header says it."""

from dataclasses import dataclass, replace

from latentopt.bitstream import Settings
from latentopt.bitstream.headers import LATTICE, SAMPLE
from latentopt.errors import InputError
from latentopt.latents.dither.soft import check_alpha

LATENTS = ("all", "main", "side")
"""What may be dithered; with ``side`` the main latent is a lattice's points as ever."""

DITHERED = {f"dither-{name}": name for name in LATENTS}
"""The channels of these latents, by the names that headers have."""

SEEDS = 1 << 32
SIGMAS = 0.1, 16.0
"""Deviations of Gaussian noise, the least and the greatest."""


@dataclass(frozen=True)
class Dither:
    """A dither: its seed, the latents that it is for, and what goes with it.

    >>> Dither(7).channel, Dither(7, "side").channel
    ('dither-all', 'dither-side')

    Raises:
        InputError: there is no such seed, latents, alpha or sigma; or both of these.
    """

    seed: int
    """0 to 2^32 - 1."""
    latents: str = "all"
    """``all``, ``main`` or ``side``."""
    alpha: float = 0.0
    """Of soft rounding before the dither, which is undone after it: 0, none, to 64. For ``int``."""
    sigma: float = 0.0
    """Standard deviation of Gaussian noise in place of uniform noise, 0.1 to 16, in latent units;
    0: uniform noise. For ``int``."""
    mean: bool = False
    """Whether a decoder takes, for the point z that arrives, the mean of what may have been sent:
    E[y | z]."""

    def __post_init__(self) -> None:
        if type(self.seed) is not int or not 0 <= self.seed < SEEDS:
            raise InputError(f"dither {self.seed!r}: a seed is a whole number from 0 to 2^32 - 1")
        if self.latents not in LATENTS:
            raise InputError(f"dithered {self.latents!r}: choose {', '.join(LATENTS)}")
        for name in ("alpha", "sigma"):
            if type(getattr(self, name)) not in (int, float):
                raise InputError(f"{name} {getattr(self, name)!r}: it is a number")
        check_alpha(self.alpha)
        if self.sigma and not SIGMAS[0] <= self.sigma <= SIGMAS[1]:
            least, greatest = SIGMAS
            raise InputError(f"sigma {self.sigma}: Gaussian noise has {least:g} to {greatest:g}")
        if self.alpha and self.sigma:
            raise InputError("alpha and sigma exclude each other: soft rounding has uniform noise")
        if type(self.mean) is not bool:
            raise InputError(f"mean {self.mean!r}: it is True or False")

    @property
    def channel(self) -> str:
        """Its name in headers."""
        return f"dither-{self.latents}"

    def check_lattice(self, quant: str) -> None:
        """Raises InputError where it is for integers alone, and the lattice is another."""
        if quant != "int" and (self.alpha or self.sigma):
            name = "alpha" if self.alpha else "sigma"
            raise InputError(f"{name} is for integers, not {quant!r}: give quant='int'")

    def said_in(self, settings: Settings) -> Settings:
        """The settings of a codec that is dithered so."""
        own = replace(settings, channel=self.channel, seed=self.seed)
        return replace(own, alpha=self.alpha, sigma=self.sigma, mean=self.mean)

    @staticmethod
    def of(settings: Settings) -> "Dither | None":
        """That of a header's settings; InputError where channel and seed do not go together."""
        own = settings.alpha, settings.sigma, settings.mean
        draws = settings.channel in DITHERED or settings.channel == SAMPLE
        if draws != (settings.seed is not None):
            which = "without a seed" if draws else "with a seed"
            raise InputError(f"channel {settings.channel!r} {which}")
        if settings.seed is None or settings.channel == SAMPLE:
            if any(own):
                raise InputError(f"channel {settings.channel!r} with what goes with a dither")
            return None
        found = Dither(settings.seed, DITHERED[settings.channel], *own)
        found.check_lattice(settings.quant)
        return found


def at_depth(settings: Settings, depth: int) -> Settings:
    """The settings of the latent so many below the main one: plain ones where it has no dither."""
    latents = DITHERED.get(settings.channel, "all")
    if latents == "all" or (latents == "main") == (depth == 0):
        return settings
    return replace(settings, channel=LATTICE, seed=None)
