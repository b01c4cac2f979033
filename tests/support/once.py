"""What follows from a density or a model is computed once: tests wrap the same few all over."""

import copy
from collections.abc import Callable, Hashable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import pytest
import torch
from torch import nn

from latentopt.adapters import Adapter
from latentopt.codec.seal import Seal
from latentopt.densities import Density
from latentopt.encoder import Sensitivity, sensitivity
from latentopt.encoder.prices import CoordinateBits, Prices
from latentopt.latents.dither import tables as dither
from latentopt.latents.lattice import Tables
from latentopt.lattices import Lattice, Rule
from latentopt.pmf.tables import Ints

P = ParamSpec("P")
Model = TypeVar("Model", bound=nn.Module)


def made_once(make: Callable[P, Model]) -> Callable[P, Model]:
    """Copies of the models that ``make`` makes: its CompressAI takes longer over their tables."""
    kept = cache(make)

    @wraps(make)
    def copied(*args: P.args, **words: P.kwargs) -> Model:
        return copy.deepcopy(kept(*args, **words))

    return copied


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


def measure_once(patch: pytest.MonkeyPatch) -> None:
    """The same of what errors cost, which the model says, and what an adapter was told."""
    measured: dict[tuple[object, ...], Sensitivity] = {}
    measure = sensitivity.measure

    def once(adapter: Adapter) -> Sensitivity:
        told = {k: _said(v) for k, v in vars(adapter).items() if k != "_kept"}
        like = next(adapter.model.parameters())
        key = type(adapter), *told.items(), like.dtype, like.device
        if not all(isinstance(value, Hashable) for value in told.values()):
            return measure(adapter)
        if key not in measured:
            measured[key] = measure(adapter)
        return measured[key]

    patch.setattr(sensitivity, "measure", once)


def _said(value: object) -> object:
    """What an adapter was told: of networks and their methods, not which copy it was."""
    if isinstance(value, nn.Module):
        return repr(value), Seal.of(value).checksum
    owner = getattr(value, "__self__", None)
    return (value.__func__, *_said(owner)) if isinstance(owner, nn.Module) else value
