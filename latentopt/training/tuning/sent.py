"""What an encoder really sends: crops of photographs, and the latents that are decoded of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from latentopt.codec.image import Codec
from latentopt.latents import Coded
from latentopt.training.photographs import Photographs
from latentopt.training.tuning.duration import Budget


@dataclass(frozen=True)
class Points:
    """Images, and their latents as decoded, the main one first."""

    x: Tensor  # (B, 3, H, W)
    hats: tuple[Tensor, ...]  # (B, C, h, w) each: as entropy models price them
    moved: tuple[Tensor, ...]  # likewise: with their shifts, as networks get them

    def some(self, rows: NDArray[np.int64]) -> "Points":
        """Some of the images."""
        index = torch.from_numpy(rows)
        hats, moved = (tuple(t[index] for t in each) for each in (self.hats, self.moved))
        return Points(self.x[index], hats, moved)


def code(codec: Codec, x: Tensor) -> Points:
    """Images (B, 3, H, W) as a codec codes them."""
    latents = list(codec.encode(x).values())
    direction = codec.assembly.direction
    deeper = [
        _stacked([c.shifted(direction(depth)) for c in coded], coded, x)
        for depth, coded in enumerate(latents[1:], 1)
    ]
    hats = [_stacked([c.latent.hat for c in coded], coded, x) for coded in latents]
    return Points(x, tuple(hats), (codec.moved(latents[0]), *deeper))


def joined(parts: Sequence[Points]) -> Points:
    """Those of all images."""
    x = torch.cat([part.x for part in parts])
    hats, moved = zip(*(part.hats for part in parts)), zip(*(part.moved for part in parts))
    return Points(x, tuple(map(torch.cat, hats)), tuple(map(torch.cat, moved)))


def _stacked(values: Sequence[NDArray], coded: Sequence[Coded], x: Tensor) -> Tensor:
    """Values of coded latents as one tensor (B, C, h, w), where the images are."""
    rows = np.stack(values).astype(np.float32)
    return torch.from_numpy(rows).reshape(-1, *coded[0].latent.prior.shape).to(x.device)


class Decoded:
    """Batches of points: each round's crops are coded once, by the codec as it is then.

    A training that is resumed between rounds goes on as if it had not stopped.
    """

    def __init__(self, codec: Codec, photographs: Photographs, budget: Budget):
        self._codec, self._photographs, self._budget = codec, photographs, budget
        self._round, self._points = -1, Points(torch.empty(0), (), ())

    def batch(self, step: int) -> Points:
        """Of a step: in each round, all crops before one comes again."""
        own = self._budget
        number, within = divmod(step, own.steps_a_round)
        if number != self._round:
            self._points, self._round = self._coded(number), number
        first = within * own.batch + np.arange(own.batch)
        orders = {epoch: self._order(number, epoch) for epoch in set(first // own.crops)}
        return self._points.some(np.array([orders[i // own.crops][i % own.crops] for i in first]))

    def _order(self, number: int, epoch: int) -> NDArray[np.int64]:
        own = self._budget
        return np.random.default_rng([own.seed, number, epoch]).permutation(own.crops)

    def _coded(self, number: int) -> Points:
        crops = self._photographs.batch(number).clamp(0, 1).to(self._codec.assembly.device)
        title = f"coding crops, round {number + 1}"
        return joined([code(self._codec, x[None]) for x in tqdm(crops, title, mininterval=5)])
