"""CompressAI's own tables as tables of integers: what a decoder in the field charges for points.

Its coder knows 16-bit cumulative counts of the integers near the centre, the last of which stands
for all others: those follow in nibbles that cost 4 bits each ("bypass").
"""

from typing import Protocol

import numpy as np
from torch import Tensor

from latentopt.densities import Density, Floats
from latentopt.errors import UnsupportedModelError
from latentopt.latents.lattice.channel import LatticeChannel
from latentopt.latents.lattice.tables import Tables
from latentopt.lattices import LATTICES
from latentopt.pmf import Counts
from latentopt.pmf.counts import PRECISION
from latentopt.pmf.tables import AxisTable, Ints, Mask, ScalarTable

_CDF_BITS = 16
_NIBBLE = 4  # bits
_LONGEST = (1 << _NIBBLE) - 1  # how many nibbles follow is said in nibbles that go up to this

_BEYOND = 64  # integers that no table has, but some image might
_MAX_REACH = 2048

_INT = LATTICES["int"]
_ONE_COSET = Counts.from_probabilities(np.ones(1))


class Cdfs(Protocol):
    """The tables of a CompressAI ``EntropyModel`` that was updated."""

    quantized_cdf: Tensor  # (levels, longest) cumulative counts
    cdf_length: Tensor  # (levels,)
    offset: Tensor  # (levels,) the integer of the first symbol


class CdfTable(ScalarTable):
    """One level's table: integers, and the price of those that it escapes."""

    @staticmethod
    def read(cdf: Ints, first: int) -> "CdfTable":
        """From cumulative counts (symbols + 1,), the last symbol being the escape."""
        counts = np.diff(cdf).astype(np.int32) << (PRECISION - _CDF_BITS)
        return CdfTable(_INT, _ONE_COSET, {(0, 0): AxisTable(first, Counts(counts))})

    def bits(self, m: Ints) -> tuple[Floats, Mask]:
        """As a :class:`ScalarTable` says it, but nothing is left to plain integers."""
        cost, escaped = super().bits(m)
        outside = m[escaped].astype(np.int64) - self._axis.first
        cost[escaped[:, 0]] += _bypass_bits(outside, self._axis.escape)
        return cost, np.zeros_like(escaped)


class CdfTables(Tables):
    """The tables of all levels of a CompressAI entropy model.

    Raises:
        UnsupportedModelError: its tables are not those of such a density.
    """

    def __init__(self, density: Density, cdfs: Cdfs):
        if len(cdfs.cdf_length) != density.levels:
            raise UnsupportedModelError(
                f"the model's own coder has {len(cdfs.cdf_length)} tables where its density has "
                f"{density.levels} levels: update() it"
            )
        rows = cdfs.quantized_cdf.cpu().numpy()
        ends, firsts = cdfs.cdf_length.tolist(), cdfs.offset.tolist()
        self.lattices = [_INT] * density.levels
        self._tables = {
            (_INT.name, level): CdfTable.read(row[:end], first)
            for level, (row, end, first) in enumerate(zip(rows, ends, firsts))
        }
        furthest = max(max(-first, first + end) for first, end in zip(firsts, ends))
        self.reach = min(furthest + _BEYOND, _MAX_REACH)
        """Integers up to here, on either side, are worth a price of their own."""


class CdfChannel(LatticeChannel):
    """Integers around the centres at the prices of CompressAI's coder, which writes them itself."""

    tables: CdfTables

    def __init__(self, density: Density, cdfs: Cdfs):
        self.density, self.corrected = density, False
        self.tables = CdfTables(density, cdfs)


def _bypass_bits(outside: np.ndarray, escape: int) -> Floats:
    """(n,) what symbols below 0, or of ``escape`` and above, cost after the escape symbol.

    As ``rans_interface.cpp`` writes them: the number of nibbles, then the nibbles.
    """
    raw = np.where(outside < 0, -2 * outside - 1, 2 * (outside - escape))
    nibbles = -(-np.frexp(raw.astype(np.float64))[1] // _NIBBLE)
    return _NIBBLE * (nibbles // _LONGEST + 1 + nibbles).astype(np.float64)
