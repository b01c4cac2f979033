"""Training: data, losses, schedules, and a loop that goes on where it stopped, for any model."""

from latentopt.training.clips import Clips
from latentopt.training.entropy import fit_densities, fit_quantiles, in_float32, parameter_groups
from latentopt.training.inherit import inherit, transforms
from latentopt.training.loop import Loop, Loss, Options, Source, Task, Terms
from latentopt.training.losses import Coded, RateDistortion
from latentopt.training.optimizers import soap
from latentopt.training.photographs import InTurn, Photographs, split, validation_images
from latentopt.training.rate_adaptation import Ramp, RateAdaptive, Rates, adaptive_loss
from latentopt.training.schedules import TimedCosine, WarmCosine
from latentopt.training.spectral import hold_norms, release_norms

__all__ = [
    "Clips",
    "Coded",
    "InTurn",
    "Loop",
    "Loss",
    "Options",
    "Photographs",
    "Ramp",
    "RateAdaptive",
    "RateDistortion",
    "Rates",
    "Source",
    "Task",
    "Terms",
    "TimedCosine",
    "WarmCosine",
    "adaptive_loss",
    "fit_densities",
    "fit_quantiles",
    "hold_norms",
    "in_float32",
    "inherit",
    "parameter_groups",
    "release_norms",
    "soap",
    "split",
    "transforms",
    "validation_images",
]
