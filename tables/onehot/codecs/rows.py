"""Rows of cut streams: measured where a codec was trained here, else those that are committed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from latentopt import Codec
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


def rows_of(name: str, data: str, images: int, request: Request, measure: Measure) -> Rows:
    """Of a codec on so many images; measured where no row has its weights.

    Raises:
        InputError: it was neither trained nor measured; the message has the command.
    """
    files = [rows_file(folder, _KIND, data, name) for folder in (request.rows, request.committed)]
    found = pd.concat(map(_read, files))
    if (RUNS / f"{name}.best.pt").is_file() or found.empty:
        weights = weights_hash(trained(name))
        found = found[(found["weights"] == weights) & (found["images"] == images)]
        if found.empty and not request.run:
            raise InputError(f"{name} was trained, and not measured")
        if found.empty:
            _write(files[0], name, images, weights, measure(codec_of(name)))
            found = _read(files[0])
    found = found[found["weights"] == found["weights"].iloc[-1]].drop_duplicates("maps")
    cuts = [Cut(*row) for row in found[["maps", "bpp", "psnr_db"]].itertuples(index=False)]
    last = found.iloc[-1]
    return Rows(cuts, int(last["step"]), float(last["seconds"]) / 60)


def _read(path: Path) -> pd.DataFrame:
    """Those of a file; none where there is no file."""
    words = {"weights": str, "latentopt": str}
    return (
        pd.read_csv(path, dtype=words) if path.is_file() else pd.DataFrame(columns=list(_COLUMNS))
    )


def _write(path: Path, name: str, images: int, weights: str, cuts: list[Cut]) -> None:
    """A file of one codec's."""
    state = read_state(RUNS / f"{name}.best.pt", "step", "seconds")
    made = [state["step"], round(state["seconds"]), weights, commit()]
    lines = [csv_line([name, c.maps, images, c.bpp, c.psnr_db, *made]) for c in cuts]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(csv_line(_COLUMNS) + "".join(lines), encoding="utf-8")
