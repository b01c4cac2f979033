"""Which adapter fits a model."""

from compressai.models import (
    CompressionModel,
    FactorizedPrior,
    JointAutoregressiveHierarchicalPriors,
    MeanScaleHyperprior,
    ScaleHyperprior,
)
from compressai.models.base import SimpleVAECompressionModel
from compressai.models.video import ScaleSpaceFlow
from torch import nn

from latentopt.adapters.base import Adapter
from latentopt.adapters.context import ContextAdapter
from latentopt.adapters.dcvc import intra_class
from latentopt.adapters.dcvc_dc import is_dc
from latentopt.adapters.dcvc_fm import is_fm
from latentopt.adapters.dcvc_hem import is_dmc
from latentopt.adapters.dcvc_net import is_dcvc_net
from latentopt.adapters.dcvc_rt import is_rt
from latentopt.adapters.dcvc_tcm import TCMIntraAdapter, is_tcm, is_tcm_intra
from latentopt.adapters.factorized import FactorizedAdapter
from latentopt.adapters.hyperprior import MeanScaleAdapter, ScaleAdapter
from latentopt.adapters.invcompress import InvCompressAdapter, is_invcompress
from latentopt.adapters.one_hot_maps import OneHotAdapter, is_one_hot
from latentopt.adapters.overridden import check_entropy_models, refuse_overridden
from latentopt.adapters.plugins import plugin_class
from latentopt.adapters.predicted import VideoAdapter
from latentopt.adapters.ssf import ScaleSpaceFlowAdapter
from latentopt.adapters.tree import TreeAdapter, is_tree
from latentopt.adapters.variational import VariationalAdapter, is_variational
from latentopt.adapters.vbr import rate_adapter
from latentopt.errors import UnsupportedModelError

_ADAPTERS: dict[type[CompressionModel], type[Adapter] | type[VideoAdapter]] = {
    FactorizedPrior: FactorizedAdapter,
    JointAutoregressiveHierarchicalPriors: ContextAdapter,
    MeanScaleHyperprior: MeanScaleAdapter,
    ScaleHyperprior: ScaleAdapter,
    ScaleSpaceFlow: ScaleSpaceFlowAdapter,
}


def adapter_class(model: nn.Module) -> type[Adapter] | type[VideoAdapter]:
    """The adapter of a model's family.

    What an installed package brings for the model's own class comes first. A subclass counts as
    its parent as long as it codes in the same way, that is, as long as it has
    not overridden ``compress``: autoregressive codecs inherit from MeanScaleHyperprior and have.

    Raises:
        UnsupportedModelError: there is none, or it is broken; the message names the class and what
            is supported. Or what the model overrides, its decompress() or a density, would never
            be called.
    """
    brought = plugin_class(model)
    if brought:
        return brought
    if is_variational(model):
        return VariationalAdapter
    if is_tree(model):
        if isinstance(model, SimpleVAECompressionModel):
            refuse_overridden(model, SimpleVAECompressionModel)
        check_entropy_models(model)
        return TreeAdapter
    if is_invcompress(model):
        return InvCompressAdapter
    if is_one_hot(model):
        return OneHotAdapter
    predicted = {
        is_dcvc_net: "dcvc_net",
        is_tcm: "dcvc_tcm",
        is_dmc: "dcvc_hem",
        is_dc: "dcvc_dc",
        is_fm: "dcvc_fm",
        is_rt: "dcvc_rt",
    }
    for is_such, module in predicted.items():
        if is_such(model):
            raise UnsupportedModelError(
                f"{type(model).__name__} codes predicted frames only: give it a codec for key "
                f"frames with wrap(model, adapter={module}.video(key, adapter_class(key))): "
                "docs/guide/dcvc.md"
            )
    if is_tcm_intra(model):
        return TCMIntraAdapter
    found = intra_class(model) or rate_adapter(model)
    if found:
        return found
    for family, adapter in _ADAPTERS.items():
        if isinstance(model, family) and type(model).compress is family.compress:
            refuse_overridden(model, family)
            check_entropy_models(model)
            return adapter
    names = ", ".join(family.__name__ for family in _ADAPTERS)
    raise UnsupportedModelError(
        f"{type(model).__module__}.{type(model).__qualname__} has no adapter: supported are "
        f"compressai.models' {names}, subclasses that keep their compress(), InvCompress, and "
        "models assembled from compressai.latent_codecs. For a codec of your own, pass "
        "wrap(model, adapter=...): docs/guide/your-own-codec.md"
    )
