"""What the scripts share that train codecs for tables: recipes, best weights, a command line."""

import argparse
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from latentopt.errors import InputError, LatentoptError
from latentopt.training.runs import read_state

RUNS = Path("runs")
"""Where training goes on, and weights are found."""

T = TypeVar("T")


def from_toml(make: Callable[..., T], folder: Path, name: str, what: str) -> T:
    """What is made of the values in NAME.toml of a folder; ``what`` says what these files are.

    Raises:
        InputError: there is no such file; the message lists the names.
    """
    path = folder / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
        raise InputError(f"unknown {what} {name!r}: choose {known}")
    return make(**tomllib.loads(path.read_text()))


def best(path: Path, command: str) -> dict[str, Tensor]:
    """The weights that a training loop kept as its best.

    Raises:
        InputError: there are none; the message has the command that trains them.
        TrainingError: they are damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; python -m {command}")
    return read_state(path, "model")["model"]


def arguments(description: str, data: Path, check_every: int) -> argparse.ArgumentParser:
    """The options of all, with their defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--check-every", type=int, default=check_every, help="steps")
    return parser


def run(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    work: Callable[[argparse.Namespace], None],
) -> int:
    """Do what the options say, in one thread; 0, or 2 where stderr says why not."""
    args = parser.parse_args(argv)
    args.runs.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    try:
        work(args)
    except LatentoptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
