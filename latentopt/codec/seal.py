"""Whether a model's weights are still those that a codec's tables and hashes were made of."""

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Seal:
    """What a model's parameters and buffers were.

    Where they are and how often they were written to is read in a millisecond, at every call. A
    checksum also sees what is written past PyTorch's count (``parameter.data.mul_(2)``), and costs
    a hundredth of coding an image: it is read where a file is written or read.
    """

    marks: tuple[tuple[object, ...], ...]
    """Of each tensor: its address, its version, its type and its device; of each module: whether it
    is the same, who looks on or has a say, and whether its forward was replaced."""
    checksum: int

    @staticmethod
    def of(model: nn.Module) -> "Seal":
        """Of the weights as they are now."""
        return Seal(_marks(model), _checksum(model))

    def holds(self, model: nn.Module) -> bool:
        """Whether nothing was moved, replaced or written to, as far as PyTorch counts that."""
        return self.marks == _marks(model)

    def holds_to_the_bit(self, model: nn.Module) -> bool:
        """Whether the weights are the same, whoever may have written to them."""
        return self.holds(model) and self.checksum == _checksum(model)


def weights_sha256(model: nn.Module) -> str:
    """First 12 digits of the SHA-256 of a model's tensors: names, shapes and values."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:12]


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()


def _marks(model: nn.Module) -> tuple[tuple[object, ...], ...]:
    tensors = ((t.data_ptr(), _version(t), t.dtype, t.device) for t in _tensors(model))
    modules = (
        (id(m), *m._forward_hooks, *m._forward_pre_hooks, "forward" in vars(m))
        for m in model.modules()
    )
    return (*tensors, *modules)


def _version(tensor: Tensor) -> int:
    """How often it was written to; what was made in inference mode does not count, so a sum."""
    return _sum(tensor, 0) if tensor.is_inference() else tensor._version


def _checksum(model: nn.Module) -> int:
    total = 0
    for tensor in _tensors(model):
        total = _sum(tensor, total)
    return total


def _sum(tensor: Tensor, start: int) -> int:
    """CRC-32 of a tensor's memory, without a copy where it has no gaps."""
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        tensor = tensor.permute(0, 2, 3, 1)
    return zlib.crc32(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data, start)
