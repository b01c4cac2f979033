"""Adapters: the only place that knows a codec's insides."""

from latentopt.models.base import (
    Adapter,
    ChannelAdapter,
    Parameters,
    SideAdapter,
    channel_prior,
)
from latentopt.models.registry import SUPPORTED, adapter_class
from latentopt.models.stepped import with_step

__all__ = [
    "SUPPORTED",
    "Adapter",
    "ChannelAdapter",
    "Parameters",
    "SideAdapter",
    "adapter_class",
    "channel_prior",
    "with_step",
]
