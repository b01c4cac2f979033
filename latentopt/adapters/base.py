"""What the flow of an image asks of a codec family: its networks and its entropy parameters."""

import copy
import hashlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters.geometry import fitting_stride
from latentopt.adapters.quick import quick
from latentopt.adapters.reference import Reference
from latentopt.adapters.scales import STANDARD_SCALES
from latentopt.adapters.still import canonical, peeled, uncompiled
from latentopt.adapters.winograd import quicken
from latentopt.densities import Density, FactorizedDensity
from latentopt.errors import UnsupportedModelError
from latentopt.latents import OfChannels, Walk

Transform = Callable[[nn.Module, Tensor], Tensor]

T = TypeVar("T")
Network = TypeVar("Network", bound=nn.Module)
_DERIVING = threading.RLock()


@dataclass(frozen=True)
class Places:
    """Where a model keeps the networks around its own entropy coding: dotted names of parts."""

    analyses: tuple[str, ...] = ("g_a", "h_a")
    """What gives each latent, the main one's first."""
    synthesis: str = "g_s"


def deriving() -> AbstractContextManager[object]:
    """Held while what follows from weights is made: what one thread makes, others wait for."""
    return _DERIVING


def _forked() -> None:
    """A forked process has none of its parent's threads: none that might hold the lock, and none
    of OpenMP's, for which it would wait for ever."""
    global _DERIVING
    _DERIVING = threading.RLock()
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class derived(Generic[T]):
    """A property of an adapter that follows from the weights, see :meth:`Adapter.keep`."""

    def __init__(self, compute: Callable[..., T]):
        self._compute = compute
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, adapter: None, owner: type) -> Self: ...
    @overload
    def __get__(self, adapter: "Adapter", owner: type) -> T: ...
    def __get__(self, adapter: "Adapter | None", owner: type) -> Self | T:
        if adapter is None:
            return self
        return adapter.keep(self._compute.__qualname__, lambda: self._compute(adapter))


