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
    has_run,
    on_common_images,
    ratio,
    run,
    signed,
    table,
)

_GROUPS = {
    "compat": {"fast": "compat:fast", "default": "compat", "slow": "compat:slow"},
    "compat-best": {"best": "compat:best"},
}
"""By run, presets and their configurations, that are measured on the same images."""

_CODECS = (TINY[0], MEAN)


@cache
def _cells(name: str, codec: str, configs: tuple[str, ...]) -> list[str]:
    """How many images a group of presets was measured on; then what each gains, and its time."""
    if not has_run(name, codec):
        return [""] * (1 + len(configs))
    rows = run(name, codec)
    known = [config for config in configs if config in set(rows["config"])]
    lines = on_common_images(rows, known) if known else pd.DataFrame()
    cells = [_cell(lines.loc[config]) if config in known else "" for config in configs]
    return [str(lines["images"].iloc[0]) if known else "", *cells]


def _cell(line: pd.Series) -> str:
    rate, times = line["bd_rate_pchip_percent"], line["encode_ratio"]
    return f"{signed(rate, 1)} % ({ratio(times)}×)"


def _table(codecs: Sequence[str]) -> str:
    head, columns = ["codec"], [[NAMES.get(codec, codec) for codec in codecs]]
    for name, group in _GROUPS.items():
        cells = [_cells(name, codec, tuple(group.values())) for codec in codecs]
        if any(images for images, *_ in cells):
            head += ["images", *(f"`{preset}`" for preset in group)]
            columns += map(list, zip(*cells))
    return table(head, zip(*columns))


def readme() -> str:
    """What one needs no checkpoint for."""
    return f"""\
BD-rate in bytes that CompressAI's own decoder reads, against CompressAI's own encoder, on the first
so many Kodak images, four qualities each; in brackets the time to encode, with bfloat16 (`best`:
without):

{_table(_CODECS)}"""


def guide() -> str:
    """All codecs that were measured."""
    return _table((*_CODECS, LAB, STEPS))


def commits() -> str:
    """Which latentopt each group was measured with."""
    codecs = (*_CODECS, LAB, STEPS)
    head = ["codec", *(" and ".join(f"`{preset}`" for preset in g) for g in _GROUPS.values())]
    lines = [[NAMES.get(c, c), *(_commits(name, c) for name in _GROUPS)] for c in codecs]
    return table(head, lines)


def _commits(name: str, codec: str) -> str:
    if not has_run(name, codec):
        return ""
    versions = run(name, codec)["latentopt"]
    return ", ".join(dict.fromkeys(version.partition("+")[2] for version in versions))


BLOCKS: Mapping[str, Callable[[], str]] = {
    "readme-compat": readme,
    "guide-compat": guide,
    "compat-commits": commits,
}
