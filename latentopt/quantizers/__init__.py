"""What stands for a channel in training: differentiable modules that a latent goes through."""

from latentopt.quantizers.base import Quantizer, install, remove
from latentopt.quantizers.noise import Noise
from latentopt.quantizers.soft_round import (
    SoftRound,
    soft_reconstruction,
    soft_round,
    soft_round_inverse,
)
from latentopt.quantizers.soft_straight_through import SoftStraightThrough
from latentopt.quantizers.straight_through import StraightThrough

__all__ = [
    "Noise",
    "Quantizer",
    "SoftRound",
    "SoftStraightThrough",
    "StraightThrough",
    "install",
    "remove",
    "soft_reconstruction",
    "soft_round",
    "soft_round_inverse",
]
