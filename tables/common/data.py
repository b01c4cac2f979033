"""Data sets of the tables: those of `latentopt.bench`, and CLIC without what codecs saw."""

from dataclasses import replace
from functools import cache
from glob import glob
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from latentopt.bench import clipsets, datasets
from latentopt.bench.clipsets import ClipSet
from latentopt.media.images import read_image
from tables.common.harness import Dataset
from tables.common.places import CODED, LAB, slug

HELD_OUT = 7
"""Every seventh CLIC photograph was kept from training the embedded codecs."""

CLIC = "clic"
VIDEO = "video"
CLIPS = str(LAB / "data/video/[fcb]*")
"""Foreman, coastguard and basketballpass, which were measured."""

NAMES = {CLIC: "clic-held-out", VIDEO: "three-clips"}
"""What rows call these two."""


HEIGHT, WIDTH = 384, 576
"""Of the crops that contexts are fitted to."""

_LAB = {"kodak": "kodak", "clic2020": "clic"}
"""Data sets, and the laboratory's folders of them."""


def resolve(data: str) -> Dataset:
    """``clic``: photographs that no embedded codec was trained on; else as the harness has it."""
    if data != CLIC:
        return _whole(data)
    whole = _whole("clic2020")
    return held_out(replace(whole, paths=tuple(sorted(whole.paths))))


def _whole(data: str) -> Dataset:
    """The laboratory's where it is here; else as the harness has it."""
    folder = LAB / "data" / _LAB.get(data, "")
    if data in _LAB and folder.is_dir():
        return replace(datasets.resolve(str(folder)), name=data)
    return datasets.resolve(data)


def resolve_clips(data: str) -> ClipSet:
    """``video``: the laboratory's three clips where they are here; else as the harness has it."""
    if data == VIDEO and glob(CLIPS):
        return replace(clipsets.resolve(CLIPS), name=NAMES[VIDEO])
    return clipsets.resolve(data)


@cache
def recorded(data: str, rows: Path) -> Dataset:
    """A data set by the names of its images or clips in the rows of a folder, without files."""
    name = NAMES.get(data, data)
    files = rows.glob(f"{CODED}/*/{slug(name)}*/*.csv")
    found = {image for path in files for image in pd.read_csv(path, usecols=["image"])["image"]}
    return Dataset(name, tuple(map(Path, sorted(found))))


def held_out(whole: Dataset) -> Dataset:
    """Every seventh image, from the first, as scripts/train_zoo.py counts them."""
    return Dataset(NAMES[CLIC], whole.paths[::HELD_OUT])


def photographs(count: int) -> list[Tensor]:
    """A crop (1, 3, H, W) of each of the first photographs of CLIC, to fit a context to."""
    paths = _whole("clic2020").first(count).paths
    return [crop(read_image(path), seed) for seed, path in enumerate(paths)]


def crop(x: Tensor, seed: int) -> Tensor:
    """A part of an image (1, 3, H, W), somewhere."""
    rng = np.random.default_rng(seed)
    sides = zip(x.shape[-2:], (HEIGHT, WIDTH) if x.shape[-1] >= x.shape[-2] else (WIDTH, HEIGHT))
    cuts = [(rng.integers(0, max(1, side - size + 1)), size) for side, size in sides]
    (top, height), (left, width) = cuts
    return x[..., top : top + height, left : left + width].contiguous()
