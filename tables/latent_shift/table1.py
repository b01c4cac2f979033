"""Table 1: what lattices and the shift save, per image codec, and what our search adds."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tables.common.data import CLIC
from tables.common.experiment import Cell, CodecExperiment, Request
from tables.common.harness import BASELINE
from tables.common.plots import bars
from tables.common.rows import difference, rows_of
from tables.common.subjects import Subject
from tables.latent_shift import PAPER

COLUMNS = {
    "hex": "hex",
    "shift": "shift",
    "join": "hex+shift",
    "int": "int",
    "oct": "oct",
    "e8": "e8",
    "auto": "auto",
    "fast": "fast",
    "default": "default",
    "best": "best",
}
"""Column and configuration; the paper has the first three."""

_HEADS = ("hex", "shift", "join")
PUBLISHED: dict[str, dict[str, tuple[float, float, float]]] = {
    "kodak": {
        "bmshj2018-factorized": (-0.62, -0.49, -1.08),
        "mbt2018-mean": (-0.88, -1.27, -2.24),
        "mbt2018": (-0.55, -1.44, -1.98),
        "cheng2020-attn": (-0.16, -0.46, -0.73),
        "invcompress": (-0.21, -0.55, -0.82),
        "dcvc-intra": (-0.97, -0.30, -1.28),
    },
    CLIC: {
        "bmshj2018-factorized": (-1.78, -0.69, -2.26),
        "mbt2018-mean": (-0.76, -1.21, -2.03),
        "mbt2018": (-0.66, -1.71, -2.33),
        "cheng2020-attn": (-0.32, -0.72, -1.15),
        "invcompress": (-0.52, -0.63, -1.12),
        "dcvc-intra": (-1.22, -0.11, -1.44),
    },
}


class Table1(CodecExperiment):
    """BD-rate (pchip) of the means, against the codec's own quantizer and coder."""

    name = "table1"
    title = "BD-rate per image codec, in percent"
    source = f"{PAPER}, Table 1"
    notes = (
        "Rates are bytes written. `join` is hex+shift, `int` our coder alone. The paper's CLIC is "
        "that of 2021; ours are the CLIC 2020 photographs that the embedded codecs were not "
        "trained on.",
    )
    columns = dict.fromkeys(COLUMNS, "%")

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        published = self.published(subject, request)
        rows = rows_of(subject, [BASELINE, *COLUMNS.values()], request)
        if rows.empty:
            return
        for column, config in COLUMNS.items():
            value, note = difference(rows, config)
            yield Cell(subject.label, column, value, published.get(column), "%", note)

    def published(self, subject: Subject, request: Request) -> dict[str, float]:
        return dict(zip(_HEADS, PUBLISHED.get(request.data, {}).get(subject.architecture, ())))

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        bars(cells, path, self.title)


EXPERIMENT = Table1()
