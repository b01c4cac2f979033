"""The dithered channel: Q(y - U) + U, which is distributed as y + U, for a U that both sides draw.

    encode  residual - U ──► nearest points K ──► symbols, given U ──► ANS ──► string
    decode  residual ◄── + U ◄── points K ◄── symbols, given U ◄── ANS ◄── string

Universally quantized (Ziv 1985; Agustsson and Theis 2020): what arrives has the noise that codecs
are trained with, uniform on the lattice's cell whatever y is, at the rate of that noisy channel.
"""

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolDecoder
from latentopt.densities import Density
from latentopt.errors import InputError
from latentopt.latents.channel import Point
from latentopt.latents.dither.dithered import DitheredLatent, Vectors, spacing
from latentopt.latents.dither.philox import PLACES, places
from latentopt.latents.dither.tables import DitherTables
from latentopt.latents.lattice.channel import MAX_COORDINATE
from latentopt.latents.lattice.packing import Part, pack
from latentopt.latents.prior import Ledger, Prior
from latentopt.latents.walk import Walk
from latentopt.lattices import Rule
from latentopt.pmf.tables import Ints

_MANY = 1 << 20  # elements whose memory is worth a look at whether the string can hold them

Cross = Callable[[Part, NDArray[np.uint8], Prior, NDArray[np.int64]], Vectors]
"""One side: the vectors of a part, given their dither and their group's prior and places."""


class DitherChannel:
    """Points of the lattices of a rule, each moved by a dither of its own.

    Args:
        density: of the residual, per level.
        rule: which lattice the vectors of a level use; narrow levels use `int`.
        seed: of the dither, 0 to 2^32 - 1.
    """

    def __init__(self, density: Density, rule: Rule, seed: int):
        self.density, self.seed, self._rule = density, seed, rule
        self.tables = DitherTables.of(density, rule)

    def send(self, walk: Walk, target: Point, /) -> DitheredLatent:
        """The dithered points nearest to the target.

        Raises:
            InputError: a value is NaN, infinite or absurdly large.
        """

        def nearest(
            part: Part, dither: NDArray[np.uint8], prior: Prior, index: NDArray[np.int64]
        ) -> Vectors:
            residual = prior.residual(target.values[index]).astype(np.float64)
            return _nearest(part, dither, residual)

        return self._cross(walk, nearest)

    def receive(self, walk: Walk, string: bytes, /) -> DitheredLatent:
        """The mirror of :meth:`send` and :meth:`DitheredLatent.string`.

        Raises:
            BitstreamError: ``string`` does not fit the walk exactly.
        """
        decoder = SymbolDecoder(string)

        def read(
            part: Part, dither: NDArray[np.uint8], prior: Prior, index: NDArray[np.int64]
        ) -> Vectors:
            if part.index.size > _MANY:
                decoder.expect(self._least_bits(part))
            return Vectors.decode(self.tables, decoder, part, dither)

        latent = self._cross(walk, read)
        decoder.finish()
        return latent

    def _cross(self, walk: Walk, cross: Cross) -> DitheredLatent:
        """Take each group across: the vectors of its parts, in the order that both sides share."""
        ledger, crossed = Ledger(walk.shape), list[Vectors]()
        dither = places(self.seed, walk.shape)

        def carry(
            index: NDArray[np.int64],
            levels: NDArray[np.int16],
            centres: NDArray[np.floating],
            steps: NDArray[np.floating] | None = None,
            /,
        ) -> NDArray[np.floating]:
            prior = Prior((len(index),), levels, centres, steps)
            ledger.note(index, prior)
            residual = np.empty_like(centres)
            for part in pack(levels, self.tables.lattices):
                vectors = cross(part, dither[index][part.index], prior, index)
                residual[part.index] = vectors.values
                placed = Part(part.lattice, index[part.index], part.runs)
                crossed.append(Vectors(placed, vectors.dither, vectors.i))
            return prior.values(residual)

        walk.go(carry)
        return DitheredLatent(self.density, self.tables, ledger.prior, crossed)

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


def _nearest(part: Part, dither: NDArray[np.uint8], residual: NDArray[np.float64]) -> Vectors:
    lattice = part.lattice
    x = residual[part.index] - dither * spacing(lattice)
    if not np.abs(x).max() < MAX_COORDINATE * min(lattice.units):  # true for NaN, too
        raise InputError("the latent is NaN, infinite or beyond 2^30: check input and weights")
    m = lattice.nearest(torch.from_numpy(x)).numpy()
    return Vectors(part, dither, m * (PLACES // lattice.modulus) + dither)
