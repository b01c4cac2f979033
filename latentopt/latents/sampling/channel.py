"""The sampled channel: a sample of N(y, spread^2) crosses, at about the cost of its information.

    encode   y ─► posterior N(y, τ²) ─► sampler ─► symbols ─► ANS ─► string
                                          ▲ draws
    decode   sample ◄── sampler ◄── symbols ◄── ANS ◄── string
                          ▲ the same draws

Compression without quantization (Havasi et al. 2019; Flamich 2019): what a string costs is close to
KL[q | p], however small the spread of q is compared with any step.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder
from latentopt.densities import BelievedDensity, Density, Floats
from latentopt.errors import BitstreamError, InputError
from latentopt.latents.channel import Crossed, Gaussian, Kinds, Point
from latentopt.latents.prior import Prior
from latentopt.latents.sampling.belief import Belief
from latentopt.latents.sampling.blocks import KINDS, BlockCoder
from latentopt.latents.sampling.budget import BudgetCoder
from latentopt.latents.sampling.cut import Ints64
from latentopt.latents.sampling.drawn import Drawn
from latentopt.latents.sampling.groups import GroupCoder
from latentopt.latents.sampling.layers import LayerCoder, gaussian_widths, uniform_widths
from latentopt.latents.sampling.mixed import MixedCoder
from latentopt.latents.sampling.posterior import Normals
from latentopt.latents.sampling.sampler import Sampled, Sampler
from latentopt.latents.sampling.shards import ShardCoder
from latentopt.latents.sampling.spread import Sampling
from latentopt.latents.sampling.staircase import Levels
from latentopt.latents.walk import OfChannels, Walk, take_across
from latentopt.pmf import Counts
from latentopt.pmf.tables import Ints

MAKERS: Mapping[str, Callable[[Belief], Sampler]] = {
    "layered": lambda belief: LayerCoder(belief, gaussian_widths()),
    "uniform": lambda belief: LayerCoder(belief, uniform_widths()),
    **{kind.name: partial(BlockCoder, kind) for kind in KINDS},
    "budget": BudgetCoder,
    "greedy": ShardCoder,
    "adaptive": GroupCoder,
    "is-gs": ShardCoder,
    "mixed": partial(MixedCoder, gaussian_widths()),
    "mixed-uniform": partial(MixedCoder, uniform_widths()),
}
"""By the names that :data:`latentopt.bitstream.headers.SAMPLERS` has."""

_END, _LAST = Counts.from_probabilities(np.ones(256)), np.array([255], np.int32)
"""What follows all symbols. A decoder that ran out of data reads the first symbol of any alphabet
for ever, and where that is a likely one it would end as if all were well: this it cannot read."""

_LARGEST = 2.0**22  # of a residual: the narrowest layers, of 1/256, count it in 30 bits

_MANY = 1 << 14  # elements, of which the mean is as good as known
_SOME = 1 << 10  # of a channel, by which to judge all of it before memory is taken for them

Cross = Callable[[Levels, Ints64, Prior], Sampled]
"""One side: a group's samples, given its levels, its places and its prior."""


