"""Data sets of the tables: those of `latentopt.bench`, and CLIC without what codecs saw."""

import re
from dataclasses import replace
from glob import glob

from latentopt.bench import clipsets, datasets
from latentopt.bench.clipsets import ClipSet
from latentopt.bench.datasets import Dataset
from latentopt.errors import InputError

HELD_OUT = 7
"""Every seventh CLIC photograph was kept from training (docs/reference/embedded-codecs.md)."""

CLIC = "clic"
VIDEO = "video"
CLIPS = "../shared/data/video/[fcb]*"
"""Foreman, coastguard and basketballpass, which docs/results holds measurements of."""


def resolve(data: str) -> Dataset:
    """``clic``: photographs that no embedded codec was trained on; else as the harness has it."""
    if data != CLIC:
        return datasets.resolve(data)
    whole = datasets.resolve("clic2020")
    return held_out(replace(whole, paths=tuple(sorted(whole.paths))))


def resolve_clips(data: str) -> ClipSet:
    """``video``: the laboratory's three clips where they are here; else as the harness has it."""
    return clipsets.resolve(CLIPS if data == VIDEO and glob(CLIPS) else data)


def held_out(whole: Dataset) -> Dataset:
    """Every seventh image, from the first, as scripts/train_zoo.py counts them."""
    return Dataset("clic-held-out", whole.paths[::HELD_OUT])


def share(whole: Dataset, which: str) -> Dataset:
    """``which`` is K/N: every N-th item from the K-th, so that N processes share the work.

    Raises:
        InputError: it is not.
    """
    numbers = re.fullmatch(r"(\d+)/(\d+)", which)
    first, count = map(int, numbers.groups()) if numbers else (0, 0)
    if not 1 <= first <= count:
        raise InputError(f"share {which!r}: give K/N, as in 2/4")
    return replace(whole, paths=whole.paths[first - 1 :: count])
