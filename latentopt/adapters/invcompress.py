"""InvCompress (Xie et al. 2021): mbt2018's entropy model around an invertible transform.

Its public code (xyq7/InvCompress) is a fork of CompressAI, not a package, so the class is known by
its structure: an autoregressive codec whose transforms are the methods ``g_a_func`` and
``g_s_func``.
"""

from torch import Tensor, nn

from latentopt.adapters.base import Places
from latentopt.adapters.context import ContextAdapter

_ENTROPY_MODEL = ("h_a", "h_s", "context_prediction", "entropy_parameters", "gaussian_conditional")


def is_invcompress(model: nn.Module) -> bool:
    """Whether a model is InvCompress, or built like it."""
    methods = all(callable(getattr(model, name, None)) for name in ("g_a_func", "g_s_func"))
    return methods and all(hasattr(model, name) for name in _ENTROPY_MODEL)


class InvCompressAdapter(ContextAdapter):
    """The two methods as analysis and synthesis, which share one network."""

    @property
    def places(self) -> Places | None:
        return Places(("g_a_func", "h_a"), "g_s_func")

    def analysis(self, x: Tensor) -> Tensor:
        return self.model.g_a_func(x)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        return self.model.g_s_func(y_hat)

    @property
    def synthesis_parts(self) -> list[nn.Module]:
        return [self.model]
