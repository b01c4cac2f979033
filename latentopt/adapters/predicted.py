"""Video codecs: a key frame, then frames predicted from the one before, each in a few latents."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Self, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentopt.adapters.base import Adapter, Places
from latentopt.adapters.reference import Reference
from latentopt.adapters.still import still_copy
from latentopt.adapters.variational import VariationalAdapter
from latentopt.errors import UnsupportedModelError

Known = TypeVar("Known")


class Knowing(ABC, Generic[Known]):
    """Mixed into the adapter of one latent of a predicted frame, whose networks see what is known.

    Such an adapter is an image codec's; its ``synthesis`` gives what a decoder of this latent knows
    of the frame: the prediction from a motion latent, the reconstruction itself from the last one.
    What is known belongs to a view of the adapter, never to the adapter that others use, too.
    """

    known: Known | None = None
    """None: neutral values stand for it."""
    local = False

    @abstractmethod
    def knowledge(self, reference: Reference, decoded: Mapping[str, Tensor]) -> Known:
        """What the networks need of what :meth:`knowing` is given."""

    def knowing(self, reference: Reference, decoded: Mapping[str, Tensor]) -> Self:
        """See :meth:`Adapter.knowing`."""
        view = copy.copy(self)
        view.known = self.knowledge(reference, decoded)
        return view

    def alone(self) -> Self:
        """See :meth:`Adapter.alone`."""
        view = copy.copy(self)
        view.known = None
        return view

    @property
    def sure(self) -> Known:
        """What is known, where something is."""
        assert self.known is not None, "a predicted frame needs a reference"
        return self.known


class VideoAdapter(ABC):
    """One family of video codecs.

    Args:
        model: the codec, in eval mode.
        portable: compute what selects tables in float64 on the CPU, so that all machines agree.
    """

    key: Adapter
    """Codes the first frame of a group."""
    predicted: Mapping[str, Adapter]
    """Code the others, one latent each, in this order; each is :class:`Knowing`."""
    searched: tuple[str, ...] = ("image", "residual")
    """Parts that get lattice and shift unless told otherwise; "image" is the key frame."""
    places: Mapping[str, Places] | None = None
    """For the model's own coder, of each part; see :attr:`Adapter.places`."""

    @abstractmethod
    def __init__(self, model: nn.Module, portable: bool = True): ...

    @property
    def parts(self) -> dict[str, Adapter]:
        """All latents by name, the key frame's first."""
        return {"image": self.key, **self.predicted}


class KeyedAdapter(VideoAdapter):
    """Of a model that codes predicted frames only, whose key frames an image codec codes.

    What tables of a frame are chosen by is decoded from the frame before, which so has to be the
    same on all machines where that is asked for.

    Raises:
        UnsupportedModelError: the key frames' codec has another stride, or sends samples.
    """

    def __init__(self, key: Adapter, predicted: Mapping[str, Adapter], portable: bool):
        if isinstance(key, VariationalAdapter):
            raise UnsupportedModelError(
                f"key frames need a codec of points: {type(key.model).__name__} sends samples"
            )
        [stride] = {adapter.stride for adapter in predicted.values()}
        if key.stride != stride:
            raise UnsupportedModelError(
                f"key frames need a codec whose images are padded to {stride}, not {key.stride}"
            )
        self.key = key.exactly() if portable else key
        self.predicted = {
            name: adapter.exactly() if portable else adapter for name, adapter in predicted.items()
        }


MakeAdapter = Callable[[nn.Module, bool], Adapter]
"""Called with a model, and whether it is to be portable."""

Keyed = TypeVar("Keyed", bound=KeyedAdapter)


def with_key(
    family: Callable[[nn.Module, bool, Adapter], Keyed], key: nn.Module, adapter: MakeAdapter
) -> Callable[[nn.Module, bool], Keyed]:
    """What makes adapters of a family of predicted frames, with a codec for key frames.

    Args:
        key: the codec of key frames, of which each adapter has a copy of its own.
        adapter: its adapter.
    """

    def make(model: nn.Module, portable: bool) -> Keyed:
        return family(model, portable, adapter(still_copy(key), portable))

    return make


def texture(size: Sequence[int], like: Tensor) -> Tensor:
    """An image (B, 3, H, W) for probing what motion changes: smooth noise, always the same."""
    coarse_size = [side // 8 for side in size]
    coarse = torch.rand(1, 3, *coarse_size, generator=torch.Generator().manual_seed(0))
    image = F.interpolate(coarse, size=tuple(size), mode="bilinear", align_corners=False)
    return image.to(like).expand(len(like), -1, -1, -1)
