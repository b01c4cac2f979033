"""Lattices: their points, cells and nearest-point search. All have unit cell volume.

`int` Z, `hex` A2, `oct` A3* (bcc, whose cell is the truncated octahedron), `d4` D4, `e8` E8.
A *rule* says which lattice codes a level of which spread.
Second moments: Conway & Sloane, Sphere Packings, Lattices and Groups, table 2.3.
"""

from dataclasses import dataclass
from itertools import product
from math import sqrt

from latentopt.errors import InputError
from latentopt.lattices.base import CheckerboardLattice, Lattice, OuterPiece

__all__ = ["LATTICES", "RULES", "Lattice", "OuterPiece", "Rule", "get"]


def _integer() -> Lattice:
    piece = OuterPiece(corners=(), half_width=(0.5,))
    return Lattice("int", (1.0,), 1, ((0,),), 1 / 12, pieces=(piece,))


def _hexagonal() -> Lattice:
    a = sqrt(2 / sqrt(3))
    r = a / sqrt(3)  # circumradius; vertices at (0, ±r)
    pieces = (
        OuterPiece(corners=((0.0, r / 2),), half_width=(a / 2, 0.0)),
        OuterPiece(corners=((r / 2, r),), half_width=(sqrt(3) * r, -sqrt(3))),
    )
    # The outer coordinate of the cell is the first axis, the innermost the last one.
    units = (a * sqrt(3) / 2, a / 2)
    return Lattice("hex", units, 2, ((0, 0), (1, 1)), 5 / (36 * sqrt(3)), pieces)


def _truncated_octahedral() -> Lattice:
    s = 2 ** (1 / 3)
    q, h, t = s / 4, s / 2, 3 * s / 4
    slope = (t, -1.0, -1.0)  # |x| + |y| + |z| <= 3s/4
    pieces = (
        OuterPiece(((0.0, q), (0.0, 0.0), (q, 0.0)), (h, 0.0, 0.0)),
        OuterPiece(((0.0, q), (q, 0.0), (h, h)), slope),
        OuterPiece(((q, h), (0.0, 0.0), (h, q)), slope),
    )
    cosets = ((0, 0, 0), (1, 1, 1))
    return Lattice("oct", (h,) * 3, 2, cosets, 19 / (192 * 2 ** (1 / 3)), pieces)


def _d4() -> Lattice:
    cosets = tuple(c for c in product((0, 1), repeat=4) if sum(c) % 2 == 0)
    kappa = 13 / (120 * sqrt(2))
    return CheckerboardLattice("d4", (2 ** (-1 / 4),) * 4, 2, cosets, kappa, min_scale=0.55)


def _e8() -> Lattice:
    # m counts half steps; m mod 4 is twice a vector of D8 mod 2, or that plus one everywhere.
    even = [c for c in product((0, 1), repeat=8) if sum(c) % 2 == 0]
    cosets = tuple(tuple(2 * b + o for b in c) for o in (0, 1) for c in even)
    return CheckerboardLattice("e8", (0.5,) * 8, 4, cosets, 929 / 12960, min_scale=0.5)


LATTICES: dict[str, Lattice] = {
    lattice.name: lattice
    for lattice in (_integer(), _hexagonal(), _truncated_octahedral(), _d4(), _e8())
}


@dataclass(frozen=True)
class Rule:
    """Which lattice codes a level: ``wide`` where its spread reaches a bound, else ``int``."""

    name: str
    wide: Lattice
    least_spread: float
    """In latent units."""

    def lattice(self, spread: float) -> Lattice:
        """The lattice of a level of that standard deviation."""
        return self.wide if spread >= self.least_spread else LATTICES["int"]


# auto: the lattice with the least rate + weight * error per level, points chosen by that cost. It
# is e8 wherever there is something to code (scripts/level_lattices.py, docs/reference/pmf.md).
RULES: dict[str, Rule] = {
    **{name: Rule(name, lattice, lattice.min_scale) for name, lattice in LATTICES.items()},
    "auto": Rule("auto", LATTICES["e8"], 0.25),
}


def get(name: str) -> Rule:
    """The rule of that name: a lattice's own, or ``auto``.

    Raises:
        InputError: no such lattice; the message lists the names.
    """
    try:
        return RULES[name]
    except KeyError:
        raise InputError(f"unknown lattice {name!r}: choose one of {', '.join(RULES)}") from None
