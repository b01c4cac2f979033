"""Table 2: what lattices and the shift save, per sequence of video."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tables.common.experiment import Cell, CodecExperiment, Request
from tables.common.harness import BASELINE, Clips, paper_gain, per_sequence
from tables.common.plots import bars
from tables.common.rows import rows_of
from tables.common.subjects import Subject
from tables.latent_shift import PAPER

COLUMNS = {"hex": "hex", "oct": "oct", "shift": "shift", "join": "oct+shift"}
OURS = {"e8": "e8", "fast": "fast", "default": "default"}
ALL = {**COLUMNS, **OURS}
"""Column and configuration: of the paper, whose values `bench.published` has; ours; and both."""

GOP = 8
"""Frames from one key frame to the next, as in the paper."""


class Table2(CodecExperiment):
    """BD-rate (pchip) of each sequence, as docs/video-measuring.md says."""

    name = "table2"
    title = "BD-rate per sequence of video, in percent"
    source = f"{PAPER}, Table 2 (ssf on UVG and Bunny)"
    medium = "video"
    notes = (f"Rates are bytes written, a key frame every {GOP} frames. `join` is oct+shift.",)

    columns = dict.fromkeys(ALL, "%")

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        configs = [BASELINE, *ALL.values()]
        rows = rows_of(subject, configs, request, Clips(gop=GOP))
        rows = rows[rows["config"].isin(configs)]
        if rows.empty:
            return
        columns = {config: column for column, config in ALL.items()}
        for line in per_sequence(rows).to_dict("records"):
            sequence, config = str(line["sequence"]), str(line["config"])
            value, reason = float(line["bd_rate_percent"]), str(line["reason"])
            known = paper_gain(subject.architecture, sequence, config)
            yield Cell(f"{subject.label}: {sequence}", columns[config], value, known, "%", reason)

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        bars(cells, path, self.title)


EXPERIMENT = Table2()
