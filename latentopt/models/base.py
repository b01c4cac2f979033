"""What the flow in codec.py asks of a codec family: its networks and its entropy parameters."""

import copy
import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.coding import Prior
from latentopt.pmf import Density, FactorizedDensity, GaussianDensity


class Adapter(ABC):
    """One codec family. An adapter holds a model and calls its parts; it never changes them.

    A family whose main latent has a fixed density per channel is a :class:`ChannelAdapter`, one
    whose main latent is conditioned on a side latent a :class:`SideAdapter`. Autoregressive
    families and video need a third kind, whose prior depends on what was decoded before: its place
    is here.

    Args:
        model: the codec, in eval mode.
        portable: compute what selects tables in float64 on the CPU, so that all machines agree.
    """

    main_density: Density
    """Density of the main latent's residual, per level."""

    def __init__(self, model: nn.Module, portable: bool = True):
        self.model: Any = model  # nn.Module, whose attributes have no static types
        self.portable = portable
        self.refresh()

    @property
    def stride(self) -> int:
        """Pixels per element of the last latent; images are padded to a multiple of it."""
        return self.model.downsampling_factor

    @abstractmethod
    def refresh(self) -> None:
        """Recompute what is derived from the model's weights."""

    @abstractmethod
    def decoder_parts(self) -> list[nn.Module]:
        """The modules that encoder and decoder must have in common."""

    def analysis(self, x: Tensor) -> Tensor:
        """Main latent (B, M, h, w) of an image batch (B, 3, H, W)."""
        return self.model.g_a(x)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        """Image batch of a reconstructed main latent; not yet clipped to [0, 1]."""
        return self.model.g_s(y_hat)

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


@dataclass(frozen=True)
class Parameters:
    """What the hyper-synthesis says of each element of the main latent."""

    scales: NDArray[np.floating]  # (M, h, w)
    means: NDArray[np.floating]  # (M, h, w)


class SideAdapter(Adapter):
    """A family whose main latent is Gaussian given a side latent, itself of a factorized prior."""

    main_density: GaussianDensity
    side_density: FactorizedDensity

    @abstractmethod
    def hyper_analysis(self, y: Tensor) -> Tensor:
        """Side latent (B, N, h/4, w/4) of a main latent."""

    @abstractmethod
    def parameters(self, side: NDArray, shape: tuple[int, ...], draft: bool = False) -> Parameters:
        """Entropy parameters from the decoded side latent (n,) of shape (N, h, w), of one image.

        ``draft`` allows the model's own precision, for estimates that never reach a decoder.
        """

    @abstractmethod
    def prior(self, parameters: Parameters) -> Prior:
        """Prior of the main latent."""


class Scale(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor: Tensor
        self.register_buffer("factor", torch.tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def channel_prior(density: FactorizedDensity, shape: tuple[int, ...]) -> Prior:
    """Prior of a latent that a factorized prior codes: the level is the channel."""
    plane = int(np.prod(shape[1:]))
    levels = np.repeat(np.arange(shape[0], dtype=np.int16), plane)
    return Prior(shape, levels, np.repeat(density.medians, plane))


def double_copy(module: nn.Module) -> nn.Module:
    """A float64 copy on the CPU: what it computes agrees on every machine to about 1e-14."""
    return copy.deepcopy(module).to(device="cpu", dtype=torch.float64).eval()
