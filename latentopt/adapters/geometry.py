"""How many pixels an element of the deepest latent stands for: declared, and compared with it.

The decoder knows an image's size and derives the latents' shapes from the stride; the encoder gets
them from the transforms. Where the two differ, a file would be written that nothing reads.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentopt.adapters.reference import Reference
from latentopt.errors import UnsupportedModelError

if TYPE_CHECKING:
    from latentopt.adapters.base import Adapter
    from latentopt.adapters.predicted import VideoAdapter

_SIDE = 256  # pixels of the image on which a stride is measured
_DECLARE = "give its adapter the right `stride`: docs/guide/your-own-codec.md"


@torch.no_grad()
def fitting_stride(adapter: "Adapter", declared: int | None) -> int:
    """The declared stride if the transforms agree with it, else the one that they have.

    Raises:
        UnsupportedModelError: they have none that fits.
    """
    if declared is not None and mismatch(adapter, declared) is None:
        return declared
    *_, deepest = _latents(adapter, (_SIDE, _SIDE))
    measured, rest = divmod(_SIDE, deepest.shape[-1])
    wrong = f"{deepest.shape[-1]} elements for {_SIDE} pixels" if rest else None
    wrong = wrong or mismatch(adapter, measured)
    if wrong:
        name = type(adapter.model).__qualname__
        raise UnsupportedModelError(f"{name} has no stride that fits ({wrong}): {_DECLARE}")
    return measured


@torch.no_grad()
def check_stride(adapter: "Adapter") -> None:
    """Raises UnsupportedModelError where an adapter's stride is not that of its transforms."""
    wrong = mismatch(adapter, adapter.stride)
    if wrong:
        name = type(adapter.model).__qualname__
        raise UnsupportedModelError(
            f"{name} does not have the stride {adapter.stride} ({wrong}): {_DECLARE}"
        )


@torch.no_grad()
def check_parts(adapter: "VideoAdapter") -> None:
    """:func:`check_stride` of each part of a video codec, given what those before it decode to."""
    check_stride(adapter.key)
    stride, decoded = adapter.key.stride, dict[str, Tensor]()
    like = next(adapter.key.model.parameters())
    reference = Reference(like.new_zeros(1, 3, stride, 2 * stride))
    for name, part in adapter.predicted.items():
        try:
            known = part.knowing(reference, decoded)
            decoded[name] = torch.zeros_like(_latents(known, (stride, 2 * stride))[0])
        except RuntimeError:  # nothing can be said, see mismatch
            return
        check_stride(known)


@torch.no_grad()
def mismatch(adapter: "Adapter", stride: int) -> str | None:
    """What of an image of one by two strides does not have the shape that a decoder expects.

    None also where the networks do not run on so small an image, so that nothing can be said.
    """
    size = (stride, 2 * stride)
    try:
        latents, above = _latents(adapter, size), list[NDArray]()
        for latent in reversed(latents):
            expected = adapter.walk(above, (1, 2)).shape
            if tuple(latent.shape[1:]) != expected:
                return f"a latent {tuple(latent.shape[1:])}, not {expected}, for {size} pixels"
            above.append(np.zeros(latent.numel(), np.float32))
        image = adapter.synthesis(torch.zeros_like(latents[0]))
    except RuntimeError:
        return None
    return None if image.shape[-2:] == size else f"{tuple(image.shape[-2:])} pixels from {size}"


def _latents(adapter: "Adapter", size: tuple[int, int]) -> list[Tensor]:
    """Those of a black image (H, W), the main one first."""
    y = adapter.analysis(next(adapter.model.parameters()).new_zeros(1, 3, *size))
    return [y, *adapter.deeper(y)]
