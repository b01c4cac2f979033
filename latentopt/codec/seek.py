"""The search for a target: which quality, and where on its dial.

    quality ─► codec at a position of its dial ─► file ─► value, within the window? ─► done
        ▲                        ▲                                   │ no
        └── another, where the target is far ── next position ◄──────┘

Values rise almost linearly with positions, so that a secant finds the target in three or four
encodes: each begins where those before have led.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from latentopt.codec.dial import C, Searching
from latentopt.codec.rung import Rung
from latentopt.codec.target import Coded, Window
from latentopt.errors import RateRangeError

MAX_ENCODES = 8
_SPACING = 0.6  # octaves of the rate from one quality to the next, roughly
Point = tuple[float, float]
"""A position, and the value there."""

_COARSE = 3  # windows beyond one that are near
_BELIEVED = (0.4, 2.5)  # times the slope that is expected: the least and the most


class Filed(Coded, Protocol):
    """A file, and the codec that wrote it."""

    @property
    def codec(self) -> Searching: ...


F = TypeVar("F", bound=Filed)


@dataclass(frozen=True)
class Trial(Generic[C, F]):
    """An image or a clip coded at one quality and position."""

    index: int
    """Of the quality."""
    rung: Rung[C]
    position: float
    coded: F
    value: float

    def __str__(self) -> str:
        step = self.rung.dial.step(self.position)
        return str(self.rung) if step == 1 else f"{self.rung} at step {step:.4g}"


class Seek(Generic[C, F]):
    """Codes an image or a clip until its value is within a window.

    Args:
        rung: of each quality.
        indices: the qualities that may be taken, lowest rate first.
        window: what will do.
        encode: codes it with a codec.
        tell: is told of each encode, in words.
        what: it is, for errors.
    """

    def __init__(
        self,
        rung: Callable[[int], Rung[C]],
        indices: Sequence[int],
        window: Window,
        encode: Callable[[C], F],
        tell: Callable[[str], object],
        what: str = "image",
    ):
        self._what = what
        self._rung, self._indices, self._window = rung, indices, window
        self._encode, self._tell = encode, tell
        self._trials: list[Trial[C, F]] = []

    @property
    def encodes(self) -> int:
        """How many there were so far."""
        return len(self._trials)

    def __call__(self, start: int) -> Trial[C, F]:
        """The trial that will do, beginning with a quality as it is.

        Raises:
            RateRangeError: there is none.
        """
        place: tuple[int, float] | None = (start, 0.0)
        while place and self.encodes < MAX_ENCODES:
            trial = self._try(*place)
            if trial.value in self._window:
                return trial
            place = self._next(trial)
        raise RateRangeError(self._reason())

    def near(self) -> Trial[C, F] | None:
        """The nearest trial so far on the side that may be, not far beyond the window."""
        found = [trial for trial in self._trials if trial.value in self._window.wider(_COARSE)]
        return min(found, key=lambda trial: abs(trial.value - self._window.aim), default=None)

    def _try(self, index: int, position: float) -> Trial[C, F]:
        rung = self._rung(index)
        coded = self._encode(rung.dial.codec(position))
        trial = Trial(index, rung, position, coded, self._window.value(coded))
        self._trials.append(trial)
        self._tell(f"{trial}: {self._window.text(trial.value)}")
        return trial

    def _next(self, last: Trial[C, F]) -> tuple[int, float] | None:
        """Quality and position of the next trial; None: all that is left has been tried."""
        index, dial = last.index, last.rung.dial
        points = [(t.position, t.value) for t in self._trials if t.index == index]
        position = next_position(points, self._window.aim, self._window.slope)
        other = self._other(index, position)
        if other != index:
            return other, self._entry(other, position - (other - index) * _SPACING)
        wanted = [position, _halfway(points, self._window.aim)]
        if _is_creeping(points, self._window.aim):
            wanted.insert(0, _further(points, self._window.aim))
        tried = {p for p, _ in points}
        places = (dial.snap(dial.reach.clip(place)) for place in wanted)
        return next(((index, place) for place in places if place not in tried), None)

    def _entry(self, index: int, position: float) -> float:
        """Where to begin at another quality: near its own rate, as estimates from afar are rough;
        but at the end of the dial, where the target is beyond all that the qualities are best at.
        """
        dial = self._rung(index).dial
        near = dial.best.clip(position)
        is_beyond = (index == self._indices[0] and position < near) or (
            index == self._indices[-1] and position > near
        )
        return dial.snap(dial.reach.clip(position) if is_beyond else near)

    def _other(self, index: int, position: float) -> int:
        """A quality that suits a target better which is far on the dial of this one, or this one.

        None is tried twice: the estimates from both sides of a gap would lead to and fro.
        """
        best = self._rung(index).dial.best
        if position in best:
            return index
        wanted = index + round((position - best.middle) / _SPACING)
        other = min(max(wanted, self._indices[0]), self._indices[-1])
        return index if any(t.index == other for t in self._trials) else other

    def _reason(self) -> str:
        """What there is instead of the target, in words."""
        text, aim = self._window.text, self._window.aim
        wanted = text(self._window.high if self._window.cap else self._window.low)
        under = [t for t in self._trials if t.value < aim]
        over = [t for t in self._trials if t.value >= aim]
        if not over:
            most = max(under, key=_value)
            what = f"too much for this {self._what}"
            return f"{wanted}: {what}: {most} gives {text(most.value)} at most"
        if not under:
            least = min(over, key=_value)
            what = f"too little for this {self._what}"
            return f"{wanted}: {what}: {least} gives {text(least.value)}"
        low, high = max(under, key=_value), min(over, key=_value)
        return (
            f"{wanted}: not met: {low} gives {text(low.value)}, {high} {text(high.value)}, "
            "and nothing between was found"
        )


def _value(trial: Trial[C, F]) -> float:
    return trial.value


def next_position(points: Sequence[Point], aim: float, slope: float) -> float:
    """Where a value should be met that rises with the position, by a secant through two points.

    >>> next_position([(0.0, 10.0)], aim=11.0, slope=2.0)
    0.5
    >>> round(next_position([(0.0, 10.0), (0.5, 10.8), (1.0, 11.8)], aim=11.0, slope=2.0), 9)
    0.6

    Args:
        points: where it has been tried.
        aim: the value.
        slope: what is expected.
    """
    if bracket := _bracket(points, aim):
        low, high = bracket
        share = (aim - low[1]) / (high[1] - low[1])
        return low[0] + share * (high[0] - low[0])
    outwards = 1 if points[0][1] >= aim else -1  # of equal values, the last that was tried
    nearest, *others = sorted(points, key=lambda p: (abs(p[1] - aim), outwards * p[0]))
    if others and others[0][0] != nearest[0]:
        measured = (others[0][1] - nearest[1]) / (others[0][0] - nearest[0])
        least, most = (factor * slope for factor in _BELIEVED)
        slope = min(max(measured, least), most)
    return nearest[0] + (aim - nearest[1]) / slope


def _is_creeping(points: Sequence[Point], aim: float) -> bool:
    """Whether secants come near but from one side: the last two trials did not halve the gap."""
    if not _bracket(points, aim):
        return False
    before, last = (value - aim for _, value in points[-2:])
    return before * last > 0 and abs(last) > abs(before) / 2


def _further(points: Sequence[Point], aim: float) -> float:
    """Past where a secant leads: the farther value's gap counts half (the Illinois method)."""
    bracket = _bracket(points, aim)
    assert bracket  # secants creep between two values
    (low, below), (high, above) = ((place, abs(value - aim)) for place, value in bracket)
    below, above = (below / 2, above) if below > above else (below, above / 2)
    return low + (high - low) * below / (below + above)


def _halfway(points: Sequence[Point], aim: float) -> float:
    """Between the nearest values on both sides, where a secant leads to where it has been."""
    bracket = _bracket(points, aim) or points[:1]
    return sum(position for position, _ in bracket) / len(bracket)


def _bracket(points: Sequence[Point], aim: float) -> tuple[Point, Point] | None:
    """The points of the nearest values below and above; None: all are on one side."""
    low = max((p for p in points if p[1] < aim), key=_by_value, default=None)
    high = min((p for p in points if p[1] >= aim), key=_by_value, default=None)
    return (low, high) if low and high else None


def _by_value(point: Point) -> Point:
    """An order by value, of equal ones by position: from both sides the innermost come last."""
    return point[1], point[0]
