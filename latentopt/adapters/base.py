"""What the flow in codec.py asks of a codec family: its networks and its entropy parameters."""

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from compressai.models.base import get_scale_table
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.densities import Density, FactorizedDensity, ScaleDensity
from latentopt.errors import UnsupportedModelError
from latentopt.latents import Prior

Transform = Callable[[Any, Tensor], Tensor]


class Code(Protocol):
    """Codes one group of elements."""

    def __call__(
        self,
        index: NDArray[np.int64],
        levels: NDArray[np.int16],
        centres: NDArray[np.floating],
        steps: NDArray[np.floating] | None = None,
        /,
    ) -> NDArray[np.floating]:
        """Places, levels, centres and quantization steps, (k,) each, to the decoded values (k,)."""


class Leaf(Protocol):
    """Codes one group of elements."""

    def __call__(
        self,
        index: NDArray[np.int64],
        scales: NDArray,
        means: NDArray,
        steps: NDArray | None = None,
        /,
    ) -> NDArray[np.floating]:
        """Places, scales, means and quantization steps, (k,) each, to the decoded values (k,).

        Scales are those of the residual, (value - mean) / step; means are in latent units.
        """


class Adapter(ABC):
    """One codec family. An adapter holds a model and calls its parts; it never changes them.

    A family whose main latent has a fixed density per channel is a :class:`ChannelAdapter`, one
    whose main latent is conditioned on a side latent a :class:`SideAdapter`. In both, :meth:`walk`
    says in which order the main latent is coded: at once, or in groups whose entropy parameters
    depend on the groups before (autoregressive codecs).

    Args:
        model: the codec, in eval mode.
        portable: compute what selects tables in float64 on the CPU, so that all machines agree.
        analysis, synthesis: callables (model, tensor) to use instead of ``model.g_a`` and
            ``model.g_s``, for a model that names its transforms otherwise.
    """

    main_density: Density
    """Density of the main latent's residual, per level."""

    def __init__(
        self,
        model: nn.Module,
        portable: bool = True,
        analysis: Transform | None = None,
        synthesis: Transform | None = None,
    ):
        self.model: Any = model  # nn.Module, whose attributes have no static types
        self.portable = portable
        self._analysis, self._synthesis = analysis, synthesis
        self.refresh()

    @property
    def dtype(self) -> torch.dtype:
        """What entropy parameters that must agree between encoder and decoder are computed in."""
        return torch.float64 if self.portable else torch.float32

    @property
    def stride(self) -> int:
        """Pixels per element of the last latent; images are padded to a multiple of it."""
        return self.model.downsampling_factor

    @abstractmethod
    def refresh(self) -> None:
        """Recompute what is derived from the model's weights."""

    contextual = False
    """Whether entropy parameters depend on what was decoded before."""
    local = True
    """Whether some rows of a latent can be synthesized alone."""

    @abstractmethod
    def prior(self, given: Any, y: NDArray[np.floating]) -> Prior:
        """Levels and centres of the main latent, with ``y`` (n,) for what was decoded before.

        ``given`` is what :meth:`walk` takes. For the encoder's choices: only the walk itself is the
        same on both sides.
        """

    @abstractmethod
    def draw(self, rng: np.random.Generator, size: int) -> tuple[NDArray[np.floating], Prior]:
        """A main latent (n,) at random from the codec's own prior, and its levels and centres.

        It is about ``size`` elements of the last latent high and wide.
        """

    @abstractmethod
    def decoder_parts(self) -> list[nn.Module]:
        """The modules that encoder and decoder must have in common."""

    def analysis(self, x: Tensor) -> Tensor:
        """Main latent (B, M, h, w) of an image batch (B, 3, H, W)."""
        return self._analysis(self.model, x) if self._analysis else self.model.g_a(x)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        """Image batch of a reconstructed main latent; not yet clipped to [0, 1]."""
        return self._synthesis(self.model, y_hat) if self._synthesis else self.model.g_s(y_hat)

    @property
    def synthesis_parts(self) -> list[nn.Module]:
        """The modules of the synthesis; the whole model where they are not known."""
        return [self.model] if self._synthesis else [self.model.g_s]

    exact = False
    """Whether what is decoded must be the same on all machines: where it selects tables of what is
    coded later, as in video codecs whose entropy parameters depend on the frame before."""

    def reconstruct(self, y_hat: Tensor) -> Tensor:
        """:meth:`synthesis` of what later tables depend on: in float64 on the CPU."""
        twin = copy.copy(self)
        twin.model = self._exact_model
        return twin.synthesis(y_hat.cpu().double())

    @cached_property
    def _exact_model(self) -> nn.Module:
        return cpu_copy(self.model)

    def forget(self) -> None:
        """Drop what was derived from the weights and kept: all cached properties."""
        for name in list(vars(self)):
            if isinstance(getattr(type(self), name, None), cached_property):
                del vars(self)[name]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within it, networks that see other frames or latents get neutral ones in their place."""
        yield

    def weights_digest(self) -> bytes:
        """SHA-256 of the weights that the decoder uses, whatever device they are on."""
        digest = hashlib.sha256()
        for part in self.decoder_parts():
            for name, tensor in part.state_dict().items():
                if "_quantized_cdf" in name or "_offset" in name or "_cdf_length" in name:
                    continue  # CompressAI's own tables: derived, and not used here
                digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
                digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.digest()


class ChannelAdapter(Adapter):
    """A family with one latent, coded by a factorized prior."""

    main_density: FactorizedDensity

    def walk(self, shape: tuple[int, ...], code: Code) -> None:
        """Code a main latent of ``shape`` (M, h, w): at once."""
        prior = channel_prior(self.main_density, shape)
        code(np.arange(len(prior.levels)), prior.levels, prior.centres)

    def prior(self, given: tuple[int, ...], y: NDArray[np.floating]) -> Prior:
        return channel_prior(self.main_density, given)

    def draw(self, rng: np.random.Generator, size: int) -> tuple[NDArray[np.floating], Prior]:
        prior = channel_prior(self.main_density, (self.main_density.levels, size, size))
        return prior.values(self.main_density.draw(prior.levels, rng)), prior


@dataclass(frozen=True)
class Parameters:
    """What the hyper-synthesis says of each element of the main latent; as for a :class:`Leaf`."""

    scales: NDArray[np.floating]  # (M, h, w) or (n,)
    means: NDArray[np.floating]  # likewise
    steps: NDArray[np.floating] | None = None  # likewise, where the codec has steps


class SideAdapter(Adapter):
    """A family whose main latent has a scale and a mean for each element, given a side latent.

    The side latent itself has a factorized prior.
    """

    main_density: ScaleDensity
    side_density: FactorizedDensity

    @abstractmethod
    def hyper_analysis(self, y: Tensor) -> Tensor:
        """Side latent (B, N, h/4, w/4) of a main latent."""

    @abstractmethod
    def features(self, side: NDArray, shape: tuple[int, ...], draft: bool = False) -> NDArray:
        """Hyper-synthesis (C, h, w) of the decoded side latent (n,) of shape (N, h, w), one image.

        ``draft`` allows the model's own precision, for estimates that never reach a decoder.
        """

    @abstractmethod
    def main_shape(self, features: NDArray) -> tuple[int, ...]:
        """Shape (M, h, w) of the main latent that these features describe."""

    @abstractmethod
    def visit(self, features: NDArray, leaf: Leaf) -> None:
        """Call ``leaf`` for each group of the main latent's elements, in the order of coding."""

    def walk(self, features: NDArray, code: Code) -> None:
        """Code the main latent group by group, calling ``code`` for each."""

        def leaf(
            index: NDArray[np.int64], scales: NDArray, means: NDArray, steps: NDArray | None = None
        ) -> NDArray[np.floating]:
            return code(index, self.levels(scales), means, steps)

        self.visit(features, leaf)

    def levels(self, scales: NDArray) -> NDArray[np.int16]:
        """Level of each scale: the first table entry that is not below it, as in CompressAI."""
        wide = scales.astype(np.float64)
        return np.searchsorted(self.main_density.scales[:-1], wide).astype(np.int16)

    def prior(self, given: NDArray, y: NDArray[np.floating]) -> Prior:
        parameters = self.estimate(given, y)
        levels = self.levels(parameters.scales.ravel())
        steps = None if parameters.steps is None else parameters.steps.ravel()
        return Prior(self.main_shape(given), levels, parameters.means.ravel(), steps)

    def draw(self, rng: np.random.Generator, size: int) -> tuple[NDArray[np.floating], Prior]:
        side = channel_prior(self.side_density, (self.side_density.levels, size, size))
        z_hat = np.rint(self.side_density.draw(side.levels, rng)) + side.centres
        features = self.features(z_hat, side.shape)
        nothing = np.zeros(int(np.prod(self.main_shape(features))), np.float32)
        prior = self.prior(features, nothing)
        return prior.values(self.main_density.draw(prior.levels, rng)), prior

    @abstractmethod
    def estimate(self, features: NDArray, y: NDArray) -> Parameters:
        """Entropy parameters of the main latent ``y`` (n,), for estimates of its rate.

        Where they depend on what was decoded before, ``y`` itself stands for it.
        """


