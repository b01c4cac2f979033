"""What is to be measured: rate points, and a plan that falls into tasks."""

import argparse
import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from latentopt import __version__, zoo
from latentopt.bench import options
from latentopt.bench.configs import Configuration
from latentopt.bench.datasets import Dataset
from latentopt.bench.items import Images, Item, Medium
from latentopt.bench.provenance import file_hash
from latentopt.bench.store import Key, Settings
from latentopt.errors import InputError


@dataclass(frozen=True)
class RatePoint:
    """A named set of weights: one point of the codec's rate-distortion curve (per step)."""

    name: str
    load: Callable[[], nn.Module]


@dataclass(frozen=True)
class _Load:
    """Load weights of the zoo or of a file; equal, in any process, to what loads the same."""

    codec: str
    quality: int | None = None
    metric: str = "mse"
    weights: Path | None = None

    def __call__(self) -> nn.Module:
        return zoo.load(self.codec, self.quality, self.weights, self.metric)


def quality_points(codec: str, qualities: Iterable[int], metric: str = "mse") -> list[RatePoint]:
    """Rate points from the zoo's qualities, named "q1", "q2", …, or "q1-ms-ssim", …"""
    codec = zoo.canonical(codec)
    suffix = "" if metric == "mse" else f"-{metric}"
    return [RatePoint(f"q{q}{suffix}", _Load(codec, q, metric)) for q in dict.fromkeys(qualities)]


def checkpoint_points(codec: str, paths: Iterable[str | Path]) -> list[RatePoint]:
    """Rate points from checkpoint files, folders and globs, named after the files."""
    codec = zoo.canonical(codec)
    files = zoo.checkpoints(paths)
    stems = [Path(f.name.removesuffix(".tar")).stem for f in files]
    names = [s if stems.count(s) == 1 else str(f) for s, f in zip(stems, files)]
    return [
        RatePoint(name, _Load(codec, weights=file.absolute())) for name, file in zip(names, files)
    ]


def asked_points(args: argparse.Namespace) -> list[RatePoint]:
    """Rate points that `options.add_subject` names: checkpoints, or some of a codec's weights.

    Raises:
        InputError: there are none.
    """
    codec = zoo.canonical(args.codec)
    if args.weights:
        return checkpoint_points(codec, args.weights)
    if args.qualities:
        return quality_points(codec, options.qualities(args), args.metric)
    qualities = zoo.qualities(codec, args.metric)
    if not qualities:
        raise InputError(f"there are no weights of {codec} for {args.metric}: give --weights FILE")
    return quality_points(codec, qualities, args.metric)


@dataclass(frozen=True)
class Cell:
    """A configuration at a rate point: what one coder is made for."""

    codec: str
    point: RatePoint
    step: float
    config: Configuration
    medium: Medium
    settings: Settings

    def key(self, item: Item) -> Key:
        """What names the row of an item."""
        return self.codec, self.point.name, self.step, self.config.name, item.name


@dataclass(frozen=True)
class Task:
    """The least that is measured at once: items of one size, coded together."""

    cell: Cell
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Plan:
    """Everything to be measured: points × steps × configurations × items of the data set."""

    codec: str
    points: Sequence[RatePoint]
    configs: Sequence[Configuration]
    dataset: Dataset
    steps: Sequence[float] = (1.0,)
    device: str = "cpu"
    batch_size: int = 1
    """Images of equal size coded together."""
    medium: Medium = field(default_factory=Images)
    """What the items are."""

    def __post_init__(self) -> None:
        if not self.points or not self.configs or not self.steps:
            raise InputError("nothing to measure: give a rate point, a configuration and a step")
        for step in self.steps:
            if not 0 < step < float("inf"):
                raise InputError(
                    f"step {step:g}: a step is a positive multiplier, 1 is the codec's"
                )
        if self.batch_size < 1:
            raise InputError(f"batch size {self.batch_size}: must be at least 1")
        _check_device(self.device)

    @property
    def settings(self) -> Settings:
        """What all rows share, as things are in this process."""
        label, threads = self.medium.label(self.dataset.name), torch.get_num_threads()
        return Settings(label, self.device, threads, self.batch_size, __version__)

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Of the data set, in its order."""
        pairs = zip(self.dataset.names, map(Path.absolute, self.dataset.paths))
        return tuple(
            Item(name, path, self.medium.size(path), file_hash(path)) for name, path in pairs
        )

    def cells(self, point: RatePoint) -> list[Cell]:
        """The configurations at a rate point, step by step."""
        settings = self.settings
        return [
            Cell(self.codec, point, step, config, self.medium, settings)
            for step in dict.fromkeys(float(s) for s in self.steps)
            for config in self.configs
        ]

    def tasks(self, point: RatePoint, done: Container[Key]) -> Iterator[Task]:
        """What is left to measure at a rate point, all of a cell before the next one."""
        for cell in self.cells(point):
            pending = [item for item in self.items if cell.key(item) not in done]
            for batch in _batches(pending, self.batch_size):
                yield Task(cell, batch)


def _check_device(name: str) -> None:
    """InputError unless things can be measured there."""
    found = re.fullmatch(r"cpu|cuda(?::(\d{1,4}))?", name)
    if not found:
        raise InputError(f"device {name!r}: use cpu or cuda")
    if name != "cpu" and not torch.cuda.is_available():
        raise InputError(f"device {name}: PyTorch sees no GPU here; use cpu")
    if int(found[1] or 0) >= max(torch.cuda.device_count(), 1):
        raise InputError(f"device {name}: PyTorch sees {torch.cuda.device_count()} here")


def _batches(items: Iterable[Item], batch_size: int) -> Iterator[tuple[Item, ...]]:
    """Items of equal size, up to ``batch_size`` together."""
    by_size: dict[tuple[int, int], list[Item]] = {}
    for item in items:
        by_size.setdefault(item.size, []).append(item)
    for group in by_size.values():
        for start in range(0, len(group), batch_size):
            yield tuple(group[start : start + batch_size])
