"""What an encoder may spend on choosing lattice points, where it does not just take the nearest."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """How the annealing goes: first and last values, between which they run geometrically."""

    steps: int
    temperature: tuple[float, float]  # bits
    pace: tuple[float, float]  # share of the way to the new means
    caution: float = 1.0
    """How much more an error weighs than by itself, since those of all vectors add up. Of many
    steps each sees what the one before did; few steps must foresee it."""
    momentum: float = 0.0
    """Share of the last move that each step repeats."""

    def at(self, step: int) -> tuple[float, float]:
        """Temperature and pace of a step, counted from 0."""
        share = step / max(1, self.steps - 1)
        values = [a * (b / a) ** share for a, b in (self.temperature, self.pace)]
        return values[0], values[1]


@dataclass(frozen=True)
class Effort:
    """How an encoder chooses lattice points, where it does not just take the nearest."""

    schedule: Schedule
    strengths: tuple[float, ...] = (0.1,)
    """Weights of the rate in the last choice, when the annealed latent becomes points. Several are
    tried, each with its shift, and the best is kept; each costs a few decodes."""
    probes: int = 0
    """Gradients that find the sensitivity of this image's latent; 0: that of random latents."""
    side: Schedule | None = None
    """How the side latent is annealed, before the main one; None: it is rounded."""
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
