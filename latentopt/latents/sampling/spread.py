"""Which posterior is sampled, by which coder, from which seed; and how a header says it."""

from dataclasses import dataclass, replace

from latentopt.bitstream import Settings
from latentopt.bitstream.headers import LATTICE, SAMPLE, SAMPLERS
from latentopt.errors import InputError, WordError
from latentopt.latents.dither.which import SEEDS

LEAST, MOST = 16, 16_000
"""Spreads, in thousandths."""


@dataclass(frozen=True)
class Sampling:
    """A sample of N(y, spread^2) is sent for each element y of the main latent.

    >>> Sampling(0.29).sampler, Sampling(0.29, "ordered", seed=7).thousandths
    ('layered', 290)

    Raises:
        InputError: a spread that no header has, no such coder, or no such seed.
    """

    spread: float
    """Standard deviation in units of the codec's step, 0.016 to 16, in whole thousandths. Of a
    codec that is trained for samples: how many times as wide as its own posteriors."""
    sampler: str = "layered"
    """The coder, one of :data:`latentopt.bitstream.headers.SAMPLERS`."""
    seed: int = 0
    """Of what both sides draw, 0 to 2^32 - 1."""

    def __post_init__(self) -> None:
        if not self._is_number() or not self._is_in_thousandths():
            raise WordError(
                "{}: it is from 0.016 to 16, in whole thousandths, as 0.289",
                ("spread", self.spread),
            )
        if self.sampler not in SAMPLERS:
            raise InputError(f"unknown sampler {self.sampler!r}: choose {', '.join(SAMPLERS)}")
        if type(self.seed) is not int or not 0 <= self.seed < SEEDS:
            raise InputError(f"seed {self.seed!r}: a seed is a whole number from 0 to 2^32 - 1")

    def _is_number(self) -> bool:
        return isinstance(self.spread, int | float) and not isinstance(self.spread, bool)

    def _is_in_thousandths(self) -> bool:
        within = LEAST <= 1000 * self.spread <= MOST  # also False where it is NaN
        return within and self.thousandths / 1000 == self.spread

    @property
    def thousandths(self) -> int:
        """The spread as headers have it."""
        return round(1000 * self.spread)

    @staticmethod
    def of(settings: Settings) -> "Sampling | None":
        """That of a header's settings; InputError where they do not go together."""
        said = settings.spread is not None, settings.sampler is not None
        if any(is_said != (settings.channel == SAMPLE) for is_said in said):
            which = "without" if settings.channel == SAMPLE else "with"
            raise InputError(f"channel {settings.channel!r} {which} a spread and a sampler")
        if settings.spread is None or settings.sampler is None:
            return None
        if settings.seed is None:
            raise InputError(f"channel {settings.channel!r} without a seed")
        return Sampling(settings.spread / 1000, settings.sampler, settings.seed)

    def said_in(self, settings: Settings) -> Settings:
        """The mirror of :meth:`of`."""
        spread, sampler = self.thousandths, self.sampler
        return replace(settings, channel=SAMPLE, seed=self.seed, spread=spread, sampler=sampler)


def of_level(settings: Settings, depth: int) -> Settings:
    """The settings of the latent so many below the main one, all of which are sampled.

    Of ``is-gs`` the main one goes by greedy sampling, the others by importance sampling.
    """
    if settings.sampler != "is-gs":
        return settings
    return replace(settings, sampler="adaptive" if depth else "greedy")


def above(settings: Settings) -> Settings:
    """The settings of latents below the main one: which are not sampled."""
    if settings.channel != SAMPLE:
        return settings
    return replace(settings, channel=LATTICE, seed=None, spread=None, sampler=None)
