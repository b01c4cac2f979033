"""Context: what has crossed of a latent says how wide the rest of it is, and where it lies."""

from latentopt.latents.lattice.context.adaptation import FRACTION, Base, Context, Predictor
from latentopt.latents.lattice.context.network import Network
from latentopt.latents.lattice.context.passes import Pass, schedule
from latentopt.latents.lattice.context.surroundings import UNIT, Features, Surroundings
from latentopt.latents.lattice.context.switch import decode_switch, encode_switch
from latentopt.latents.lattice.context.universal import ship_network, split_dump

__all__ = [
    "FRACTION",
    "UNIT",
    "Base",
    "Context",
    "Features",
    "Network",
    "Pass",
    "Predictor",
    "Surroundings",
    "decode_switch",
    "encode_switch",
    "schedule",
    "ship_network",
    "split_dump",
]
