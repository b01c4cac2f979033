"""Video codecs: a key frame, then frames predicted from the one before, each in a few latents."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentopt.adapters.base import SideAdapter


class PredictedAdapter(SideAdapter):
    """One latent of a predicted frame: an image codec whose networks see what is known already.

    ``synthesis`` gives what a decoder of this latent knows of the frame: the prediction from a
    motion latent, the reconstruction itself from the last one.
    """

    local = False
    _known: Any = None

    def condition(self, reference: Tensor, decoded: Mapping[str, Tensor]) -> None:
        """Say what is known before this latent is coded; encoder and decoder do.

        Args:
            reference: the frame before as decoded (1, 3, H, W), padded, not clipped.
            decoded: this frame's latents that were coded before (1, M, h, w), shift included.
        """
        self._known = self.knowledge(reference, decoded)

    @abstractmethod
    def knowledge(self, reference: Tensor, decoded: Mapping[str, Tensor]) -> Any:
        """What the networks need of it, in whatever form."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        known, self._known = self._known, None
        try:
            yield
        finally:
            self._known = known


class VideoAdapter(ABC):
    """One family of video codecs.

    Args:
        model: the codec, in eval mode.
        portable: compute what selects tables in float64 on the CPU, so that all machines agree.
    """

    key: SideAdapter
    """Codes the first frame of a group."""
    predicted: Mapping[str, PredictedAdapter]
    """Code the others, one latent each, in this order."""
    searched: tuple[str, ...] = ("image", "residual")
    """Parts that get lattice and shift unless told otherwise; "image" is the key frame."""

    @abstractmethod
    def __init__(self, model: nn.Module, portable: bool = True): ...

    @property
    def parts(self) -> dict[str, SideAdapter]:
        """All latents by name, the key frame's first."""
        return {"image": self.key, **self.predicted}


def texture(size: Sequence[int], like: Tensor) -> Tensor:
    """An image (B, 3, H, W) for probing what motion changes: smooth noise, always the same."""
    coarse_size = [side // 8 for side in size]
    coarse = torch.rand(1, 3, *coarse_size, generator=torch.Generator().manual_seed(0))
    image = F.interpolate(coarse, size=tuple(size), mode="bilinear", align_corners=False)
    return image.to(like).expand(len(like), -1, -1, -1)
