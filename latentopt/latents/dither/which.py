"""Which latents are dithered, and how a header says it."""

from dataclasses import dataclass, replace

from latentopt.bitstream import Settings
from latentopt.bitstream.headers import LATTICE, SAMPLE
from latentopt.errors import InputError

LATENTS = ("all", "main", "side")
"""What may be dithered; with ``side`` the main latent is a lattice's points as ever."""

DITHERED = {f"dither-{name}": name for name in LATENTS}
"""The channels of these latents, by the names that headers have."""

SEEDS = 1 << 32


@dataclass(frozen=True)
class Dither:
    """A dither: its seed, 0 to 2^32 - 1, and the latents that it is for.

    >>> Dither(7).channel, Dither(7, "side").channel
    ('dither-all', 'dither-side')

    Raises:
        InputError: there is no such seed, or no such latents.
    """

    seed: int
    latents: str = "all"

    def __post_init__(self) -> None:
        if type(self.seed) is not int or not 0 <= self.seed < SEEDS:
            raise InputError(f"dither {self.seed!r}: a seed is a whole number from 0 to 2^32 - 1")
        if self.latents not in LATENTS:
            raise InputError(f"dithered {self.latents!r}: choose {', '.join(LATENTS)}")

    @property
    def channel(self) -> str:
        """Its name in headers."""
        return f"dither-{self.latents}"

    @staticmethod
    def of(settings: Settings) -> "Dither | None":
        """That of a header's settings; InputError where channel and seed do not go together."""
        draws = settings.channel in DITHERED or settings.channel == SAMPLE
        if draws != (settings.seed is not None):
            raise InputError(f"channel {settings.channel!r} with the seed {settings.seed}")
        if settings.seed is None or settings.channel == SAMPLE:
            return None
        return Dither(settings.seed, DITHERED[settings.channel])


def at_depth(settings: Settings, depth: int) -> Settings:
    """The settings of the latent so many below the main one: plain ones where it has no dither."""
    latents = DITHERED.get(settings.channel, "all")
    if latents == "all" or (latents == "main") == (depth == 0):
        return settings
    return replace(settings, channel=LATTICE, seed=None)
