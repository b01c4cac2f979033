"""Random crops of photographs, and photographs kept from training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latentopt.errors import InputError
from latentopt.media.rgb import as_mode, read_rgb

SCALES = (1.0, 0.8, 0.63, 0.5, 0.4, 0.32)
"""Of a photograph of two megapixels; all are kept in memory, the processor's or a GPU's."""

HELD_OUT = 7
"""Every seventh photograph is for validation, from the first."""


class Photographs:
    """Random crops of the training images: scale, place, flip, transpose, colour.

    Args:
        files: images of 8-bit RGB or grey, which stay in memory.
        crop: pixels a side.
        batch: crops at a time.
        seed: batches follow from it and the step.
        device: whose memory; crops are made and stay there.

    Raises:
        InputError: there are none, or one is smaller than the crop.
        DataError: one cannot be read, or is of another kind.
    """

    def __init__(
        self, files: Sequence[Path], crop: int, batch: int, seed: int, device: str = "cpu"
    ):
        if not files:
            raise InputError("no photographs to train on")
        self.crop, self.size, self.seed = crop, batch, seed
        self._pyramids = [[x.to(device) for x in _pyramid(file, crop)] for file in files]

    def batch(self, step: int) -> Tensor:
        """(batch, 3, crop, crop) in [0, 1]."""
        return self.draw(np.random.default_rng([self.seed, step]))

    def draw(self, random: np.random.Generator) -> Tensor:
        """The same, by a generator of the caller's."""
        crops = torch.stack([self._one(random) for _ in range(self.size)])
        return _recoloured(crops.permute(0, 3, 1, 2).float() / 255, random)

    def _one(self, random: np.random.Generator) -> Tensor:
        """(crop, crop, 3), of 8 bits."""
        pyramid = self._pyramids[random.integers(len(self._pyramids))]
        image = pyramid[random.integers(len(pyramid))]
        top, left = (int(random.integers(n - self.crop + 1)) for n in image.shape[:2])
        patch = image[top : top + self.crop, left : left + self.crop]
        if random.random() < 0.5:
            patch = patch.flip(1)
        return patch.transpose(0, 1) if random.random() < 0.25 else patch


class InTurn:
    """The batches of several sources, one after the other.

    Raises:
        InputError: there are no sources.
    """

    def __init__(self, sources: Sequence[Photographs]):
        if not sources:
            raise InputError("no sources to draw from: give at least one")
        self._sources = sources

    def batch(self, step: int) -> Tensor:
        """(batch, 3, crop, crop) in [0, 1]."""
        return self._sources[step % len(self._sources)].batch(step)


def _recoloured(x: Tensor, random: np.random.Generator) -> Tensor:
    """A mild gamma per image and gain per channel, without clipping."""
    gamma = torch.from_numpy(np.exp(random.normal(0, 0.15, (len(x), 1, 1, 1)))).float()
    gain = torch.from_numpy(random.uniform(0.8, 1.0, (len(x), 3, 1, 1))).float()
    return gain.to(x.device) * x ** gamma.to(x.device)


def _pyramid(file: Path, crop: int) -> list[Tensor]:
    image = _opened(file)
    scales = [scale for scale in SCALES if round(scale * min(image.size)) >= crop]
    if not scales:
        size = f"{image.size[0]}x{image.size[1]}"
        raise InputError(f"{file} is {size}: no crop of {crop} fits: give --crop, a smaller one")
    return [_resized(image, scale) for scale in scales]


def _opened(file: Path) -> Image.Image:
    """A photograph without regard to its colour profile, as published measurements take images."""
    return Image.fromarray(read_rgb(file, None, lambda image, _: as_mode(image, "RGB")))


def _resized(image: Image.Image, scale: float) -> Tensor:
    """(H, W, 3), of 8 bits."""
    width, height = (round(n * scale) for n in image.size)
    if scale != 1:
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image, dtype=np.uint8))


def split(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """What to train on, and what to hold out for validation; as they are sorted.

    >>> split([Path(name) for name in "abcdefgh"])[1]
    [PosixPath('a'), PosixPath('h')]
    """
    ordered = sorted(files)
    return [f for i, f in enumerate(ordered) if i % HELD_OUT], ordered[::HELD_OUT]


def validation_images(files: Sequence[Path]) -> list[Tensor]:
    """Photographs at half size, cropped to multiples of 64: (1, 3, H, W) each, in [0, 1].

    Raises:
        DataError: one cannot be read, or is of another kind than 8-bit RGB or grey.
    """
    images = []
    for file in files:
        rgb = _resized(_opened(file), 0.5)
        height, width = (n // 64 * 64 for n in rgb.shape[:2])
        images.append(rgb[:height, :width].permute(2, 0, 1)[None].float() / 255)
    return images
