"""Rows of cut streams: measured where no row has a codec's weights, else those that are there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import nn

from latentopt import Codec
from latentopt.atomic import write_whole
from latentopt.errors import InputError
from latentopt.training.runs import read_state
from tables.common.experiment import Request
from tables.common.harness import commit, csv_line, weights_hash
from tables.common.places import PROBES, rows_file
from tables.common.training import RUNS
from tables.onehot.codecs.cutting import Cut, codec_of
from tables.onehot.codecs.train import trained

_KIND = f"{PROBES}/cuts"
_COLUMNS = ("codec", "maps", "images", "bpp", "psnr_db", "step", "seconds", "weights", "latentopt")

Measure = Callable[[Codec], list[Cut]]
"""Cuts of a codec's streams."""


@dataclass(frozen=True)
class Rows:
    """What a codec's cut streams are, and how long it was trained."""

    cuts: list[Cut]
    steps: int
    minutes: float


@dataclass(frozen=True)
class Place:
    """Whose rows, and of what."""

    name: str
    data: str
    images: int
    request: Request

    @property
    def shown(self) -> bool:
        """Whether committed rows are shown as they are, whatever weights are here."""
        return self.request.rows == self.request.committed

    def rows(self) -> pd.DataFrame:
        """All that there are of so many images, those measured here first; of any, if shown."""
        folders = (self.request.rows, self.request.committed)
        found = pd.concat(_read(rows_file(f, _KIND, self.data, self.name)) for f in folders)
        return found if self.shown else found[found["images"] == self.images]

    def of_weights(
        self, weights: str, measure: Callable[[], list[Cut]], step: int = 0, seconds: float = 0
    ) -> pd.DataFrame:
        """Those of some weights, which trained for so long; InputError: to be measured first."""
        rows = self.rows()
        if weights not in set(rows["weights"]):
            if not self.request.run:
                raise InputError(f"{self.name} was trained, and not measured")
            self._write([step, round(seconds), weights, commit()], measure())
            rows = self.rows()
        return rows[rows["weights"] == weights]

    def _write(self, made: Sequence[object], cuts: Sequence[Cut]) -> None:
        """Add what was measured to the rows that are there: all of a curve, or nothing."""
        path = rows_file(self.request.rows, _KIND, self.data, self.name)
        others = _read(path).itertuples(index=False)
        lines = [[self.name, c.maps, self.images, c.bpp, c.psnr_db, *made] for c in cuts]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, "".join(map(csv_line, [_COLUMNS, *others, *lines])).encode())


def rows_of(place: Place, measure: Measure) -> Rows:
    """Of a codec that is trained for a figure; measured where no row has its weights.

    Raises:
        InputError: it was neither trained nor measured; the message has the command.
    """
    name, found = place.name, place.rows()
    best = RUNS / f"{name}.best.pt"
    if found.empty or (best.is_file() and not place.shown):
        weights = weights_hash(trained(name))
        state = read_state(best, "step", "seconds")
        found = place.of_weights(
            weights, lambda: measure(codec_of(name)), state["step"], state["seconds"]
        )
    last = found.iloc[-1]
    return Rows(_cuts(found), int(last["step"]), float(last["seconds"]) / 60)


def shipped_cuts(
    place: Place, model: Callable[[], nn.Module], measure: Callable[[], list[Cut]]
) -> list[Cut]:
    """Of a codec that ships with the package; InputError: it was not measured."""
    if place.shown:
        return _cuts(place.rows())
    return _cuts(place.of_weights(weights_hash(model()), measure))


def _cuts(rows: pd.DataFrame) -> list[Cut]:
    """Those of the weights that were measured last."""
    if rows.empty:
        raise InputError("not measured")
    own = rows[rows["weights"] == rows["weights"].iloc[-1]].drop_duplicates("maps")
    return [Cut(*row) for row in own[["maps", "bpp", "psnr_db"]].itertuples(index=False)]


def _read(path: Path) -> pd.DataFrame:
    """Those of a file; none where there is no file, or one that was cut."""
    if not path.is_file() or not path.read_bytes().endswith(b"\n"):
        return pd.DataFrame(columns=list(_COLUMNS))
    words = {"weights": str, "latentopt": str}
    return pd.read_csv(path, dtype=words, float_precision="round_trip")
