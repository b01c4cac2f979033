"""What a run leaves behind: CSV, Markdown and a plot, with command and source."""

import math
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from tables.common.experiment import Cell, Experiment, Request
from tables.common.harness import commit, csv_line
from tables.common.places import slug

_DIGITS = {"%": 2, "dB": 4, "×": 2, "% of all": 1, "kMAC/pixel": 1}
_SIGNED = ("%", "dB")
_CSV_DIGITS = 8
"""Significant ones: all that every machine computes alike."""


def write(
    experiment: Experiment, cells: Sequence[Cell], request: Request, out: Path, command: str
) -> str:
    """Write NAME-DATA.csv, .md and .png to the folder; return the Markdown."""
    out.mkdir(parents=True, exist_ok=True)
    source = f"latentopt {commit() or 'outside git'}; {machine(request.device)}."
    texts = documents(experiment, cells, request, command, source)
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    experiment.plot(cells, request, out / f"{stem(experiment, request)}.png")
    return texts[f"{stem(experiment, request)}.md"]


def documents(
    experiment: Experiment, cells: Sequence[Cell], request: Request, command: str, source: str
) -> dict[str, str]:
    """The Markdown and CSV of one table by their files' names; ``source`` ends the former."""
    name = stem(experiment, request)
    text = markdown(experiment, cells, request, command, source)
    return {f"{name}.md": text, f"{name}.csv": _csv(cells)}


def stem(experiment: Experiment, request: Request) -> str:
    """What the files of a report are called."""
    of = [request.data, *([] if request.device == "cpu" else [request.device])]
    return "-".join([experiment.name, *map(slug, of if experiment.medium else [])])


def _csv(cells: Sequence[Cell]) -> str:
    lines = [["row", "column", "measured", "published", "unit", "note"]]
    for c in cells:
        shown = "" if math.isnan(c.measured) else f"{c.measured:.{_CSV_DIGITS}g}"
        published = "" if c.published is None else str(c.published)
        lines.append([c.row, c.column, shown, published, c.unit, c.note])
    return "".join(map(csv_line, lines))


def markdown(
    experiment: Experiment, cells: Sequence[Cell], request: Request, command: str, source: str
) -> str:
    """The report of one table."""
    parts = [
        f"# {experiment.name}: {experiment.title}",
        f"Measured, in brackets what was published ({experiment.source}). Data: "
        f"{_data(experiment, request)}.",
        grid(cells),
        *experiment.notes,
        f"![{experiment.name}]({stem(experiment, request)}.png)",
        f"```\n{command}\n```",
        source,
    ]
    return "\n\n".join(parts) + "\n"


def _data(experiment: Experiment, request: Request) -> str:
    if experiment.medium is None:
        return experiment.drawn
    return f"{request.dataset.name}, up to {len(request.dataset.paths)} {experiment.medium}(s)"


def grid(cells: Sequence[Cell]) -> str:
    """A Markdown table of the cells, and what is to be said of some of them.

    >>> print(grid([Cell("a", "hex", -1.234, -0.5), Cell("a", "oct", note="needs zoo weights")]))
    | | hex, % | oct, % |
    | --- | --- | --- |
    | a | −1.23 (−0.50) | needs zoo weights |
    """
    rows = list(dict.fromkeys(c.row for c in cells))
    columns = {c.column: c.unit for c in cells}
    by_place = {(c.row, c.column): c for c in cells}
    heads = [f"{name}, {unit}" if unit else name for name, unit in columns.items()]
    lines = [f"| | {' | '.join(heads)} |", f"|{' --- |' * (len(heads) + 1)}"]
    for row in rows:
        own = [by_place[row, c] for c in columns if (row, c) in by_place]
        said = {own[0].note} if len({c.note for c in own}) == 1 else set()
        shown = [
            _shown(by_place[row, c], said if k else set()) if (row, c) in by_place else ""
            for k, c in enumerate(columns)
        ]
        lines.append(f"| {row} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _shown(cell: Cell, said: set[str]) -> str:
    """One cell; its note, unless the row has ``said`` it."""
    published = "" if cell.published is None else f"({_number(cell.published, cell.unit)})"
    note = "" if cell.note in said else cell.note
    if math.isnan(cell.measured):
        parts = [note, published]
    else:
        parts = [_number(cell.measured, cell.unit), published, note]
    return " ".join(part for part in parts if part)


def _number(value: float, unit: str) -> str:
    """
    >>> _number(-1.234, "%")
    '−1.23'
    """
    sign = "+" if unit in _SIGNED else ""
    return f"{value:{sign}.{_DIGITS.get(unit, 3)}f}".replace("-", "−")


def machine(device: str) -> str:
    """The kind of machine, in words."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{_cpu()}, {torch.get_num_threads()} thread(s)"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