class Adapter(ABC):
    """One codec family. An adapter holds a model and calls its parts; it never changes them.

    A codec has one latent, or several of which each is described by those below: the main latent,
    from which the image is synthesized, by a side latent, and so on. Latents are coded from the
    deepest to the main one, which is the first everywhere else: in :attr:`densities`, say.

    A family whose main latent has a fixed density per channel is a :class:`ChannelAdapter`, one
    whose main latent is conditioned on a side latent a
    :class:`latentopt.adapters.side.SideAdapter`.

    Args:
        model: the codec, in eval mode.
        portable: compute what selects tables in float64 on the CPU, so that all machines agree.
        analysis, synthesis: callables (model, tensor) to use instead of ``model.g_a`` and
            ``model.g_s``, for a model that names its transforms otherwise.
    """

    contextual: bool = False
    """Whether entropy parameters of the main latent depend on what was decoded of it before."""
    local: bool = True
    """Whether some rows of the main latent can be synthesized alone."""
    in_order: bool = False
    """Whether the first channels of the main latent make an image without the others."""

    def __init__(
        self,
        model: nn.Module,
        portable: bool = True,
        analysis: Transform | None = None,
        synthesis: Transform | None = None,
    ):
        self.model: Any = model  # nn.Module, whose attributes have no static types
        self.portable = portable
        self.exact = False
        self._analysis, self._synthesis = analysis, synthesis
        self._kept: dict[str, Any] = {}
        self.refresh()

    @property
    def places(self) -> Places | None:
        """For the model's own coder, fed with latents from elsewhere; None: it cannot be."""
        return Places()

    @property
    def feedable(self) -> Places | None:
        """:attr:`places`, unless it was told of other transforms, which have no names."""
        return None if self._analysis or self._synthesis else self.places

    @property
    def dtype(self) -> torch.dtype:
        """What entropy parameters that must agree between encoder and decoder are computed in."""
        return torch.float64 if self.portable else torch.float32

    @property
    def stride(self) -> int:
        """Pixels per element of the deepest latent; images are padded to a multiple of it.

        What the model declares as its ``downsampling_factor``, or measured where it declares none
        or one that its transforms do not have.

        Raises:
            UnsupportedModelError: there is none that fits the transforms.
        """
        declared = getattr(self.model, "downsampling_factor", None)
        return self.keep("stride", lambda: fitting_stride(self, declared))

    def refresh(self) -> None:
        """Forget what was derived from the weights, and refuse what is not supported.

        Raises:
            UnsupportedModelError: a part of the model is not what the family needs.
        """
        self._kept = {}
        _ = self.densities

    def keep(self, name: str, compute: Callable[[], T]) -> T:
        """What follows from the weights: computed when first asked for, until :meth:`refresh`.

        All views of an adapter share it, and all threads.
        """
        with deriving():
            if name not in self._kept:
                self._kept[name] = compute()
            found: T = self._kept[name]
            return found

    def exactly(self) -> Self:
        """The same, but what is decoded shall be the same on all machines.

        For codecs in which it selects tables of what is coded later, as in video codecs whose
        entropy parameters depend on the frame before.
        """
        twin = copy.copy(self)
        twin.exact, twin._kept = True, {}
        return twin

    # -- encoder -----------------------------------------------------------------------------------

    def analysis(self, x: Tensor) -> Tensor:
        """Main latent (B, M, h, w) of an image batch (B, 3, H, W)."""
        return self._analysis(self.model, x) if self._analysis else self.model.g_a(x)

    @abstractmethod
    def deeper(self, y: Tensor) -> list[Tensor]:
        """The latents below the main one (B, M, h, w), the deepest last."""

    def target(self, y: NDArray[np.floating], walk: Walk) -> NDArray[np.floating]:
        """What a decoded main latent shall be near to, given what the latents below say of it.

        The latent ``y`` (M, h, w) itself, unless encoder and decoder scale it differently.
        """
        return y

    # -- both sides --------------------------------------------------------------------------------

    @abstractmethod
    def make_densities(self) -> tuple[Density, ...]:
        """Density of each latent's residual, per level, from the weights."""

    @derived
    def densities(self) -> tuple[Density, ...]:
        """Density of each latent's residual, per level."""
        return self.make_densities()

    @abstractmethod
    def walk(self, above: Sequence[NDArray], grid: tuple[int, int]) -> Walk:
        """How the next latent of one image crosses, given those decoded so far, the deepest first.

        Args:
            above: decoded latents (n,), each after its shift.
            grid: height and width of the deepest latent.
        """

    def draft(self, above: Sequence[NDArray], grid: tuple[int, int]) -> Walk:
        """:meth:`walk` in the model's own precision, for estimates that never reach a decoder."""
        return self.walk(above, grid)

    @abstractmethod
    def decoder_parts(self) -> list[nn.Module]:
        """The modules that encoder and decoder must have in common."""

    def synthesis(self, y_hat: Tensor) -> Tensor:
        """Image batch of a reconstructed main latent; not yet clipped to [0, 1]."""
        return self._synthesis(self.model, y_hat) if self._synthesis else self.model.g_s(y_hat)

    def remembered(self, y_hat: Tensor) -> tuple[Tensor, Tensor | None]:
        """:meth:`synthesis` of one image, and features of it that later frames see besides."""
        return self.synthesis(y_hat), None

    def knowing(self, reference: Reference, decoded: Mapping[str, Tensor]) -> "Adapter":
        """A view of it that knows what was decoded before this latent; encoder and decoder do.

        Args:
            reference: the frame before.
            decoded: this frame's latents that were coded before (1, M, h, w), shift included.
        """
        return self

    def alone(self) -> "Adapter":
        """A view of it that knows nothing of other frames or latents."""
        return self

    @property
    def synthesis_parts(self) -> list[nn.Module]:
        """The modules of the synthesis; the whole model where they are not known."""
        return [self.model] if self._synthesis else [self.model.g_s]

    def exact_synthesis(self, y_hat: Tensor) -> Tensor:
        """:meth:`synthesis` in float64 on the CPU."""
        return self.in_float64().synthesis(y_hat.cpu().double())

    def in_float64(self) -> Self:
        """A view of it whose networks are those of :attr:`exact_model`."""
        twin = copy.copy(self)
        twin.model = self.exact_model
        return twin

    def quickly(self) -> Self:
        """A view of it for searches and pictures in float32 on a CPU, see :func:`quick`."""
        twin = copy.copy(self)
        twin.model = self.quick_model
        return twin

    @derived
    def quick_model(self) -> nn.Module:
        """A view of the model, see :func:`quick`."""
        with torch.inference_mode(False), torch.no_grad():
            return quick(self.model)

    @derived
    def exact_model(self) -> nn.Module:
        """The model in float64 on the CPU."""
        return quicken(cpu_copy(self.model))

    def weights_digest(self) -> bytes:
        """SHA-256 of the weights that the decoder uses, whatever device they are on."""
        digest = hashlib.sha256()
        for part in self.decoder_parts():
            for name, tensor in part.state_dict().items():
                if "_quantized_cdf" in name or "_offset" in name or "_cdf_length" in name:
                    continue  # CompressAI's own tables: derived, and not used here
                digest.update(f"{canonical(name)} {tuple(tensor.shape)}\n".encode())
                digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.digest()

    def __copy__(self) -> Self:
        """A view, which shares what is kept."""
        view = object.__new__(type(self))
        vars(view).update(vars(self))
        return view

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_kept": {}}  # computed again where it is needed


