"""What follows from a density or a model is computed once: tests wrap the same few all over."""

import copy
import hashlib
import io
import os
import pickle
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar

import pytest
import torch
from compressai.models import CompressionModel
from torch import Tensor, nn

from latentopt.adapters import Adapter, tiles
from latentopt.codec.seal import Seal
from latentopt.densities import Density
from latentopt.encoder import Sensitivity, draft, sensitivity
from latentopt.encoder.prices import CoordinateBits, Prices
from latentopt.latents.dither import tables as dither
from latentopt.latents.lattice import Tables
from latentopt.lattices import Lattice, Rule
from latentopt.zoo import checkpoint

P = ParamSpec("P")
T = TypeVar("T")
Model = TypeVar("Model", bound=nn.Module)


class Mould(Generic[Model]):
    """Copies of a model as ``copy.deepcopy`` makes them, in a quarter of its time.

    All of it is pickled once, but for tensors, which are copied, and classes and functions, some of
    which pickle would not find by their names.
    """

    def __init__(self, model: Model):
        self._parts = list[Any]()
        file = io.BytesIO()
        _Taking(file, self._parts).dump(model)
        self._shape = file.getvalue()

    def cast(self) -> Model:
        model: Model = _Giving(io.BytesIO(self._shape), self._parts).load()
        return model


class _Taking(pickle.Pickler):
    def __init__(self, file: io.BytesIO, parts: list[Any]):
        super().__init__(file)
        self._parts, self._places = parts, dict[int, int]()

    def persistent_id(self, part: object) -> int | None:
        """Where a part is kept; None of what is pickled."""
        if not isinstance(part, (Tensor, type, FunctionType)):
            return None
        if id(part) not in self._places:
            self._places[id(part)] = len(self._parts)
            self._parts.append(part)
        return self._places[id(part)]


class _Giving(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, parts: list[Any]):
        super().__init__(file)
        self._parts, self._copied = parts, dict[int, Any]()

    def persistent_load(self, place: int) -> Any:
        """A tensor that two modules share is shared by their copies."""
        return copy.deepcopy(self._parts[place], self._copied)


def made_once(make: Callable[P, Model]) -> Callable[P, Model]:
    """Copies of the models that ``make`` makes: its CompressAI takes longer over their tables."""

    @cache
    def mould(*args: P.args, **words: P.kwargs) -> Mould[Model]:
        return Mould(make(*args, **words))

    @wraps(make)
    def copied(*args: P.args, **words: P.kwargs) -> Model:
        return mould(*args, **words).cast()

    return copied


class Shelf:
    """What was worked out before: by this process, or by another of the same run of pytest.

    That it comes out alike each time is seen where processes work it out for themselves
    (codec/test_portability.py, codec/test_workers.py).
    """

    def __init__(self, folder: Path):
        self._folder, self._here = folder, dict[str, Any]()

    def get(self, *key: object) -> Any:
        """None where nobody has put it there."""
        name = _name(key)
        path = self._folder / name
        if name not in self._here and path.exists():
            self._here[name] = pickle.loads(path.read_bytes())
        return self._here.get(name)

    def put(self, value: T, *key: object) -> T:
        name = _name(key)
        self._here[name] = value
        part = self._folder / f"{name}.{os.getpid()}"
        part.write_bytes(pickle.dumps(value))
        part.replace(self._folder / name)
        return value


def _name(key: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(key).encode()).hexdigest()


def integrate_once(patch: pytest.MonkeyPatch, shelf: Shelf) -> None:
    """Tables that were built before are loaded, as if they shipped with the package."""
    build = Tables._build

    def once(tables: Tables, density: Density, rule: Rule, pmf: str) -> None:
        key = "tables", density.fingerprint, rule.name, pmf
        dumped = shelf.get(*key)
        if dumped is None:
            build(tables, density, rule, pmf)
            shelf.put(tables.dump(), *key)
        else:
            tables._load(dumped, density.levels, rule)

    patch.setattr(Tables, "_build", once)


def load_once(patch: pytest.MonkeyPatch) -> None:
    """Copies of the models of checkpoints, as long as the files are what they were."""
    loaded: dict[tuple[object, ...], Mould[CompressionModel]] = {}
    load = checkpoint.load_checkpoint

    def once(path: Path, family: str) -> CompressionModel:
        if not path.is_file():
            return load(path, family)
        of, file = path.resolve(), path.stat()
        key = of, file.st_ino, file.st_mtime_ns, file.st_size, family
        if key not in loaded:
            loaded[key] = Mould(load(path, family))
        return loaded[key].cast()

    patch.setattr(checkpoint, "load_checkpoint", once)


def keep_dithers(patch: pytest.MonkeyPatch) -> None:
    """Those of dithers are shared by channels that live at the same time: here, by all."""
    patch.setattr(dither, "_SHARED", {})


def price_once(patch: pytest.MonkeyPatch, shelf: Shelf) -> None:
    """The same of what coordinates cost."""
    price = Prices._of

    def once(prices: Prices, lattice: Lattice, device: torch.device) -> CoordinateBits:
        key = "prices", prices._density.fingerprint, lattice.name, device
        return shelf.get(*key) or shelf.put(price(prices, lattice, device), *key)

    patch.setattr(Prices, "_of", once)


def measure_once(patch: pytest.MonkeyPatch, shelf: Shelf) -> None:
    """The same of what errors cost, which the model says, and what an adapter was told."""
    measure = sensitivity.measure

    def once(adapter: Adapter) -> Sensitivity:
        told = {k: _said(v) for k, v in vars(adapter).items() if k != "_kept"}
        like = next(adapter.model.parameters())
        if not all(isinstance(value, _PLAIN) for value in told.values()):
            return measure(adapter)
        drafts = draft.low_precision.__qualname__, tiles._LARGE  # which some tests change
        key = "sensitivity", type(adapter), *told.items(), like.dtype, like.device, *drafts
        return shelf.get(*key) or shelf.put(measure(adapter), *key)

    patch.setattr(sensitivity, "measure", once)


_PLAIN = (bool, int, float, str, tuple, type(None))
"""What a ``repr`` says all of."""


def _said(value: object) -> object:
    """What an adapter was told: of networks and their methods, not which copy it was."""
    if isinstance(value, nn.Module):
        return repr(value), Seal.of(value).checksum
    if isinstance(value, Tensor):
        return str(value.tolist())
    owner = getattr(value, "__self__", None)
    if isinstance(owner, nn.Module):
        return value.__func__.__qualname__, _said(owner)
    return value
