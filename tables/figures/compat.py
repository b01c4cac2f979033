"""What the format `compressai` saves where decoders stay as they are."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import pandas as pd

from tables.figures.rows import (
    LAB,
    MEAN,
    NAMES,
    STEPS,
    TINY,
    on_common_images,
    ratio,
    run,
    signed,
    table,
)

_PRESETS = {
    "fast": ("compat", "compat:fast"),
    "default": ("compat", "compat"),
    "slow": ("compat", "compat:slow"),
    "best": ("compat-best", "compat:best"),
}
"""The run that each was measured in, beside a baseline of its own, and its configuration."""

_CODECS = (TINY[0], MEAN)


@cache
def _line(codec: str, preset: str) -> pd.Series:
    """The summary of a preset."""
    name, config = _PRESETS[preset]
    return on_common_images(run(name, codec), [config]).loc[config]


def _cells(codec: str) -> list[str]:
    """The images, and what each preset gains, and its time."""
    lines = [_line(codec, preset) for preset in _PRESETS]
    [images] = {int(line["images"]) for line in lines}  # the same for all of them
    return [NAMES.get(codec, codec), str(images), *map(_cell, lines)]


def _cell(line: pd.Series) -> str:
    rate, times = line["bd_rate_pchip_percent"], line["encode_ratio"]
    return f"{signed(rate, 1)} % ({ratio(times)}×)"


def _table(codecs: Sequence[str]) -> str:
    head = ["codec", "images", *(f"`{preset}`" for preset in _PRESETS)]
    return table(head, map(_cells, codecs))


def readme() -> str:
    """What one needs no checkpoint for."""
    return f"""\
BD-rate in bytes that CompressAI's own decoder reads, against CompressAI's own encoder, on so many
Kodak images, four qualities each; in brackets the time to encode, with bfloat16:

{_table(_CODECS)}"""


def guide() -> str:
    """All codecs that were measured."""
    return _table((*_CODECS, LAB, STEPS))


def commits() -> str:
    """Which latentopt each run was made with."""
    runs = dict.fromkeys(name for name, _ in _PRESETS.values())
    presets = {
        name: [f"`{preset}`" for preset, (own, _) in _PRESETS.items() if own == name]
        for name in runs
    }
    head = ["codec", *(", ".join(own) for own in presets.values())]
    codecs = (*_CODECS, LAB, STEPS)
    return table(head, [[NAMES.get(c, c), *(_commits(name, c) for name in runs)] for c in codecs])


def _commits(name: str, codec: str) -> str:
    versions = run(name, codec)["latentopt"]
    return ", ".join(dict.fromkeys(version.partition("+")[2] for version in versions))


BLOCKS: Mapping[str, Callable[[], str]] = {
    "readme-compat": readme,
    "guide-compat": guide,
    "compat-commits": commits,
}
