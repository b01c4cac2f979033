"""Handwritten digits in sheets: as images of a few hundred pixels, of which a header is little."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentopt.errors import InputError

SIDE, PITCH = 28, 32
"""Pixels of a digit, and from one to the next in a sheet: there is black between them."""
_HELD_OUT = 256  # of the training digits, the last, for validation


def digits(path: Path, split: str) -> NDArray[np.uint8]:
    """(n, 28, 28) of a split, ``train``, ``held out`` or ``test``.

    Raises:
        InputError: the file is not there.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; MNIST as train_images and test_images")
    with np.load(path) as file:
        if split == "test":
            return file["test_images"]
        train: NDArray[np.uint8] = file["train_images"]
    return train[-_HELD_OUT:] if split == "held out" else train[:-_HELD_OUT]


def sheet(images: NDArray[np.uint8], columns: int) -> Tensor:
    """Digits (n, 28, 28) in rows, as one image (1, 3, H, W) in [0, 1]."""
    rows = len(images) // columns
    margin = (PITCH - SIDE) // 2
    wide = np.pad(images[: rows * columns], [(0, 0), (margin, margin), (margin, margin)])
    grid = wide.reshape(rows, columns, PITCH, PITCH).transpose(0, 2, 1, 3)
    grey = torch.from_numpy(np.ascontiguousarray(grid)).reshape(1, 1, rows * PITCH, columns * PITCH)
    return grey.float().expand(-1, 3, -1, -1) / 255


def cut_out(image: Tensor) -> Tensor:
    """The pixels of a sheet's digits: (..., H, W) to (..., rows, columns, 28, 28)."""
    margin = (PITCH - SIDE) // 2
    tiles = image.unflatten(-1, (-1, PITCH)).unflatten(-3, (-1, PITCH)).transpose(-3, -2)
    return tiles[..., margin : margin + SIDE, margin : margin + SIDE]


@dataclass(frozen=True)
class Sheets:
    """Random sheets for training, see :class:`latentopt.training.Source`."""

    images: NDArray[np.uint8]
    columns: int
    batch_size: int
    seed: int

    def batch(self, step: int) -> Tensor:
        """(batch, 3, 32 columns, 32 columns) in [0, 1]."""
        random = np.random.default_rng([self.seed, step])
        count = self.columns**2
        chosen = [random.integers(len(self.images), size=count) for _ in range(self.batch_size)]
        return torch.cat([sheet(self.images[index], self.columns) for index in chosen])