class ChannelAdapter(Adapter):
    """A family with one latent, coded by a factorized prior."""

    @property
    def places(self) -> Places | None:
        return Places(("g_a",))

    @abstractmethod
    def make_densities(self) -> tuple[FactorizedDensity]:
        """Of the one latent."""

    @property
    def main_density(self) -> FactorizedDensity:
        """Of the one latent."""
        return cast(FactorizedDensity, self.densities[0])

    def deeper(self, y: Tensor) -> list[Tensor]:
        """None."""
        return []

    def walk(self, above: Sequence[NDArray], grid: tuple[int, int]) -> Walk:
        """See :meth:`Adapter.walk`: at once."""
        return OfChannels(self.main_density, grid)


class Networks(nn.Module):
    """Some of a model's modules, under their own names; they stay the model's own."""

    def __init__(self, model: nn.Module, names: Iterable[str]):
        super().__init__()
        for name in names:
            setattr(self, name, getattr(model, name))

    def get(self, name: str) -> nn.Module:
        """One of them."""
        return self.get_submodule(name)


class Scale(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float | Tensor):
        super().__init__()
        self.factor: Tensor
        self.register_buffer("factor", torch.as_tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def scale_table(module: nn.Module) -> NDArray[np.float64]:
    """The scale table of a Gaussian conditional, or of all those in a module.

    Raises:
        UnsupportedModelError: there are several.
    """
    tables = {
        tuple(table.double().tolist())
        for name, table in module.named_buffers()
        if name.endswith("scale_table") and table.numel()
    }
    if len(tables) > 1:
        raise UnsupportedModelError("the model's Gaussian conditionals have several scale tables")
    [table] = tables or {tuple(STANDARD_SCALES.tolist())}
    return np.array(table)


def cpu_copy(module: Network, dtype: torch.dtype = torch.float64) -> Network:
    """A copy on the CPU. What float64 computes agrees on every machine to about 1e-14."""
    own = cast(Network, uncompiled(copy.deepcopy(module)))
    return own.to(device="cpu", dtype=dtype).eval()


def flat_layers(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of nested Sequentials, in order."""
    module = peeled(module)
    if isinstance(module, nn.Sequential):
        for child in module:
            yield from flat_layers(child)
    else:
        yield module


def as_numpy(x: Tensor) -> NDArray:
    """As float64 where it is, else as float32."""
    exact = x.dtype == torch.float64
    return x.detach().cpu().to(torch.float64 if exact else torch.float32).numpy()
