"""The sampled channel: a sample of a distribution crosses, not a point."""

from latentopt.latents.sampling.channel import MAKERS, SampleChannel, SampledLatent
from latentopt.latents.sampling.drawn import Drawn
from latentopt.latents.sampling.sampler import Sampler
from latentopt.latents.sampling.spread import Sampling, above, of_level
from latentopt.latents.sampling.staircase import Steps

__all__ = [
    "MAKERS",
    "Drawn",
    "SampleChannel",
    "SampledLatent",
    "Sampler",
    "Sampling",
    "Steps",
    "above",
    "of_level",
]
