"""Step sizes of a video frame, chosen with the next frame's cost in view."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from latentopt.adapters import Reference
from latentopt.bitstream import decode_step, encode_step
from latentopt.latents import Coded

Frame = dict[str, list[Coded]]
"""Of each part of a frame, its coded latents: the main one first."""


class FrameCoder(Protocol):
    """What the search asks of a video codec."""

    @property
    def trade(self) -> float:
        """Bits that a squared error of 1, summed over a frame's samples, is worth."""

    def encode_frame(self, x: Tensor, reference: Reference | None) -> tuple[Frame, Reference]:
        """A coded frame, and what is known of it as decoded."""

    def restate(self, frame: Frame, reference: Reference | None) -> tuple[Frame, Reference]:
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
        reference: Reference | None,
        coded: tuple[Frame, Reference],
    ) -> tuple[Frame, Reference]:
        """The frame ``x`` as it was ``coded`` or with other step sizes, and what is known of it."""
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

    def _cost(self, codec: FrameCoder, x: Tensor, after: Tensor, made: Reference) -> float:
        """In bits, of what a choice changes: errors of both frames and the next one's rate."""
        frame, following = codec.encode_frame(after, made)
        bits = sum(float(c.latent.bits().sum()) for coded in frame.values() for c in coded)
        return bits + codec.trade * (_error(made.image, x) + _error(following.image, after))


def _times(main: Coded, factor: float) -> Sequence[int] | None:
    """Other step codes; None where they would be the same."""
    codes = [encode_step(factor * decode_step(code)) for code in main.step_codes]
    return codes if codes != list(main.step_codes) else None


def _error(image: Tensor, x: Tensor) -> float:
    height, width = x.shape[-2:]
    difference = image[..., :height, :width].clamp(0, 1) - x.to(image.device)
    return float(difference.square().sum(dtype=torch.float64))
