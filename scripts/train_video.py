"""Train one embedded video codec: `python scripts/train_video.py tiny-ssf2020 3`.

The same as scripts/train_zoo.py, with clips in the place of photographs: there is no video here to
train on, so photographs move, zoom and turn, and cut-out pieces of others move in front of them.
"""

from pathlib import Path
from typing import Any

import torch
import train_zoo
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate, mse_loss
from train_zoo import Photographs

MARGIN = 64  # of a scene around what the camera sees, in pixels, both sides together
MAX_SPEED = 6.0  # pixels per frame, of most clips
VALIDATION = {"batch": 8, "frames": 4, "seed": 7}  # of one of the batches of clips
VALIDATION_BATCHES = 3


class Clips(Photographs):
    """Short clips, each made from two photographs: a moving scene and what moves before it."""

    def __init__(self, files: list[Path], crop: int, batch: int, frames: int, seed: int) -> None:
        super().__init__(files, crop + MARGIN, batch, seed)
        self.frames, self.window = frames, crop

    def next(self) -> list[Tensor]:  # type: ignore[override]
        """A batch of clips: for each frame, (batch, 3, crop, crop) in [0, 1]."""
        scene = self._filmed(super().next(), start=MARGIN / 8, padding="reflection")
        layer = super().next()
        alpha = self._cut_out()
        # Premultiplied, so that interpolation at its edge does not mix in what was cut off.
        layer = self._filmed(torch.cat((layer * alpha, alpha), dim=1), self.window / 3, "zeros")
        clips = scene * (1 - layer[:, 3:]) + layer[:, :3]  # (batch, 3, frames, crop, crop)
        return list(self._recorded(clips).clamp(0, 1).unbind(dim=2))

    def _filmed(self, scene: Tensor, start: float, padding: str) -> Tensor:
        """What a moving camera sees of a scene (batch, c, s, s): (batch, c, frames, crop, crop)."""
        size, crop = scene.shape[-1], self.window
        theta = self._camera_path(start) * torch.tensor([crop / size, crop / size, 2 / size])
        grid = affine_grid(theta.flatten(0, 1), [len(theta) * self.frames, 1, crop, crop], False)
        grid = grid.reshape(len(theta), self.frames * crop, crop, 2)
        seen = grid_sample(scene, grid, "bilinear", padding, align_corners=False)
        return seen.reshape(*scene.shape[:2], self.frames, crop, crop)

    def _camera_path(self, start: float) -> Tensor:
        """Random walks of zoom, angle and place: (batch, frames, 2, 3), the last column in pixels.

        One clip in five is nearly still.
        """
        r = self.random
        still = r.random((self.batch, 1)) < 0.2
        speed = MAX_SPEED * r.random((self.batch, 1)) ** 2 * (1 - 0.98 * still)
        zoom, angle = (self._walk(speed * 0.004) for _ in range(2))
        across, down = (self._walk(speed) + self._normal(start) for _ in range(2))
        cos, sin = zoom.exp() * angle.cos(), zoom.exp() * angle.sin()
        rows = torch.stack((cos, -sin, across, sin, cos, down), dim=-1)
        return rows.unflatten(-1, (2, 3)).float()

    def _walk(self, speed: Any) -> Tensor:
        """Places over time, (batch, frames), from 0 on; the velocity is a random walk, too."""
        r = self.random
        velocity = r.normal(0, 1, (self.batch, 1)) + r.normal(
            0, 0.25, (self.batch, self.frames)
        ).cumsum(axis=1)
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
        size = self.window + MARGIN
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
        r = self.random
        value = r.normal(0, deviation, self.batch) * (r.random(self.batch) < 1 / 3)
        return torch.from_numpy(value).float().reshape(-1, 1, 1, 1, 1)


def rate_and_distortion(out: dict[str, Any], frames: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Bits per pixel, and mean squared error of samples in [0, 255], over all frames of clips."""
    pixels = sum(x.shape[0] * x.shape[2] * x.shape[3] for x in frames)
    likelihoods = [
        p
        for frame in out["likelihoods"]
        for latent in frame.values()  # "keyframe", or "motion" and "residual"
        for p in latent.values()  # "y" and "z"
    ]
    bits = sum(-p.log2().sum() for p in likelihoods)
    errors = [mse_loss(x_hat.float(), x) for x_hat, x in zip(out["x_hat"], frames)]
    return bits / pixels, torch.stack(errors).mean() * 255**2


class Run(train_zoo.Run):
    """One video codec in training."""

    measure = staticmethod(rate_and_distortion)

    def samples(self, files: list[Path]) -> Clips:
        config = self.config
        return Clips(files, config["crop"], config["batch"], config["frames"], config["seed"])

    def validation_samples(self, files: list[Path]) -> list[list[Tensor]]:
        clips = Clips(files, self.config["crop"], **VALIDATION)
        return [clips.next() for _ in range(VALIDATION_BATCHES)]


if __name__ == "__main__":
    train_zoo.main(Run, str(__doc__))
