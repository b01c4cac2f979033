"""Channels: how a latent crosses from encoder to decoder."""

from latentopt.latents.adaptive import AdaptiveChannel
from latentopt.latents.channel import SPLITS, Channel, Coded, Crossed, Gaussian, Point
from latentopt.latents.prior import Ledger, Prior
from latentopt.latents.registry import CHANNELS, MakeChannel, make_channel
from latentopt.latents.walk import AtOnce, Carry, OfChannels, Walk, take_across

__all__ = [
    "CHANNELS",
    "SPLITS",
    "AdaptiveChannel",
    "AtOnce",
    "Carry",
    "Channel",
    "Coded",
    "Crossed",
    "Gaussian",
    "Ledger",
    "MakeChannel",
    "OfChannels",
    "Point",
    "Prior",
    "Walk",
    "make_channel",
    "take_across",
]
