"""Table 2: what lattices and the shift save, per sequence of video."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from latentopt.bench.configs import parse_all
from latentopt.bench.evaluate import Plan, evaluate
from latentopt.bench.media import Clips
from latentopt.bench.published import paper_gain
from latentopt.bench.results import read_rows
from latentopt.bench.sequences import per_sequence
from latentopt.bench.summary import BASELINE
from tables.experiment import PAPER, Cell, Experiment, Request, missing
from tables.measured import slug
from tables.plots import bars

COLUMNS = {"hex": "hex", "oct": "oct", "shift": "shift", "join": "oct+shift"}
OURS = {"e8": "e8", "fast": "fast", "default": "default"}
"""Column and configuration of the paper, whose values `bench.published` has; and ours."""

GOP = 8
"""Frames from one key frame to the next, as in the paper."""


class Table2(Experiment):
    """BD-rate (pchip) of each sequence, as docs/video-measuring.md says."""

    name = "table2"
    title = "BD-rate per sequence of video, in percent"
    source = f"{PAPER}, Table 2 (ssf on UVG and Bunny)"
    medium = "video"
    notes = (f"Rates are bytes written, a key frame every {GOP} frames. `join` is oct+shift.",)

    def cells(self, request: Request) -> Iterator[Cell]:
        for subject in request.subjects:
            if subject.missing:
                yield from missing(subject, {**COLUMNS, **OURS}, {})
                continue
            asked = request.configs
            columns = {config: column for column, config in {**COLUMNS, **OURS}.items()}
            configs = [c for c in columns if asked is None or c in asked]
            plan = Plan(
                subject.codec,
                subject.points,
                parse_all([BASELINE, *configs]),
                request.dataset,
                device=request.device,
                medium=Clips(gop=GOP),
            )
            name = f"{slug(request.data)}-{slug(subject.label)}.csv"
            path = request.rows / name
            if not request.run and not path.exists():
                continue
            rows = evaluate(plan, path, request.progress) if request.run else read_rows(path)
            found = per_sequence(rows)
            for line in found.to_dict("records"):
                sequence, config = str(line["sequence"]), str(line["config"])
                if config not in columns:
                    continue  # what was measured for something else
                known = paper_gain(subject.architecture, sequence, config)
                yield Cell(
                    f"{subject.label}: {sequence}",
                    columns[config],
                    float(line["bd_rate_percent"]),
                    known,
                    "%",
                    str(line["reason"]),
                )

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        bars(cells, path, self.title)


EXPERIMENT = Table2()
