"""The universal networks that ship with the package, one for each kind of prior."""

import io
from functools import cache
from pathlib import Path

import numpy as np

from latentopt.atomic import write_whole
from latentopt.densities import Density, ScaleDensity
from latentopt.latents.lattice.context.network import SIZE, Network
from latentopt.pmf.tables import Ints

FOLDER = Path(__file__).parent / "networks"


def split_dump(density: Density, dumped: Ints | None) -> tuple[Network, Ints | None]:
    """The network and the tables in a channel's dump; without one, the network that ships."""
    if dumped is None:
        return shipped_network(kind_of(density)), None
    return Network.load(dumped[:SIZE]), dumped[SIZE:]


def kind_of(density: Density) -> str:
    """Which network serves a density: a scale for each element, or one for each channel."""
    return "scales" if isinstance(density, ScaleDensity) else "channels"


@cache
def shipped_network(kind: str) -> Network:
    """The network for a kind of prior."""
    return Network.load(np.load(FOLDER / f"{kind}.npy", allow_pickle=False))


def ship_network(kind: str, network: Network) -> Path:
    """Write a network into the package; returns the file."""
    path, packed = FOLDER / f"{kind}.npy", io.BytesIO()
    np.save(packed, network.dump().astype("<i4"))
    path.parent.mkdir(exist_ok=True)
    write_whole(path, packed.getvalue())
    shipped_network.cache_clear()
    return path
