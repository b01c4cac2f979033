"""Plots that several tables share."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tables.common.experiment import Cell

_ACROSS = 3


def canvas(
    panels: int = 1, width: float = 8.0, across: int = _ACROSS, height: float = 4.0
) -> tuple[Figure, list[Axes]]:
    """A figure of panels so high, some in a row at most, without pyplot's global state."""
    across = min(panels, across)
    down = -(-panels // across)
    figure = Figure(figsize=(width, 1 + height * down), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, squeeze=False).flatten()
    for panel in axes[:panels]:
        panel.grid(alpha=0.3)
    for spare in axes[panels:]:
        spare.set_axis_off()
    return figure, list(axes[:panels])


def save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def bars(cells: Sequence[Cell], path: Path, title: str) -> None:
    """Bars of what was measured, a group for each row; crosses are what was published."""
    rows = list(dict.fromkeys(c.row for c in cells if not math.isnan(c.measured)))
    columns = list(dict.fromkeys(c.column for c in cells))
    figure, [axes] = canvas(width=max(8.0, 0.3 * len(rows) * len(columns)))
    axes.axhline(0.0, color="grey", linewidth=0.8)
    by_place = {(c.row, c.column): c for c in cells}
    for k, column in enumerate(columns):
        places = [(i, (row, column)) for i, row in enumerate(rows)]
        found = [(i, by_place[place]) for i, place in places if place in by_place]
        x = [i + (k + 1) / (len(columns) + 1) for i, _ in found]
        axes.bar(x, [c.measured for _, c in found], 0.8 / (len(columns) + 1), label=column)
        known = [(at, c.published) for at, (_, c) in zip(x, found) if c.published is not None]
        axes.plot([a for a, _ in known], [p for _, p in known], "kx", markersize=5)
    axes.set_xticks([i + 0.5 for i in range(len(rows))], rows, rotation=10)
    units = ", ".join(dict.fromkeys(c.unit for c in cells))
    axes.set(title=title, ylabel=f"{units}; x: published")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    save(figure, path)
