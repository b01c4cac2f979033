"""Bits and PSNR of a clip's frames, drawn as one SVG in the page's style, which needs no script."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.ticker import MaxNLocator

from latentopt.codec.explain import MAIN
from latentopt.codec.explain_clip import FrameExplanation, by_latent

_WIDTH, _LEFT, _RIGHT = 960, 76, 950  # pixels
_PANEL, _ABOVE, _BELOW = 150, 34, 44
_NUMBERS = 32  # frames that have theirs below them

Frames = Sequence[FrameExplanation]


@dataclass(frozen=True)
class Line:
    """How a side's PSNR is drawn: never told apart by its colour alone."""

    name: str
    """A class of the style."""
    dash: str
    mark: str

    def marked(self, x: float, y: float, title: str = "") -> str:
        """A point of it."""
        return f'<path d="M{x} {y}{self.mark}" class="mark"><title>{escape(title)}</title></path>'

    def drawn(self, points: Sequence[tuple[float, float]]) -> str:
        """The line through points."""
        places = " ".join(f"{x},{y}" for x, y in points)
        return f'<polyline points="{places}" class="line" stroke-dasharray="{self.dash}"/>'


LINES = (
    Line("base", "", "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z"),
    Line("k3", "7 3", "m-4 -4h8v8h-8z"),
)
"""Of the baseline, a circle for each frame, and of what is beside it, a square."""


@dataclass(frozen=True)
class _Panel:
    """A strip of the plot, for values from low to high."""

    title: str
    top: float
    low: float
    high: float

    @property
    def foot(self) -> float:
        return self.top + _PANEL

    def y(self, value: float) -> float:
        return round(self.foot - _PANEL * (value - self.low) / (self.high - self.low), 2)

    def axes(self) -> Iterator[str]:
        """Its title, and lines at round values."""
        yield f'<text x="{_LEFT}" y="{self.top - 10}" class="axis">{escape(self.title)}</text>'
        for value in MaxNLocator(4).tick_values(self.low, self.high):
            if self.low <= value <= self.high:
                y = self.y(value)
                yield f'<path d="M{_LEFT} {y}H{_RIGHT}" class="grid"/>'
                yield f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{value:,g}</text>'


@dataclass(frozen=True)
class _Columns:
    """Where so many frames lie, side by side."""

    count: int

    @property
    def width(self) -> float:
        return (_RIGHT - _LEFT) / self.count

    def middle(self, frame: int) -> float:
        return round(_LEFT + (frame + 0.5) * self.width, 2)

    def axis(self, y: float) -> Iterator[str]:
        """Frame numbers below ``y``, as many as there is room for."""
        for frame in range(0, self.count, math.ceil(self.count / _NUMBERS)):
            x = self.middle(frame)
            yield f'<text x="{x}" y="{y + 16}" text-anchor="middle">{frame}</text>'
        x = (_LEFT + _RIGHT) / 2
        yield f'<text x="{x}" y="{y + 36}" text-anchor="middle" class="axis">frame</text>'


def frame_plot(sides: dict[str, Frames]) -> str:
    """Bars of the bits of two codecs, one below the other to one scale, and lines of their PSNR.

    Args:
        sides: by name, the frames of one clip as each has coded them, the baseline's first.
    """
    columns = _Columns(len(next(iter(sides.values()))))
    most = 8 * max(frame.bytes for frames in sides.values() for frame in frames)
    drawn: list[str] = []
    foot = 0.0
    for name, frames in sides.items():
        panel = _Panel(f"{name}: bits of each frame", foot + _ABOVE, 0.0, 1.05 * most)
        drawn += [*panel.axes(), *_bars(panel, columns, name, frames)]
        foot = panel.foot
    panel = _Panel("PSNR of each frame, in dB", foot + _ABOVE, *_span(sides))
    drawn += panel.axes()
    for line, (name, frames) in zip(LINES, sides.items()):
        drawn += _line(panel, columns, line, name, frames)
    drawn += columns.axis(panel.foot)
    label = escape(f"Bits and PSNR of each frame, {' and '.join(sides)}: the table has the numbers")
    height = panel.foot + _BELOW
    size = f'width="{_WIDTH}" height="{height:g}" viewBox="0 0 {_WIDTH} {height:g}"'
    return f'<svg {size} role="img" aria-label="{label}">\n' + "\n".join(drawn) + "\n</svg>"


def styles(frames: Frames) -> dict[str, str]:
    """Classes of the style for each latent, by name: parts by colour, side latents hollow."""
    latents = by_latent(frames)
    parts = list(dict.fromkeys(one.part for one in latents))
    return {
        one.name: f"k{parts.index(one.part)}{'' if one.latent == MAIN else ' hollow'}"
        for one in latents
    }


def _bars(panel: _Panel, columns: _Columns, name: str, frames: Frames) -> Iterator[str]:
    """One for each frame, its latents one above the other."""
    style, width = styles(frames), round(0.7 * columns.width, 2)
    below = [0] * columns.count
    for one in by_latent(frames):
        for i, size in enumerate(one.bytes):
            if not size:
                continue
            top, foot = panel.y(below[i] + 8 * size), panel.y(below[i])
            below[i] += 8 * size
            said = escape(f"{name}, frame {i}: {one.name}, {8 * size:,} bits")
            x = round(columns.middle(i) - width / 2, 2)
            yield (
                f'<rect x="{x}" y="{top}" width="{width}" height="{foot - top:.2f}" '
                f'class="block {style[one.name]}"><title>{said}</title></rect>'
            )


def _span(sides: dict[str, Frames]) -> tuple[float, float]:
    """From below the lowest PSNR to above the highest."""
    known = [db for frames in sides.values() for _, db in _finite(frames)] or [0.0]
    margin = max(0.05 * (max(known) - min(known)), 0.1)
    return min(known) - margin, max(known) + margin


def _finite(frames: Frames) -> list[tuple[int, float]]:
    """Frame numbers and PSNR in dB, but of frames that nothing was lost of."""
    pairs = ((i, frame.psnr_db) for i, frame in enumerate(frames))
    return [(i, db) for i, db in pairs if db is not None and math.isfinite(db)]


def _line(panel: _Panel, columns: _Columns, line: Line, name: str, frames: Frames) -> Iterator[str]:
    known = _finite(frames)
    places = [(columns.middle(i), panel.y(db)) for i, db in known]
    yield f'<g class="{line.name}">{line.drawn(places)}'
    for (i, db), place in zip(known, places):
        yield line.marked(*place, f"{name}, frame {i}: {db:.2f} dB")
    yield "</g>"
