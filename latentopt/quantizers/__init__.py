"""What stands for a channel in training: differentiable modules that a latent goes through."""

from latentopt.quantizers.base import Quantizer, install, remove
from latentopt.quantizers.beginnings import Components, components
from latentopt.quantizers.map_prior import MapPrior
from latentopt.quantizers.noise import Noise
from latentopt.quantizers.one_hot import OneHotMax, is_kept, kept_maps
from latentopt.quantizers.soft_round import (
    SoftRound,
    soft_reconstruction,
    soft_round,
    soft_round_inverse,
)
from latentopt.quantizers.soft_straight_through import SoftStraightThrough
from latentopt.quantizers.straight_through import StraightThrough

__all__ = [
    "Components",
    "MapPrior",
    "Noise",
    "OneHotMax",
    "Quantizer",
    "SoftRound",
    "SoftStraightThrough",
    "StraightThrough",
    "components",
    "install",
    "is_kept",
    "kept_maps",
    "remove",
    "soft_reconstruction",
    "soft_round",
    "soft_round_inverse",
]
