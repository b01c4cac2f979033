"""How long a decoder is trained, and on how much."""

from dataclasses import dataclass

from latentopt.errors import InputError


@dataclass(frozen=True)
class Budget:
    """Of one fine-tuning.

    Raises:
        InputError: a number is not positive, a seed is below 0, or steps are fewer than rounds.
    """

    steps: int = 600
    """Of Adam, in all rounds."""
    rounds: int = 3
    """How often crops are drawn and coded: their encoder knows the decoder of the round before."""
    crops: int = 256
    """In each round. A decoder soon knows few crops by heart, and is worse on others."""
    crop: int = 256
    """Pixels a side, a multiple of the codec's stride."""
    batch: int = 4
    """Crops in each step."""
    learning_rate: float = 3e-5
    """The highest, after a twentieth of the steps."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "rounds", "crops", "crop", "batch", "learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} {getattr(self, name)}: it must be positive")
        if self.seed < 0:
            raise InputError(f"seed {self.seed}: it must not be negative")
        if self.steps < self.rounds:
            raise InputError(f"steps {self.steps}: at least one in each of {self.rounds} rounds")

    @property
    def steps_a_round(self) -> int:
        """Of every round but the last, which may be shorter."""
        return -(-self.steps // self.rounds)
