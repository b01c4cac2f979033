"""What a coordinate of a lattice point costs, for choices among many points.

In the product form the cost of a point is a sum over its coordinates, up to a constant per level,
whether its table is a product or a joint one. A choice needs no more than that; what was chosen is
priced and coded with the tables themselves.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentopt.densities import TAIL, Density, Floats
from latentopt.latents.lattice import CdfTables, Tables
from latentopt.lattices import Lattice
from latentopt.pmf.cells import cell_probabilities

_MAX_REACH = 2048  # in lattice units; beyond it a coordinate costs what it costs there
_CPU = torch.device("cpu")
_RAREST = TAIL  # about what an escaped coordinate pays
_MARGIN = 3.0  # past a support, cells and the noise of the product form no longer reach into it


class CoordinateBits:
    """-log2 of the mass of one coordinate, at every level of a density.

    Args:
        density: of the residual.
        lattice: whose coordinates ``m`` are priced.
    """

    def __init__(self, density: Density, lattice: Lattice, device: torch.device | str = "cpu"):
        supports = [density.support(level) for level in range(density.levels)]
        widest = max(max(-low, high) for low, high in supports)
        reach = int(min(widest / min(lattice.units) + 2, _MAX_REACH))
        m = np.arange(-reach, reach + 1)
        rows = []
        for unit in lattice.distinct_units:
            for level, (low, high) in enumerate(supports):
                near = (m * unit > low - _MARGIN) & (m * unit < high + _MARGIN)
                mass = np.full(len(m), _RAREST)
                mass[near] = _masses(density, level, lattice, unit, m[near])
                rows.append(-np.log2(np.maximum(mass, _RAREST)))
        self._keep(rows, density.levels, lattice, device)

    def _keep(
        self, rows: Sequence[Floats], levels: int, lattice: Lattice, device: torch.device | str
    ) -> None:
        """Bits of the coordinates from ``-reach`` to ``reach``, of each class and level."""
        self._bits = torch.from_numpy(np.array(rows, dtype=np.float32).ravel()).to(device)
        self._reach, self._levels = len(rows[0]) // 2, levels
        self._classes = torch.tensor(lattice.axis_class, device=device)

    def __call__(self, levels: Tensor, m: Tensor) -> Tensor:
        """Bits of integer-valued ``m`` (..., v, n), coordinates of vectors of ``levels`` (n,)."""
        rows = levels + self._levels * self._classes[:, None]  # (v, n)
        zeros = (rows * (2 * self._reach + 1) + self._reach).to(torch.int32)
        at = m.clamp(-self._reach, self._reach).to(torch.int32) + zeros
        return self._bits.index_select(0, at.flatten()).view(at.shape)  # quicker than by [at]


def _masses(
    density: Density, level: int, lattice: Lattice, unit: float, m: NDArray[np.int64]
) -> Floats:
    """(n,) mass of the coordinates ``m`` (n,) of an axis, as the product form has it."""
    if lattice.dim == 1:
        return cell_probabilities(density, level, lattice, m[:, None])
    return unit * density.smoothed(level, m * unit, lattice.second_moment)


class CdfBits(CoordinateBits):
    """What an integer costs in the tables of CompressAI's coder."""

    def __init__(self, tables: CdfTables, lattice: Lattice, device: torch.device | str = "cpu"):
        rows = integer_rows(tables, tables.reach)
        self._keep(rows, len(rows), lattice, device)


class RowBits(CoordinateBits):
    """What integers cost as rows (levels, 2 * reach + 1) of those near the centre say."""

    def __init__(self, rows: Sequence[Floats], lattice: Lattice, device: torch.device | str):
        self._keep(rows, len(rows), lattice, device)


def integer_rows(tables: Tables, reach: int) -> Sequence[Floats]:
    """(levels, 2 * reach + 1) what tables of integers charge for those from ``-reach`` on."""
    m = np.arange(-reach, reach + 1, dtype=np.int32)[:, None]
    return [tables["int", level].bits(m)[0] for level in range(len(tables.lattices))]


class Prices:
    """What coordinates cost in a lattice channel, by lattice and device; computed once."""

    def __init__(self, density: Density):
        self._density = density
        self._known: dict[tuple[str, torch.device], CoordinateBits] = {}

    def of(self, lattice: Lattice, device: torch.device = _CPU) -> CoordinateBits:
        """Those of a lattice's coordinates."""
        key = lattice.name, device
        if key not in self._known:
            self._known[key] = self._of(lattice, device)
        return self._known[key]

    def _of(self, lattice: Lattice, device: torch.device) -> CoordinateBits:
        return CoordinateBits(self._density, lattice, device)


class RowPrices(Prices):
    """What integers cost as rows say, see :class:`RowBits`."""

    def __init__(self, density: Density, rows: Sequence[Floats]):
        super().__init__(density)
        self._rows = rows

    def _of(self, lattice: Lattice, device: torch.device) -> CoordinateBits:
        return RowBits(self._rows, lattice, device)


class CdfPrices(Prices):
    """What integers cost where CompressAI's coder writes them."""

    def __init__(self, density: Density, tables: CdfTables):
        super().__init__(density)
        self._tables = tables

    def _of(self, lattice: Lattice, device: torch.device) -> CoordinateBits:
        return CdfBits(self._tables, lattice, device)
