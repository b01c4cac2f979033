"""A budget: greedy rejection sampling of each element among 2^B candidates, the rest in 16 bits.

Algorithm 1 of the thesis. All elements run side by side; what none of its candidates was accepted
of is drawn from what is left over of its posterior, max(0, q - L p) (:mod:`.races`), and crosses as
a number. Indices are coded with their own frequencies, those of each rank of expected information.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder
from latentopt.densities import Floats
from latentopt.latents.sampling.belief import Belief
from latentopt.latents.sampling.blocks import run, slabs
from latentopt.latents.sampling.cut import Cut, Ints64
from latentopt.latents.sampling.drawn import Drawn
from latentopt.latents.sampling.empirical import Empirical
from latentopt.latents.sampling.plain import Plain
from latentopt.latents.sampling.posterior import Normals, Posterior
from latentopt.latents.sampling.races import Rejection
from latentopt.latents.sampling.sampler import Sampler
from latentopt.latents.sampling.staircase import Levels

BUDGET = 128
"""Candidates of an element: 2^7."""
_TRIES = 256  # draws from a posterior for one from what is left over of it
_OWN = 3


@dataclass(frozen=True)
class Budgeted:
    """Elements that crossed within a budget."""

    cut: Cut
    index: Ints64  # (n,) of the candidate that was accepted; BUDGET where none was
    rest: Plain
    values: Floats  # (n,)

    def bits(self) -> Floats:
        """(n,) cost of each element."""
        cost = np.empty(len(self.index))
        for own, law in self._laws():
            cost[own] = law.bits(self.index[own])
        cost[self.index == BUDGET] += self.rest.bits()
        return cost

    def escaped(self) -> int:
        """Elements that crossed as numbers."""
        return len(self.rest.k)

    def encode(self, encoder: SymbolEncoder) -> None:
        """Indices by rank, then the rest."""
        for own, law in self._laws():
            law.encode(encoder, self.index[own])
        self.rest.encode(encoder)

    def _laws(self) -> Iterator[tuple[Ints64, Empirical]]:
        """The elements of each rank, and how often they have which index."""
        for _, own in self.cut.by_rank():
            yield own, Empirical.of(self.index[own], BUDGET + 1)


class BudgetCoder(Sampler):
    """Samples by the first candidate that is accepted, of a budget of them."""

    def __init__(self, belief: Belief):
        self._belief = belief

    def send(self, levels: Levels, places: Ints64, target: Normals, drawn: Drawn) -> Budgeted:
        """See :class:`Sampler`."""
        cut = self._cut(levels)
        posterior = self._belief.posterior(levels, target)
        index, left = np.full(len(levels), BUDGET), np.zeros(len(levels))
        for slab in slabs(np.ones(len(levels), np.bool_)):
            own, within = cut.only(slab)
            some = posterior.at(own)
            race = Rejection(some, BUDGET, drawn.seed)
            run(race, some, within, places[own], drawn, BUDGET)
            index[slab], left[slab] = race.index, race.reached
        own = np.flatnonzero(index == BUDGET)
        rest = _left_over(posterior.at(own), left[own], drawn.seed)
        plain = Plain.nearest(self._belief, levels[own], rest)
        return self._budgeted(cut, index, plain, levels, places, drawn)

    def receive(
        self, levels: Levels, places: Ints64, decoder: SymbolDecoder, drawn: Drawn
    ) -> Budgeted:
        """See :class:`Sampler`."""
        cut, index = self._cut(levels), np.empty(len(levels), np.int64)
        for _, own in cut.by_rank():
            index[own] = Empirical.decode(decoder, len(own), BUDGET + 1)
        plain = Plain.decode(self._belief, levels[index == BUDGET], decoder)
        return self._budgeted(cut, index, plain, levels, places, drawn)

    def least_bits(self, levels: Levels) -> float:
        """Nothing: were all indices one and the same, their frequencies would say so."""
        return 0.0

    def _cut(self, levels: Levels) -> Cut:
        return Cut.of(self._belief.information[levels], 0.0)

    def _budgeted(
        self,
        cut: Cut,
        index: Ints64,
        rest: Plain,
        levels: Levels,
        places: Ints64,
        drawn: Drawn,
    ) -> Budgeted:
        """With the samples of these indices."""
        values = self._belief.steps.samples(levels, drawn.words(places, index))
        values[index == BUDGET] = rest.values
        return Budgeted(cut, index, rest, values)


def _left_over(posterior: Posterior, reached: Floats, seed: int) -> Floats:
    """(n,) samples of max(0, q - L p), by rejection of q's own."""
    rng = np.random.default_rng([seed, _OWN])
    found = posterior.draw(rng)
    left = np.arange(len(found))
    for _ in range(_TRIES):
        if not len(left):
            break
        some = posterior.at(left)
        x = some.draw(rng)
        is_taken = rng.random(len(left)) < 1 - reached[left] * np.exp(-some.log_weights(x))
        found[left[is_taken]] = x[is_taken]
        left = left[~is_taken]
    return found
