"""What follows from a density alone is computed once: tests wrap the same few models all over."""

import pytest
import torch

from latentopt.densities import Density
from latentopt.encoder.prices import CoordinateBits, Prices
from latentopt.latents.dither import tables as dither
from latentopt.latents.lattice import Tables
from latentopt.lattices import Lattice, Rule
from latentopt.pmf.tables import Ints


def integrate_once(patch: pytest.MonkeyPatch) -> None:
    """Tables that were built before are loaded, as if they shipped with the package.

    That they come out alike each time is seen where processes build their own
    (codec/test_portability.py).
    """
    built: dict[tuple[str, str, str], Ints] = {}
    build = Tables._build

    def once(tables: Tables, density: Density, rule: Rule, pmf: str) -> None:
        key = density.fingerprint, rule.name, pmf
        if key in built:
            tables._load(built[key], density.levels, rule)
        else:
            build(tables, density, rule, pmf)
            built[key] = tables.dump()

    patch.setattr(Tables, "_build", once)


def keep_dithers(patch: pytest.MonkeyPatch) -> None:
    """Those of dithers are shared by channels that live at the same time: here, by all."""
    patch.setattr(dither, "_SHARED", {})


def price_once(patch: pytest.MonkeyPatch) -> None:
    """The same of what coordinates cost."""
    priced: dict[tuple[str, str, torch.device], CoordinateBits] = {}
    price = Prices._of

    def once(prices: Prices, lattice: Lattice, device: torch.device) -> CoordinateBits:
        key = prices._density.fingerprint, lattice.name, device
        if key not in priced:
            priced[key] = price(prices, lattice, device)
        return priced[key]

    patch.setattr(Prices, "_of", once)
