"""Data sets of the tables: those of `latentopt.bench`, and CLIC without what codecs saw."""

from dataclasses import replace

from latentopt.bench import datasets
from latentopt.bench.datasets import Dataset

HELD_OUT = 7
"""Every seventh CLIC photograph was kept from training the embedded codecs (docs/zoo.md)."""

CLIC = "clic"


def resolve(data: str) -> Dataset:
    """``clic``: photographs that no embedded codec was trained on; else as the harness has it."""
    if data != CLIC:
        return datasets.resolve(data)
    whole = datasets.resolve("clic2020")
    return held_out(replace(whole, paths=tuple(sorted(whole.paths))))


def held_out(whole: Dataset) -> Dataset:
    """Every seventh image, from the first, as scripts/train_zoo.py counts them."""
    return Dataset("clic-held-out", whole.paths[::HELD_OUT])
