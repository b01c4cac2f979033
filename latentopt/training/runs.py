"""The files of a run: states that are written whole, and read back or refused in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict, cast

import torch
from torch import Tensor

from latentopt.atomic import reading, writing_whole
from latentopt.errors import TrainingError

BEST = ("model", "step", "seconds")
"""Entries of RUN.best.pt."""


class State(TypedDict, total=False):
    """What RUN.pt holds, and in part RUN.best.pt."""

    model: dict[str, Tensor]
    step: int
    seconds: float
    optimizer: dict[str, object]
    best: float
    rows: list[dict[str, float]]


def best_of(path: Path) -> Path:
    """RUN.best.pt of RUN.pt."""
    return path.with_suffix(".best.pt")


def write_state(path: Path, state: State) -> None:
    """Write a file whole or not at all; InputError where the place cannot be written."""
    # A file, as PyTorch takes no path whose name begins with a dot.
    with writing_whole(path) as file:
        torch.save(dict(state), file)


def read_state(path: Path, *entries: str) -> State:
    """What a file holds, on the CPU: these entries at least.

    Raises:
        TrainingError: the file is missing or damaged, or lacks one of the entries.
        InputError: it cannot be read.
    """
    if not path.is_file():
        raise unusable(path, "missing")
    with reading(path) as file:
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # PyTorch's readers raise whatever a damaged file leads them to
            raise unusable(path, "damaged") from error
    if not (isinstance(state, dict) and state.keys() >= set(entries)):
        raise unusable(path, f"no state with {', '.join(entries)}")
    return cast(State, state)


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """TrainingError where what was read does not fit what is trained."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise unusable(path, "of another training") from error


def unusable(path: Path, why: str) -> TrainingError:
    """What to raise for a run's file."""
    begun = path.with_name(path.name.replace(".best.pt", ".pt"))
    return TrainingError(f"{path}: {why}; move {begun} away to train anew")