class Recorder:
    """A :class:`Leaf` that notes the entropy parameters it is given.

    What stands for the decoded latent is ``y`` (n,).
    """

    def __init__(self, y: NDArray[np.floating]):
        self._y, self._found = y, np.ones((3, len(y)))
        self._has_steps = False

    def __call__(
        self,
        index: NDArray[np.int64],
        scales: NDArray,
        means: NDArray,
        steps: NDArray | None = None,
        /,
    ) -> NDArray[np.floating]:
        self._found[:2, index] = scales, means
        if steps is not None:
            self._found[2, index], self._has_steps = steps, True
        return self._y[index]

    @property
    def parameters(self) -> Parameters:
        """What was noted, (n,) each."""
        scales, means, steps = self._found
        return Parameters(scales, means, steps if self._has_steps else None)


class Networks(nn.Module):
    """Some of a model's modules, under their own names; they stay the model's own."""

    def __init__(self, model: nn.Module, names: Iterable[str]):
        super().__init__()
        for name in names:
            setattr(self, name, getattr(model, name))


class Scale(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float | Tensor):
        super().__init__()
        self.factor: Tensor
        self.register_buffer("factor", torch.as_tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def channel_prior(density: FactorizedDensity, shape: tuple[int, ...]) -> Prior:
    """Prior of a latent that a factorized prior codes: the level is the channel."""
    plane = int(np.prod(shape[1:]))
    levels = np.repeat(np.arange(shape[0], dtype=np.int16), plane)
    return Prior(shape, levels, np.repeat(density.medians, plane))


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
    [table] = tables or {tuple(get_scale_table().double().tolist())}
    return np.array(table)


def cpu_copy(module: nn.Module, dtype: torch.dtype = torch.float64) -> nn.Module:
    """A copy on the CPU. What float64 computes agrees on every machine to about 1e-14."""
    return copy.deepcopy(module).to(device="cpu", dtype=dtype).eval()


def flat_layers(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of nested Sequentials, in order."""
    if isinstance(module, nn.Sequential):
        for child in module:
            yield from flat_layers(child)
    else:
        yield module
