"""Tables that ship with the package: those of the embedded codecs, and of every Gaussian codec.

A table integrated on one machine can differ in a last count from the same table integrated on
another, and one such count ends a bitstream. So the tables of known densities are files, found by
the density's fingerprint; a density with other parameters has none, and its tables are built.
"""

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from latentopt.atomic import write_whole
from latentopt.densities import Density
from latentopt.pmf.tables import Ints

FOLDER = Path(__file__).parent / "counts"


def shipped_tables(fingerprint: str, lattice: str, pmf: str) -> Ints | None:
    """``Tables.dump()`` of the density of that fingerprint, if the package has it."""
    return _read(fingerprint).get(lattice) if pmf == "exact" else None


def ship_tables(density: Density, dumps: Mapping[str, Ints]) -> Path:
    """Write the dumps of a density, by lattice name, into the package; returns the file."""
    path = _path(density.fingerprint)
    packed = io.BytesIO()
    np.savez_compressed(packed, **dict(dumps))
    path.parent.mkdir(exist_ok=True)
    write_whole(path, packed.getvalue())
    _read.cache_clear()
    return path


@cache
def _read(fingerprint: str) -> dict[str, Ints]:
    path = _path(fingerprint)
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _path(fingerprint: str) -> Path:
    return FOLDER / f"{fingerprint}.npz"
