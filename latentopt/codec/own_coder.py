"""A model's own coder, fed with latents that were chosen elsewhere, and its own tables.

    chosen y, z ─► compress of a view whose analyses give just these ─► the model's own strings
    strings ─────► decompress of a view whose synthesis keeps what it is given ─► y_hat

A family's ``compress`` is its own code whatever the family is: latents that lie on its lattice are
rounded to themselves.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypedDict, TypeVar

import torch
from compressai.entropy_models import EntropyBottleneck, EntropyModel, GaussianConditional
from torch import Tensor, nn

from latentopt.adapters import Adapter, VideoAdapter
from latentopt.densities import Density, FactorizedDensity
from latentopt.errors import UnsupportedModelError
from latentopt.latents.lattice import CdfChannel

Part = Callable[..., Tensor]
T = TypeVar("T", bound=object)


class Written(TypedDict):
    """What a model's own ``compress`` returns."""

    strings: list[list[bytes]]
    shape: torch.Size


class Updatable(Protocol):
    """A model with tables of its own."""

    def update(self) -> bool: ...


def make_ready(model: Updatable, adapter: Adapter | VideoAdapter) -> None:
    """Give a model tables where it has none; those that it has stay as they are.

    Raises:
        UnsupportedModelError: it has no coder of its own, or none that could be fed.
    """
    places = adapter.feedable if isinstance(adapter, Adapter) else adapter.places
    if places is None:
        name = type(model).__qualname__
        raise UnsupportedModelError(f"{name} has no coder that format 'compressai' can run")
    model.update()


def renew_tables(model: nn.Module) -> None:
    """Make a model's tables anew of its weights; the scales that its Gaussians have stay."""
    for part in model.modules():
        if isinstance(part, EntropyBottleneck):
            part.update(force=True)
        elif isinstance(part, GaussianConditional) and part.scale_table.numel():
            part.update_scale_table(part.scale_table, force=True)


class OwnCoder:
    """Calls a model's own ``compress`` and ``decompress``; the model is never changed."""

    def __init__(self, adapter: Adapter):
        assert adapter.feedable is not None, "make_ready refuses such models"
        self._model, self._places = adapter.model, adapter.feedable

    @torch.no_grad()
    def compress(self, latents: Sequence[Tensor]) -> Written:
        """Strings and shape, as the model itself returns them.

        Args:
            latents: of a batch, the main one (B, M, h, w) first, on the model's lattices.
        """
        analyses = [Given(latent) for latent in latents]
        view = with_parts(self._model, dict(zip(self._places.analyses, analyses)))
        out = view.compress(latents[0])
        return {"strings": out["strings"], "shape": out["shape"]}

    @torch.no_grad()
    def decoded(self, strings: Sequence[Sequence[bytes]], shape: object) -> Tensor:
        """What a decoder in the field makes of them: main latents (B, M, h, w)."""
        kept = _Kept()
        with_parts(self._model, {self._places.synthesis: kept}).decompress(strings, shape)
        return kept.value


class Given(nn.Module):
    """An analysis that has but one answer."""

    def __init__(self, value: Tensor):
        super().__init__()
        self._value = value

    def forward(self, *_: Tensor) -> Tensor:
        return self._value.clone()  # some coders write into it


class _Kept(nn.Module):
    """A synthesis that makes no image, but keeps what it would make one of."""

    value: Tensor

    def forward(self, y_hat: Tensor) -> Tensor:
        self.value = y_hat
        return y_hat.new_zeros(1)


def with_parts(whole: T, parts: Mapping[str, Part]) -> T:
    """A view of a module, or of a dict of modules, in which parts of these names are others.

    It shares everything else with the module, which stays as it is.
    """
    view: Any = copy.copy(whole)
    if isinstance(view, nn.Module):
        view._modules = dict(view._modules)
    for name, part in parts.items():
        head, _, rest = name.partition(".")
        _put(view, head, with_parts(_get(view, head), {rest: part}) if rest else part)
    found: T = view
    return found


def _get(whole: Any, name: str) -> Any:
    return whole[name] if isinstance(whole, dict) else getattr(whole, name)


def _put(whole: Any, name: str, part: object) -> None:
    if isinstance(whole, dict):
        whole[name] = part
    else:  # where it is found before a method of the class
        whole._modules.pop(name, None)
        vars(whole)[name] = part


# -- its tables ------------------------------------------------------------------------------------


def native_channels(adapter: Adapter) -> tuple[CdfChannel, ...]:
    """What the model's own coder charges for its latents, the main one first.

    Raises:
        UnsupportedModelError: the model has no such coder.
    """
    models = [(density, _entropy_model(adapter, density)) for density in adapter.densities]
    return tuple(CdfChannel(density, model) for density, model in models)


def _entropy_model(adapter: Adapter, density: Density) -> EntropyModel:
    """What codes a latent of this density: of one kind, all have equal tables."""
    kind = EntropyBottleneck if isinstance(density, FactorizedDensity) else GaussianConditional
    for module in adapter.model.modules():
        if isinstance(module, kind) and module._quantized_cdf.numel():
            return module
    raise UnsupportedModelError(f"{type(adapter.model).__qualname__} has no {kind.__name__}")
