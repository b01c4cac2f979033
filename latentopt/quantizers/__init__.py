"""What stands for a channel in training: differentiable modules that a latent goes through."""

from latentopt.quantizers.base import Quantizer, install
from latentopt.quantizers.noise import Noise
from latentopt.quantizers.soft_round import (
    SoftRound,
    soft_reconstruction,
    soft_round,
    soft_round_inverse,
)
from latentopt.quantizers.straight_through import StraightThrough

__all__ = [
    "Noise",
    "Quantizer",
    "SoftRound",
    "StraightThrough",
    "install",
    "soft_reconstruction",
    "soft_round",
    "soft_round_inverse",
]
