"""Mixed: elements that are all but certain cross in blocks, the others in layers, one by one.

What a one-shot coder pays above KL is paid once for each of its symbols. It is little of the price
of an element of several bits, and a multiple of that of one of a hundredth, which there are most.
"""

from dataclasses import dataclass

import numpy as np

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder
from latentopt.densities import Floats
from latentopt.latents.sampling.belief import Belief
from latentopt.latents.sampling.blocks import FEW, BlockCoder, Blocked
from latentopt.latents.sampling.cut import Ints64
from latentopt.latents.sampling.drawn import Drawn
from latentopt.latents.sampling.layers import LayerCoder, Layered
from latentopt.latents.sampling.posterior import Normals
from latentopt.latents.sampling.sampler import Sampler
from latentopt.latents.sampling.staircase import Levels

BUSY = 1.0
"""Bits that an element is expected to have from which layers are the cheaper."""


@dataclass(frozen=True)
class Mixed:
    """Elements that crossed in either way."""

    parts: tuple[Ints64, Ints64]
    """Places of the calm ones, and of the busy ones."""
    calm: Blocked
    busy: Layered

    @property
    def values(self) -> Floats:
        """(n,) the samples."""
        return self._placed(self.calm.values, self.busy.values)

    def bits(self) -> Floats:
        """(n,) cost of each element."""
        return self._placed(self.calm.bits(), self.busy.bits())

    def _placed(self, calm: Floats, busy: Floats) -> Floats:
        placed = np.empty(len(calm) + len(busy))
        placed[self.parts[0]], placed[self.parts[1]] = calm, busy
        return placed

    def escaped(self) -> int:
        """Of both."""
        return self.calm.escaped() + self.busy.escaped()

    def encode(self, encoder: SymbolEncoder) -> None:
        """The blocks, then the layers."""
        self.calm.encode(encoder)
        self.busy.encode(encoder)


class MixedCoder(Sampler):
    """Samples by ordered random coding of small blocks, and by layers of these widths (256,)."""

    def __init__(self, widths: Floats, belief: Belief):
        self._busy = belief.information >= BUSY  # (levels,)
        self._blocks, self._layers = BlockCoder(FEW, belief), LayerCoder(belief, widths)

    def send(self, levels: Levels, places: Ints64, target: Normals, drawn: Drawn) -> Mixed:
        """See :class:`Sampler`."""
        calm, busy = self._parts(levels)
        return Mixed(
            (calm, busy),
            self._blocks.send(levels[calm], places[calm], target.at(calm), drawn),
            self._layers.send(levels[busy], places[busy], target.at(busy), drawn),
        )

    def receive(
        self, levels: Levels, places: Ints64, decoder: SymbolDecoder, drawn: Drawn
    ) -> Mixed:
        """See :class:`Sampler`."""
        calm, busy = self._parts(levels)
        return Mixed(
            (calm, busy),
            self._blocks.receive(levels[calm], places[calm], decoder, drawn),
            self._layers.receive(levels[busy], places[busy], decoder, drawn),
        )

    def least_bits(self, levels: Levels) -> float:
        """See :class:`Sampler`."""
        calm, busy = self._parts(levels)
        return self._blocks.least_bits(levels[calm]) + self._layers.least_bits(levels[busy])

    def _parts(self, levels: Levels) -> tuple[Ints64, Ints64]:
        """Places of those that are all but certain, by level, and of the others.

        By level, so that one which surprises does not take many along that are as expected.
        """
        is_busy = self._busy[levels]
        order = np.argsort(levels, kind="stable")
        return order[~is_busy[order]], np.flatnonzero(is_busy)
