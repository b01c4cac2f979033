"""The dithered channel: Q(y - U) + U, which is distributed as y + U, for a U that both sides draw.

    encode  residual - U ──► nearest points K ──► symbols, given U ──► ANS ──► string
    decode  residual ◄── + U ◄── points K ◄── symbols, given U ◄── ANS ◄── string

With soft rounding s_alpha comes before it all, and r_alpha after it (UQ + SR).
Universally quantized (Ziv 1985; Agustsson and Theis 2020): what arrives has the noise that codecs
are trained with, uniform on the lattice's cell whatever y is, at the rate of that noisy channel.
"""

import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolDecoder
from latentopt.densities import Density, Floats
from latentopt.latents.channel import Point
from latentopt.latents.dither.dithered import DitheredLatent
from latentopt.latents.dither.philox import places
from latentopt.latents.dither.reconstruction import Reconstruction
from latentopt.latents.dither.soft import SoftDensity, soft_targets
from latentopt.latents.dither.tables import DitherTables
from latentopt.latents.lattice.channel import MANY, nearest_points
from latentopt.latents.lattice.packing import Part, pack
from latentopt.latents.lattice.placed import PLACES, Placed, spacing
from latentopt.latents.prior import Prior
from latentopt.latents.walk import Walk, take_across
from latentopt.lattices import Rule
from latentopt.pmf.tables import Ints

Cross = Callable[[Part, NDArray[np.uint8], Prior, NDArray[np.int64]], Placed]
"""One side: the vectors of a part, given their dither and their group's prior and places."""


class DitherChannel:
    """Points of the lattices of a rule, each moved by a dither of its own.

    Args:
        density: of the residual, per level.
        rule: which lattice the vectors of a level use; narrow levels use `int`.
        seed: of the dither, 0 to 2^32 - 1.
        alpha: of soft rounding, 0 (none) to 64, with the rule ``int``.
        mean: whether what is decoded is E[y | z] of a point z, see :class:`Reconstruction`.
    """

    def __init__(
        self, density: Density, rule: Rule, seed: int, alpha: float = 0.0, mean: bool = False
    ):
        self.density, self.seed, self._rule, self._alpha = density, seed, rule, alpha
        self.tables = DitherTables.ruled(SoftDensity(density, alpha) if alpha else density, rule)
        self._reconstruct = Reconstruction(density, alpha, mean)

    def send(self, walk: Walk, target: Point, /) -> DitheredLatent:
        """The dithered points nearest to the target.

        Raises:
            InputError: a value is NaN, infinite or absurdly large.
        """

        def nearest(
            part: Part, dither: NDArray[np.uint8], prior: Prior, index: NDArray[np.int64]
        ) -> Placed:
            residual = prior.residual(target.values[index]).astype(np.float64)
            return _nearest(part, dither, soft_targets(residual, self._alpha))

        return self._cross(walk, nearest)

    def receive(self, walk: Walk, string: bytes, /) -> DitheredLatent:
        """The mirror of :meth:`send` and :meth:`DitheredLatent.string`.

        Raises:
            BitstreamError: ``string`` does not fit the walk exactly.
        """
        decoder = SymbolDecoder(string)

        def read(
            part: Part, dither: NDArray[np.uint8], prior: Prior, index: NDArray[np.int64]
        ) -> Placed:
            if part.index.size > MANY:
                decoder.expect(self._least_bits(part))
            return Placed.decode(self.tables, decoder, part, dither)

        latent = self._cross(walk, read)
        decoder.finish()
        return latent

    def _cross(self, walk: Walk, cross: Cross) -> DitheredLatent:
        """Take each group across: the vectors of its parts, in the order that both sides share."""
        dither = places(self.seed, walk.shape)
        crossed, arrived = list[Placed](), list[Floats]()

        def residual_of(index: NDArray[np.int64], prior: Prior) -> NDArray[np.floating]:
            residual = np.empty_like(prior.centres)
            for part in pack(prior.levels, self.tables.lattices):
                placed = cross(part, dither[index][part.index], prior, index)
                arrived.append(self._reconstruct(part, placed.i))
                residual[part.index] = arrived[-1]
                crossed.append(Placed(part.placed(index), placed.moves, placed.i))
            return residual

        prior = take_across(walk, residual_of)
        return DitheredLatent(self.density, self.tables, prior, crossed, arrived)

    def _least_bits(self, part: Part) -> float:
        """What the coordinates of a part cost at least."""
        classes = set(part.lattice.axis_class)
        return sum(
            (stop - start)
            * part.lattice.dim
            * min(self.tables.axis(part.lattice, level, c).least_bits for c in classes)
            for level, start, stop in part.runs
        )

    def dump(self) -> Ints:
        """Nothing besides the density: tables are made when they are first needed."""
        return np.zeros(0, np.int32)

    def digest(self) -> bytes:
        """Of what the tables follow from; the seed is in the header."""
        return hashlib.sha256(
            f"dither 1 {self.density.fingerprint} {self._rule.name}".encode()
        ).digest()


def _nearest(part: Part, dither: NDArray[np.uint8], residual: NDArray[np.float64]) -> Placed:
    lattice = part.lattice
    m = nearest_points(lattice, residual[part.index] - dither * spacing(lattice)).astype(np.int64)
    return Placed(part, dither, m * (PLACES // lattice.modulus) + dither)
