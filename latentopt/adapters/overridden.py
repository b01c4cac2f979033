"""Whether a model codes as its family does: adapters stand in for methods that they never call."""

from collections.abc import Iterable

from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.models import JointAutoregressiveHierarchicalPriors
from compressai.models.video import ScaleSpaceFlow
from torch import nn

from latentopt.errors import UnsupportedModelError

_VERBS = ("compress", "decompress")
_METHODS: dict[type[nn.Module], tuple[str, ...]] = {
    JointAutoregressiveHierarchicalPriors: (*_VERBS, "_compress_ar", "_decompress_ar"),
    ScaleSpaceFlow: (
        *_VERBS,
        *("encode_keyframe", "decode_keyframe", "encode_inter", "decode_inter"),
    ),
}
_ROUNDING = ("quantize", "dequantize")
_ENTROPY_MODELS: dict[type[nn.Module], tuple[str, ...]] = {
    EntropyBottleneck: (*_VERBS, *_ROUNDING, "_logits_cumulative", "_get_medians"),
    GaussianConditional: (*_VERBS, *_ROUNDING, "_standardized_cumulative", "build_indexes"),
}


def check_entropy_models(model: nn.Module) -> None:
    """Raises UnsupportedModelError where one of a model's densities is not what adapters read."""
    for module in model.modules():
        for family, names in _ENTROPY_MODELS.items():
            own = isinstance(module, family) and _first(module, family, names)
            if own:
                raise UnsupportedModelError(
                    f"{type(model).__qualname__} codes with a {type(module).__qualname__}, whose "
                    f"{own}() is not that of {family.__name__}: densities other than that have "
                    "no adapter yet"
                )


def refuse_overridden(module: nn.Module, family: type[nn.Module]) -> None:
    """Raises UnsupportedModelError where a module has of its own what nobody would call."""
    own = _first(module, family, _METHODS.get(family, _VERBS))
    if own:
        raise UnsupportedModelError(
            f"{type(module).__qualname__} has a {own}() of its own, which a wrapped codec would "
            f"not call, as it replaces that of {family.__name__}: put what it does into the "
            "synthesis of an adapter (docs/guide/your-own-codec.md)"
        )


def _first(module: nn.Module, family: type[nn.Module], names: Iterable[str]) -> str | None:
    """Overridden by the module's class, or in the instance itself."""
    kept = (getattr(type(module), name) is getattr(family, name) for name in names)
    return next((n for n, same in zip(names, kept) if not same or n in vars(module)), None)
