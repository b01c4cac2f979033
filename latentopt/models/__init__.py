"""Adapters: the only place that knows a codec's insides."""

from latentopt.models.base import (
    Adapter,
    ChannelAdapter,
    Parameters,
    SideAdapter,
    channel_prior,
)
from latentopt.models.checkout import load_dcvc
from latentopt.models.context import ContextAdapter
from latentopt.models.dcvc import DualPriorAdapter, FourPartAdapter, intra
from latentopt.models.dcvc_net import DCVCAdapter
from latentopt.models.factorized import FactorizedAdapter
from latentopt.models.hyperprior import MeanScaleAdapter, ScaleAdapter
from latentopt.models.registry import adapter_class
from latentopt.models.ssf import ScaleSpaceFlowAdapter
from latentopt.models.stepped import with_step
from latentopt.models.tree import TreeAdapter
from latentopt.models.video import PredictedAdapter, VideoAdapter

__all__ = [
    "Adapter",
    "ChannelAdapter",
    "ContextAdapter",
    "DCVCAdapter",
    "DualPriorAdapter",
    "FactorizedAdapter",
    "FourPartAdapter",
    "MeanScaleAdapter",
    "Parameters",
    "PredictedAdapter",
    "ScaleAdapter",
    "ScaleSpaceFlowAdapter",
    "SideAdapter",
    "TreeAdapter",
    "VideoAdapter",
    "adapter_class",
    "channel_prior",
    "intra",
    "load_dcvc",
    "with_step",
]
