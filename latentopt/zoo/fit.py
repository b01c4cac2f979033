"""Whether tensors are those of an architecture, and what coding needs of them: else why not."""

import inspect
from collections.abc import Collection, Mapping
from functools import cache

import torch
from compressai.entropy_models import EntropyBottleneck, EntropyBottleneckVbr, EntropyModel
from compressai.models import CompressionModel
from torch import Tensor

from latentopt.errors import WeightsError
from latentopt.zoo.architectures import ARCHITECTURES

_NAMED = 3  # entries that a message names of a kind
_TABLES = ("_quantized_cdf", "_offset", "_cdf_length", "scale_table")
_MOST_LEVELS = 1024
_LARGEST_SCALE = 4096.0  # CompressAI's own tables end at 256
_WIDEST = 1 << 16  # levels from a bottleneck's median to the end of its table


def differences(state: Mapping[str, Tensor], family: str) -> str:
    """Which entries an architecture has besides those given, and which it has not; else ""."""
    own = _entries(family)
    parts = (("lacks", own - set(state)), ("has besides", set(state) - own))
    return " and ".join(f"it {verb} {_listed(names)}" for verb, names in parts if names)


@cache
def _entries(family: str) -> frozenset[str]:
    """Names in the state dict of an architecture; its widths, which are free, are no part of it."""
    make = ARCHITECTURES[family]
    widths = {name: 8 for name in inspect.signature(make).parameters if name in ("N", "M")}
    return frozenset(make(**widths).state_dict())


def with_tables(state: Mapping[str, Tensor], family: str) -> dict[str, Tensor]:
    """The tensors, with the empty tables of a model never updated where there are no tables.

    They follow from the weights, and whoever keeps only those (a moving average of parameters) has
    lost nothing.
    """
    if any(_is_table(name) for name in state):
        return dict(state)
    tables = {name: torch.IntTensor() for name in _entries(family) if _is_table(name)}
    return dict(state) | tables


def _is_table(name: str) -> bool:
    return name.rpartition(".")[2] in _TABLES


def _listed(names: Collection[str]) -> str:
    first = sorted(names)[:_NAMED]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")


def check_scale_table(table: Tensor | None) -> None:
    """WeightsError unless a stored table of scales is one: positive, increasing, of sane size."""
    if table is None:
        return
    sane = table.ndim == 1 and len(table) <= _MOST_LEVELS and bool(torch.isfinite(table).all())
    increasing = sane and bool((table[:1] > 0).all()) and bool((table.diff() > 0).all())
    if not increasing or table.max() > _LARGEST_SCALE:
        raise WeightsError(
            f"its scale table is none: it needs up to {_MOST_LEVELS} scales that increase from "
            f"above 0 to at most {_LARGEST_SCALE:g}"
        )


def check_values(model: CompressionModel) -> None:
    """WeightsError for weights that are not finite, and for tables that no coder can use."""
    for name, value in model.named_parameters():
        if not torch.isfinite(value).all():
            raise WeightsError(f"weight {name} holds NaN or infinity")
    for name, module in model.named_modules():
        if isinstance(module, EntropyBottleneck | EntropyBottleneckVbr):
            _check_quantiles(name, module.quantiles)
        if isinstance(module, EntropyModel):
            _check_tables(name, module)


def _check_quantiles(name: str, quantiles: Tensor) -> None:
    """CompressAI builds a table from the first to the last of them."""
    lower, median, upper = quantiles.detach().squeeze(1).unbind(1)
    widest = torch.maximum(median - lower, upper - median).max()
    if not (widest <= _WIDEST and (lower <= median).all() and (median <= upper).all()):
        raise WeightsError(f"{name}.quantiles do not increase, or span more than {_WIDEST} levels")


def _check_tables(name: str, module: EntropyModel) -> None:
    """Stored tables go to a coder that trusts them: they must be cumulative counts."""
    cdf, lengths, offsets = module._quantized_cdf, module._cdf_length, module._offset
    if cdf.numel() == 0 and lengths.numel() == 0:
        return
    rows = cdf.shape[0] if cdf.ndim == 2 else -1
    sane = lengths.shape == offsets.shape == (rows,) and cdf.dtype == torch.int32
    if sane and rows:
        sane = int(lengths.min()) >= 2 and int(lengths.max()) <= cdf.shape[1]
    if not sane or not _increasing(cdf, lengths):
        raise WeightsError(f"{name} holds tables that are no cumulative counts")


def _increasing(cdf: Tensor, lengths: Tensor) -> bool:
    """Whether each row counts up from 0 to 2^16 within its length."""
    inside = torch.arange(1, cdf.shape[1]) < lengths[:, None]
    last = cdf.gather(1, lengths[:, None].long() - 1)
    rises = (cdf.diff(dim=1) > 0) | ~inside
    return bool((cdf[:, 0] == 0).all() and (last == 1 << 16).all() and rises.all())
