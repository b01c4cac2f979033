"""The sampled channel: a sample of a distribution crosses, not a point."""

from latentopt.latents.sampling.channel import MAKERS, SampleChannel, SampledLatent, Sampler
from latentopt.latents.sampling.drawn import Drawn
from latentopt.latents.sampling.steps import Steps
from latentopt.latents.sampling.which import Sampling, above

__all__ = [
    "MAKERS",
    "Drawn",
    "SampleChannel",
    "SampledLatent",
    "Sampler",
    "Sampling",
    "Steps",
    "above",
]
