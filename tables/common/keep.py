"""Move what was measured: from shares of the work together, and to where it is committed."""

import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from latentopt.bench.results import (
    COLUMNS,
    Measurement,
    csv_line,
    drop_partial_line,
    read_measurements,
)
from tables.measured import is_measurements, rows_in

PREFIX = "tables-"
"""Of files with rows of the harness that no other committed file has."""


def gather(share: Path, rows: Path) -> None:
    """Append to the files of ``rows`` the lines that only those of a ``share`` have."""
    rows.mkdir(parents=True, exist_ok=True)
    for path in share.glob("*.csv"):
        drop_partial_line(path)
    for path, target in _pairs(share, rows):
        _append_lines(path, target)


def keep(rows: Path, committed: Path) -> list[Path]:
    """Copy the files of ``rows`` to ``committed``, without what is there; those written."""
    committed.mkdir(parents=True, exist_ok=True)
    written = []
    for path, target in _pairs(rows, committed):
        if not is_measurements(path):
            changed = _append_lines(path, target)
        elif path.name.startswith("table"):  # times of one machine, which are not mixed
            changed = not target.exists() or target.read_bytes() != path.read_bytes()
            shutil.copyfile(path, target)
        else:
            target = target.with_name(PREFIX + target.name)
            changed = _append_new(path, target, committed)
        written += [target] * changed
    return written


def _pairs(source: Path, target: Path) -> Iterable[tuple[Path, Path]]:
    """The files that hold more than a header, and where they go."""
    for path in sorted(source.glob("*.csv")):
        if len(path.read_text(encoding="utf-8").splitlines()) > 1:
            yield path, target / path.name


def _append_lines(path: Path, target: Path) -> bool:
    """Append the lines that the target does not have; whether there are any."""
    header, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    before = target.read_text(encoding="utf-8") if target.exists() else header
    known = set(before.splitlines(keepends=True))
    new = [line for line in lines if line not in known]
    if new:
        target.write_text(before + "".join(new), encoding="utf-8")
    return bool(new)


def _append_new(path: Path, target: Path, committed: Path) -> bool:
    """Append the rows that no committed file has; whether there are any."""
    known = {_key(row) for row in rows_in(committed)}
    new = [row for row in read_measurements(path) if _key(row) not in known]
    if new:
        before = list(read_measurements(target)) if target.exists() else []
        target.write_text(_text([*before, *new]), encoding="utf-8")
    return bool(new)


def _key(row: Measurement) -> tuple[object, ...]:
    place = row.codec, row.point, row.step, row.config, row.image
    return *place, row.data, row.weights, row.device, row.threads


def _text(rows: Iterable[Measurement]) -> str:
    return csv_line(COLUMNS) + "".join(csv_line(asdict(row).values()) for row in rows)
