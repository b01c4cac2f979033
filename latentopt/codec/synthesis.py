"""From coded latents to images: offsets, shift, synthesis, filter.

main latents ─► + offsets ─► + shift ─► moved ─► synthesis ─► image ─► [filter] ─► pictures
                   └► resting
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters import Reference, Tiled
from latentopt.bitstream import decode_step
from latentopt.codec.assembly import OFFSETS, Assembly
from latentopt.encoder import shifted
from latentopt.encoder.draft import drafting
from latentopt.errors import BitstreamError
from latentopt.latents import Coded, Crossed
from latentopt.media.wiener import IDENTITY


class Synthesis:
    """The last part of a decoder, which its encoder repeats."""

    def __init__(self, assembly: Assembly):
        self._assembly, self._adapter = assembly, assembly.adapter

    @torch.no_grad()
    def pictures(self, coded: Sequence[Coded], size: Sequence[int]) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] of main latents."""
        image = self.image(self.moved(coded)).clamp(0, 1).contiguous()
        image = image[..., : size[0], : size[1]]
        if not any(one.postfilter for one in coded):
            return image
        filters = [one.postfilter or IDENTITY for one in coded]
        return torch.cat([own(x) for own, x in zip(filters, image.split(1))])

    def image(self, y_hat: Tensor) -> Tensor:
        """What the model makes of main latents: images (B, 3, H, W), padded and not clipped."""
        if self._adapter.exact:
            return self._adapter.exact_synthesis(y_hat)
        return self._run(y_hat, fast=self._fast)

    @torch.no_grad()
    def reference(self, latents: Mapping[str, Tensor], last: str) -> Reference:
        """What later frames know of one, of whose parts these are the main latents (1, M, h, w).

        Args:
            latents: by part.
            last: the part whose synthesis is the image.
        """
        y_hat = latents[last]
        if self._adapter.local:
            return Reference(self.image(y_hat), latents)
        if self._adapter.exact:
            image, features = self._adapter.in_float64().remembered(y_hat.cpu().double())
        else:
            image, features = self._adapter.remembered(self._placed(y_hat, fast=self._fast))
            image = image.float()
        return Reference(image, latents, features)

    def trial(self, y_hat: Tensor) -> Tensor:
        """Images in [0, 1], padding included, for searches."""
        return self._run(y_hat, fast=True).clamp(0, 1).contiguous()

    @property
    def _fast(self) -> bool:
        return self._assembly.recipe.portable

    def _run(self, y_hat: Tensor, fast: bool) -> Tensor:
        y_hat = self._placed(y_hat, fast)
        # Gradients may be asked for by the weights, too, which a quick view has none by.
        quickly = fast and not torch.is_grad_enabled()
        adapter = drafting(self._adapter, y_hat) if quickly else self._adapter
        return Tiled(adapter).synthesis(y_hat).float()

    def _placed(self, y_hat: Tensor, fast: bool) -> Tensor:
        """With channels last where ``fast``, else exactly as the model itself computes."""
        y_hat = y_hat.to(self._assembly.device, self._assembly.dtype)
        return y_hat.contiguous(memory_format=torch.channels_last) if fast else y_hat

    def moved(self, coded: Sequence[Coded]) -> Tensor:
        """Main latents (B, M, h, w), shifted by their steps."""
        if self._adapter.exact:
            return torch.cat([self._moved_exactly(one) for one in coded])
        latents = [c.latent for c in coded]
        y_hat = self.resting(latents)
        if not any(c.is_shifted for c in coded):
            return y_hat
        direction = self._assembly.recipe.direction
        shifts = (c.latent.shift(direction, c.step_codes) for c in coded)
        return y_hat + self._stack(shifts, latents[0])

    def _moved_exactly(self, coded: Coded) -> Tensor:
        """:meth:`moved` of one image in float64, where all machines agree."""
        latent, y_hat = coded.latent, coded.latent.hat.astype(np.float64)
        if any(self._assembly.offsets):
            y_hat = y_hat + latent.shift(OFFSETS, self._assembly.offsets)
        if coded.is_shifted:
            y_hat = y_hat + latent.shift(self._assembly.recipe.direction, coded.step_codes)
        return torch.from_numpy(y_hat).reshape(1, *latent.prior.shape)

    def resting(self, latents: Sequence[Crossed]) -> Tensor:
        """Main latents (B, M, h, w) before their images' shifts, at their offsets."""
        y_hat = self._stack([latent.hat for latent in latents], latents[0])
        if not any(self._assembly.offsets):
            return y_hat
        rho = [[decode_step(code) for code in self._assembly.offsets]] * len(latents)
        return shifted(y_hat, self.directions(latents, OFFSETS), rho)

    def directions(self, latents: Sequence[Crossed], name: str) -> Tensor:
        """Where shifts may go, (B, K, M, h, w)."""
        rows = (row for latent in latents for row in latent.directions(name))
        return self._stack(rows, latents[0]).unflatten(0, (len(latents), -1))

    def _stack(self, rows: Iterable[NDArray], latent: Crossed) -> Tensor:
        """Flattened latents as one float32 tensor (B, M, h, w) on the model's device."""
        narrow = [row.astype(np.float32, copy=False) for row in rows]
        stacked = np.stack(narrow).reshape(-1, *latent.prior.shape)
        return torch.from_numpy(stacked).to(self._assembly.device)


def finite(image: Tensor) -> Tensor:
    """Decoded images, if they are such: escaped integers can be anything, networks overflow.

    Raises:
        BitstreamError: a value is NaN or infinite.
    """
    if not image.sum(dtype=torch.float64).isfinite():
        raise BitstreamError("corrupt: the decoded image has values that are no numbers")
    return image


def padded(x: Tensor, stride: int) -> Tensor:
    """Images, their last row and column repeated up to a multiple of the stride."""
    height, width = x.shape[-2:]
    padding = (0, -width % stride, 0, -height % stride)
    return nn.functional.pad(x, padding, mode="replicate") if any(padding) else x