@dataclass(frozen=True)
class SampledLatent(Crossed):
    """One latent of one image, of which a sample crossed."""

    density: Density
    name: str
    prior: Prior
    groups: Sequence[tuple[Ints64, Sampled]] = field(repr=False)
    """Places, and what crossed of them, in the order of coding."""

    @property
    def residual(self) -> NDArray[np.floating]:
        """(n,) the samples, each at its own place."""
        return self._placed(lambda sampled: sampled.values, np.empty_like(self.prior.centres))

    def bits(self) -> Floats:
        """(n,) cost of each element."""
        n = len(self.prior.levels)
        return self._placed(lambda sampled: sampled.bits() + _END.bits[0] / n, np.empty(n))

    def _placed(
        self, of: Callable[[Sampled], Floats], into: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        for places, sampled in self.groups:
            into[places] = of(sampled)
        return into

    @property
    def kinds(self) -> Kinds:
        """All by one sampler."""
        return Kinds((self.name,), (1,), np.zeros(len(self.prior.levels), np.int64))

    def escaped(self) -> int:
        """See :meth:`Sampled.escaped`."""
        return sum(sampled.escaped() for _, sampled in self.groups)

    def string(self) -> bytes:
        """Each group's symbols, one after the other."""
        encoder = SymbolEncoder()
        for _, sampled in self.groups:
            sampled.encode(encoder)
        encoder.run(_END, _LAST)
        return encoder.finish()


class SampleChannel:
    """Samples of Gaussian posteriors around what is sent.

    Args:
        density: of the residual, per level; with the posterior's own noise it is the prior.
        sampling: the posterior's spread, the coder, and the seed of what both sides draw.
    """

    def __init__(self, density: Density, sampling: Sampling):
        self.density, self.sampling = density, sampling
        self._belief = Belief.of(density, sampling.spread)
        self._sampler = MAKERS[sampling.sampler](self._belief)

    def send(self, walk: Walk, target: Point, /) -> SampledLatent:
        """A sample around the target; of a :class:`Gaussian`, a sample of it.

        Raises:
            InputError: a value is NaN, infinite or absurdly large.
        """
        drawn = Drawn(self.sampling.seed, walk.shape)

        def sample(levels: Levels, index: Ints64, prior: Prior) -> Sampled:
            return self._sampler.send(levels, index, self._normals(target, index, prior), drawn)

        return self._cross(walk, sample)

    def _normals(self, target: Point, index: Ints64, prior: Prior) -> Normals:
        """The posteriors of a group, as residuals."""
        mean = prior.residual(target.values[index]).astype(np.float64)
        spread = np.full(len(mean), self.sampling.spread)
        if isinstance(target, Gaussian):
            spread *= prior.unscaled(target.spreads[index])
        if not np.all(np.abs(mean) < _LARGEST):  # also where it is NaN
            raise InputError("the latent is NaN, infinite or beyond what can be sampled")
        return Normals(mean, spread)

    def divergence(self, latent: SampledLatent, target: Point) -> Floats:
        """(n,) KL[q | p] in bits of the target's posteriors, for what it crossed as."""
        prior = latent.prior
        own = self._normals(target, np.arange(len(prior.levels)), prior)
        levels = prior.levels.astype(np.int64)
        if isinstance(self.density, BelievedDensity):
            return self.density.divergence(levels, own.mean, own.spread)
        return self._belief.posterior(levels, own).divergence()

    def receive(self, walk: Walk, string: bytes, /) -> SampledLatent:
        """The mirror of :meth:`send` and :meth:`SampledLatent.string`.

        Raises:
            BitstreamError: ``string`` does not fit the walk exactly.
        """
        decoder, drawn = SymbolDecoder(string), Drawn(self.sampling.seed, walk.shape)
        if isinstance(walk, OfChannels) and walk.plane >= _MANY:
            some = np.arange(walk.levels.start, walk.levels.stop).repeat(_SOME)
            decoder.check(walk.plane / _SOME / 2 * self._sampler.least_bits(some))

        def read(levels: Levels, index: Ints64, prior: Prior) -> Sampled:
            if len(levels) >= _MANY:
                decoder.expect(self._sampler.least_bits(levels))
            return self._sampler.receive(levels, index, decoder, drawn)

        latent = self._cross(walk, read)
        if not np.array_equal(decoder.run(_END, 1), _LAST):
            raise BitstreamError("corrupt: the samples do not end where the string does")
        decoder.finish()
        return latent

    def _cross(self, walk: Walk, cross: Cross) -> SampledLatent:
        groups = list[tuple[Ints64, Sampled]]()

        def residual_of(index: Ints64, prior: Prior) -> Floats:
            groups.append((index, cross(prior.levels.astype(np.int64), index, prior)))
            return groups[-1][1].values

        prior = take_across(walk, residual_of)
        return SampledLatent(self.density, self.sampling.sampler, prior, groups)

    def dump(self) -> Ints:
        """Nothing besides the density: tables are made when they are first needed."""
        return np.zeros(0, np.int32)

    def digest(self) -> bytes:
        """Of what the tables follow from; spread, coder and seed are in the header."""
        return hashlib.sha256(f"sample 1 {self.density.fingerprint}".encode()).digest()
