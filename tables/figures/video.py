"""Gains of the embedded video codec, on the laboratory's three clips."""

from collections.abc import Callable, Mapping

import pandas as pd

from tables.common.harness import per_sequence
from tables.figures.rows import both, gains, ratio, run, signed, table

CODEC = "tiny-ssf2020"
CLIPS = "three-clips-gop8"
AVERAGE = "average curve"

LINES = {
    "`int` (our coder alone)": ("lattices", "", "int"),
    "`hex`": ("lattices", "", "hex"),
    "`oct`": ("lattices", "", "oct"),
    "`oct`, in the motion too": ("parts", "-image-motion-residual", "oct"),
    "`e8`": ("lattices", "", "e8"),
    "`shift`": ("lattices", "", "shift"),
    "`oct+shift` (join)": ("lattices", "", "oct+shift"),
    "`shift`, looking ahead": ("lattices", "-ahead", "shift"),
    "`oct+shift`, looking ahead": ("lattices", "-ahead", "oct+shift"),
    "`fast`": ("lattices", "", "fast"),
    "`default`": ("lattices", "", "default"),
    "`default`, without the motion": ("parts", "-image-residual", "default"),
    "`slow`, the first eight frames": ("presets", "-frames8", "slow"),
}
"""What it is; run, how clips were coded, and configuration."""


def video() -> str:
    """Each configuration against CompressAI's own coder."""
    head = ["", "BD-rate", "where the baseline spends up to 0.35 bpp", "encode", "decode"]
    inside = _inside(run("lattices", CODEC, CLIPS))
    lines = []
    for what, (name, how, config) in LINES.items():
        line = gains(name, CODEC, CLIPS + how).loc[config]
        low = "" if how else f"{signed(inside[config])} %"
        times = (ratio(float(line[f"{k}_ratio"])) for k in ("encode", "decode"))
        lines.append([what, both(line, " %"), low, *times])
    return table(head, lines)


def _inside(rows: pd.DataFrame) -> Mapping[str, float]:
    """BD-rate of the average curve in the paper's range of rates."""
    lines = per_sequence(rows)
    average = lines[lines["sequence"] == AVERAGE].set_index("config")["bd_rate_percent"]
    return {str(config): float(value) for config, value in average.items()}


BLOCKS: Mapping[str, Callable[[], str]] = {"video": video}
