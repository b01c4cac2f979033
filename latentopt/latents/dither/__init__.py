"""The dithered channel: lattice points moved by noise that both sides draw from a seed."""

from latentopt.latents.dither.channel import DitherChannel
from latentopt.latents.dither.dithered import DitheredLatent
from latentopt.latents.dither.gauss import GaussChannel
from latentopt.latents.dither.philox import philox, places
from latentopt.latents.dither.which import DITHERED, LATENTS, Dither, at_depth
from latentopt.latents.lattice.placed import PLACES

__all__ = [
    "DITHERED",
    "LATENTS",
    "PLACES",
    "Dither",
    "DitherChannel",
    "DitheredLatent",
    "GaussChannel",
    "at_depth",
    "philox",
    "places",
]
