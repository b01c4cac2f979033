"""Adapters: the only place that knows a codec's insides."""

from latentopt.adapters.base import Adapter, ChannelAdapter
from latentopt.adapters.checkout import load_dcvc
from latentopt.adapters.context import ContextAdapter
from latentopt.adapters.dcvc import DualPriorAdapter, EVCAdapter, FourPartAdapter, intra
from latentopt.adapters.dcvc_net import DCVCAdapter
from latentopt.adapters.factorized import FactorizedAdapter
from latentopt.adapters.hyperprior import MeanScaleAdapter, ScaleAdapter
from latentopt.adapters.one_hot_maps import OneHotAdapter, is_one_hot
from latentopt.adapters.predicted import Knowing, VideoAdapter
from latentopt.adapters.reference import Reference
from latentopt.adapters.registry import adapter_class
from latentopt.adapters.side import Conditioned, Describe, Leaf, Parameters, SideAdapter
from latentopt.adapters.ssf import ScaleSpaceFlowAdapter
from latentopt.adapters.stepped import has_steps, with_step
from latentopt.adapters.tiles import Tiled
from latentopt.adapters.tree import TreeAdapter
from latentopt.adapters.variational import VariationalAdapter, is_variational
from latentopt.adapters.vbr import at_rate

__all__ = [
    "Adapter",
    "ChannelAdapter",
    "Conditioned",
    "ContextAdapter",
    "DCVCAdapter",
    "Describe",
    "DualPriorAdapter",
    "EVCAdapter",
    "FactorizedAdapter",
    "FourPartAdapter",
    "Knowing",
    "Leaf",
    "MeanScaleAdapter",
    "OneHotAdapter",
    "Parameters",
    "Reference",
    "ScaleAdapter",
    "ScaleSpaceFlowAdapter",
    "SideAdapter",
    "Tiled",
    "TreeAdapter",
    "VariationalAdapter",
    "VideoAdapter",
    "adapter_class",
    "at_rate",
    "has_steps",
    "intra",
    "is_one_hot",
    "is_variational",
    "load_dcvc",
    "with_step",
]
