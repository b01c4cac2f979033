"""Vectors that a context has moved, as points that lie at places of their lattice's period."""

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder
from latentopt.densities import Floats
from latentopt.latents.lattice.packing import Moved
from latentopt.latents.lattice.placed.halves import Halves
from latentopt.latents.lattice.placed.points import Placed, bits_of
from latentopt.latents.lattice.placed.tables import PLACES, PlacedTables
from latentopt.lattices import Lattice
from latentopt.pmf.tables import Ints


class MovedPoints(Placed):
    """Points of vectors that a context has moved; their cosets cross in halves."""

    @staticmethod
    def of(part: Moved, m: Ints) -> "MovedPoints":
        """Of coordinates (n, v), counted from moved centres."""
        return MovedPoints(part, _places(part), m.astype(np.int64) * _unit(part.lattice))

    @staticmethod
    def read(tables: PlacedTables, decoder: SymbolDecoder, part: Moved) -> Ints:
        """The coordinates (n, v) that :meth:`encode` wrote."""
        found = MovedPoints.decode(tables, decoder, part, _places(part))
        return (found.i // _unit(part.lattice)).astype(np.int32)

    def _coset_bits(self, tables: PlacedTables, rows: slice) -> Floats:
        halves, masses, first, second = self._halves(tables, rows)
        return bits_of(halves.firsts(masses), first) + bits_of(
            halves.seconds(masses, first), second
        )

    def _encode_cosets(self, tables: PlacedTables, encoder: SymbolEncoder, rows: slice) -> None:
        halves, masses, first, second = self._halves(tables, rows)
        encoder.rows(lambda: halves.firsts(masses), first)
        if halves.coset.shape[1] > 1:
            encoder.rows(lambda: halves.seconds(masses, first), second)

    def _halves(self, tables: PlacedTables, rows: slice) -> tuple[Halves, Floats, Ints, Ints]:
        """The halves of cosets, how likely residues are, and the two symbols of each vector."""
        halves, own = Halves.of(self.lattice), (self.part.own_levels[rows], self.moves[rows])
        first, second = halves.pair[self.cosets[rows]].T
        return halves, tables.residue_masses(self.lattice, *own), first, second

    @staticmethod
    def _decode_cosets(
        tables: PlacedTables,
        decoder: SymbolDecoder,
        lattice: Lattice,
        levels: NDArray[np.int64],
        moves: NDArray[np.uint8],
    ) -> Ints:
        halves, masses = Halves.of(lattice), tables.residue_masses(lattice, levels, moves)
        first = decoder.rows(halves.firsts(masses))
        second = np.zeros_like(first)
        if halves.coset.shape[1] > 1:
            second = decoder.rows(halves.seconds(masses, first))
        return halves.coset[first, second]


def _places(part: Moved) -> NDArray[np.uint8]:
    """(n, v) by how many places each point lies off the lattice, counted from its moved centre."""
    return (-part.moves * _unit(part.lattice) % PLACES).astype(np.uint8)


def _unit(lattice: Lattice) -> int:
    """Places in a unit of the lattice."""
    return PLACES // lattice.modulus
