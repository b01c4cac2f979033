"""Short clips made from photographs, for where there is no video to train on.

Photographs move, zoom and turn, and cut-out pieces of others move in front of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate

from latentopt.training.photographs import Photographs

MARGIN = 64
"""Of a scene around what the camera sees, in pixels, both sides together."""

MAX_SPEED = 6.0
"""Pixels per frame, of most clips."""


class Clips:
    """Clips each made from two photographs: a moving scene and what moves before it.

    Args:
        files: as of :class:`Photographs`.
        crop: pixels a side.
        batch: clips at a time.
        frames: of each clip.
        seed: batches follow from it and the step.
    """

    def __init__(self, files: Sequence[Path], crop: int, batch: int, frames: int, seed: int):
        self._photographs = Photographs(files, crop + MARGIN, batch, seed)
        self._frames, self._crop, self._seed = frames, crop, seed

    def batch(self, step: int) -> list[Tensor]:
        """For each frame, (batch, 3, crop, crop) in [0, 1]."""
        random = np.random.default_rng([self._seed, step])
        scene, layer = (self._photographs.draw(random) for _ in range(2))
        return _Film(random, len(scene), self._frames, self._crop).of(scene, layer)


@dataclass(frozen=True)
class _Film:
    """Cameras that film a batch of clips."""

    random: np.random.Generator
    batch: int
    frames: int
    crop: int

    def of(self, scene: Tensor, layer: Tensor) -> list[Tensor]:
        """Clips of scenes (batch, 3, s, s), before each of which a piece of a layer moves."""
        behind = self._filmed(scene, start=MARGIN / 8, padding="reflection")
        alpha = self._cut_out()
        # Premultiplied, so that interpolation at its edge does not mix in what was cut off.
        cut = torch.cat((layer * alpha, alpha), dim=1)
        before = self._filmed(cut, start=self.crop / 3, padding="zeros")
        clips = behind * (1 - before[:, 3:]) + before[:, :3]  # (batch, 3, frames, crop, crop)
        return list(self._recorded(clips).clamp(0, 1).unbind(dim=2))

    def _filmed(self, scene: Tensor, start: float, padding: str) -> Tensor:
        """What a moving camera sees of a scene (batch, c, s, s): (batch, c, frames, crop, crop)."""
        size, crop = scene.shape[-1], self.crop
        theta = self._camera_path(start) * torch.tensor([crop / size, crop / size, 2 / size])
        grid = affine_grid(theta.flatten(0, 1), [len(theta) * self.frames, 1, crop, crop], False)
        grid = grid.reshape(len(theta), self.frames * crop, crop, 2)
        seen = grid_sample(scene, grid, "bilinear", padding, align_corners=False)
        return seen.reshape(*scene.shape[:2], self.frames, crop, crop)

    def _camera_path(self, start: float) -> Tensor:
        """Random walks of zoom, angle and place: (batch, frames, 2, 3), the last column in pixels.

        One clip in five is nearly still.
        """
        still = self.random.random((self.batch, 1)) < 0.2
        speed = MAX_SPEED * self.random.random((self.batch, 1)) ** 2 * (1 - 0.98 * still)
        zoom, angle = (self._walk(speed * 0.004) for _ in range(2))
        across, down = (self._walk(speed) + self._normal(start) for _ in range(2))
        cos, sin = zoom.exp() * angle.cos(), zoom.exp() * angle.sin()
        rows = torch.stack((cos, -sin, across, sin, cos, down), dim=-1)
        return rows.unflatten(-1, (2, 3)).float()

    def _walk(self, speed: NDArray[np.float64]) -> Tensor:
        """Places over time, (batch, frames), from 0 on; the velocity is a random walk, too."""
        first = self.random.normal(0, 1, (self.batch, 1))
        change = self.random.normal(0, 0.25, (self.batch, self.frames))
        velocity = first + change.cumsum(axis=1)
        velocity[:, 0] = 0
        return torch.from_numpy((speed * velocity).cumsum(axis=1))

    def _normal(self, deviation: float) -> Tensor:
        """One number per clip, (batch, 1)."""
        return torch.from_numpy(self.random.normal(0, deviation, (self.batch, 1)))

    def _cut_out(self) -> Tensor:
        """Opacity of a soft-edged shape, (batch, 1, s, s), or of none in a third of the clips."""
        coarse = torch.from_numpy(self.random.normal(0, 0.6, (self.batch, 1, 6, 6))).float()
        middle = torch.linspace(-1, 1, 6)
        coarse -= 2.5 * (middle[:, None] ** 2 + middle**2)
        size = self.crop + MARGIN
        shape = interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
        shown = torch.from_numpy(self.random.random((self.batch, 1, 1, 1)) < 2 / 3)
        return torch.sigmoid(12 * (shape + 0.8)) * shown

    def _recorded(self, clips: Tensor) -> Tensor:
        """With a camera's changes of exposure, its blur and its noise, each in a third of clips."""
        gain, offset, blur, noise = (self._sometimes(x) for x in (0.03, 0.01, 1.0, 0.012))
        time = torch.arange(self.frames).reshape(-1, 1, 1) / self.frames
        clips = clips * (1 + gain * time) + offset * time
        smooth = avg_pool2d(clips.flatten(1, 2), 3, 1, 1, count_include_pad=False)
        clips = torch.lerp(clips, smooth.reshape(clips.shape), blur.abs().clamp(max=1))
        generator = torch.Generator().manual_seed(int(self.random.integers(2**62)))
        return clips + noise * torch.randn(clips.shape, generator=generator)

    def _sometimes(self, deviation: float) -> Tensor:
        """A number per clip, (batch, 1, 1, 1, 1): zero for two thirds of the clips."""
        value = self.random.normal(0, deviation, self.batch)
        value *= self.random.random(self.batch) < 1 / 3
        return torch.from_numpy(value).float().reshape(-1, 1, 1, 1, 1)
