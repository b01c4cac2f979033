"""Step sizes of a video frame, chosen with the next frame's cost in view."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from latentopt.bitstream import decode_step, encode_step
from latentopt.latents import Coded

Frame = dict[str, list[Coded]]
"""Of each part of a frame, its coded latents: the main one first."""


class FrameCoder(Protocol):
    """What the search asks of a video codec."""

    @property
    def trade(self) -> float:
        """Bits that a squared error of 1, summed over a frame's samples, is worth."""

    def encode_frame(self, x: Tensor, reference: Tensor | None) -> tuple[Frame, Tensor]:
        """A coded frame and its reconstruction (1, 3, H, W), padded and not clipped."""

    def restate(self, frame: Frame, reference: Tensor | None) -> tuple[Frame, Tensor]:
        """The same, for other step sizes."""


@dataclass(frozen=True)
class Ahead:
    """A better frame is also a better reference: try the step sizes that are the best for a frame
    alone times some factors, code the next frame from each, and keep the cheapest pair.

    It costs one more encoding of the next frame per factor, and one for the comparison.
    """

    factors: tuple[float, ...] = (0.0, 0.5, 1.5, 2.0)

    def choose(
        self,
        codec: FrameCoder,
        x: Tensor,
        after: Tensor,
        reference: Tensor | None,
        coded: tuple[Frame, Tensor],
    ) -> tuple[Frame, Tensor]:
        """The frame ``x`` as it was ``coded`` or with other step sizes, and its reconstruction."""
        frame, _ = coded
        *_, last = frame
        main = frame[last][0]
        variants = [codes for factor in self.factors if (codes := _times(main, factor))]
        candidates = [coded]
        for codes in variants:
            other = {**frame, last: [replace(main, step_codes=codes), *frame[last][1:]]}
            candidates.append(codec.restate(other, reference))
        if len(candidates) == 1:
            return coded
        return min(candidates, key=lambda candidate: self._cost(codec, x, after, candidate[1]))

    def _cost(self, codec: FrameCoder, x: Tensor, after: Tensor, image: Tensor) -> float:
        """In bits, of what a choice changes: errors of both frames and the next one's rate."""
        frame, next_image = codec.encode_frame(after, image)
        bits = sum(float(c.latent.bits().sum()) for coded in frame.values() for c in coded)
        return bits + codec.trade * (_error(image, x) + _error(next_image, after))


def _times(main: Coded, factor: float) -> Sequence[int] | None:
    """Other step codes; None where they would be the same."""
    codes = [encode_step(factor * decode_step(code)) for code in main.step_codes]
    return codes if codes != list(main.step_codes) else None


def _error(image: Tensor, x: Tensor) -> float:
    height, width = x.shape[-2:]
    difference = image[..., :height, :width].clamp(0, 1) - x.to(image.device)
    return float(difference.square().sum(dtype=torch.float64))
