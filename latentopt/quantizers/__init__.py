"""What stands for a channel in training: differentiable modules that a latent goes through."""

from latentopt.quantizers.base import Quantizer, install
from latentopt.quantizers.map_prior import MapPrior
from latentopt.quantizers.noise import Noise
from latentopt.quantizers.one_hot import OneHotMax, is_kept, kept_maps
from latentopt.quantizers.soft_round import (
    SoftRound,
    soft_reconstruction,
    soft_round,
    soft_round_inverse,
)
from latentopt.quantizers.straight_through import StraightThrough

__all__ = [
    "MapPrior",
    "Noise",
    "OneHotMax",
    "Quantizer",
    "SoftRound",
    "StraightThrough",
    "install",
    "is_kept",
    "kept_maps",
    "soft_reconstruction",
    "soft_round",
    "soft_round_inverse",
]
