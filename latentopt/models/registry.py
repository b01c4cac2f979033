"""Which adapter fits a model."""

from compressai.models import (
    CompressionModel,
    FactorizedPrior,
    MeanScaleHyperprior,
    ScaleHyperprior,
)
from torch import nn

from latentopt.errors import UnsupportedModelError
from latentopt.models.base import Adapter
from latentopt.models.factorized import FactorizedAdapter
from latentopt.models.hyperprior import MeanScaleAdapter, ScaleAdapter

_ADAPTERS: dict[type[CompressionModel], type[Adapter]] = {
    FactorizedPrior: FactorizedAdapter,
    MeanScaleHyperprior: MeanScaleAdapter,
    ScaleHyperprior: ScaleAdapter,
}

SUPPORTED = (
    "bmshj2018-factorized",
    "bmshj2018-factorized-relu",
    "bmshj2018-hyperprior",
    "mbt2018-mean",
)
"""CompressAI zoo names of the codecs that have an adapter."""


def adapter_class(model: nn.Module) -> type[Adapter]:
    """The adapter of a model's family.

    A subclass counts as its parent as long as it codes in the same way, that is, as long as it has
    not overridden ``compress``: autoregressive codecs inherit from MeanScaleHyperprior and have.

    Raises:
        UnsupportedModelError: there is none; the message names the class and what is supported.
    """
    for family, adapter in _ADAPTERS.items():
        if isinstance(model, family) and type(model).compress is family.compress:
            return adapter
    names = ", ".join(family.__name__ for family in _ADAPTERS)
    raise UnsupportedModelError(
        f"{type(model).__module__}.{type(model).__qualname__} has no adapter: supported are "
        f"compressai.models' {names}, and subclasses that keep their compress()"
    )
