"""Move what was measured to where it is committed, so that other checkouts start from it."""

import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from latentopt.bench.results import COLUMNS, Measurement, csv_line, read_measurements
from tables.measured import is_measurements, rows_in

PREFIX = "tables-"
"""Of files with rows of the harness that no other committed file has."""


def keep(rows: Path, committed: Path) -> list[Path]:
    """Copy the files of ``rows`` to ``committed``, without what is there; those written."""
    committed.mkdir(parents=True, exist_ok=True)
    written = []
    for path in sorted(rows.glob("*.csv")):
        if len(path.read_text(encoding="utf-8").splitlines()) < 2:
            continue
        shared = is_measurements(path) and not path.name.startswith("table")
        target = committed / f"{PREFIX * shared}{path.name}"
        if shared and not _append_new(path, target, committed):
            continue
        if not shared:
            shutil.copyfile(path, target)
        written.append(target)
    return written


def _append_new(path: Path, target: Path, committed: Path) -> bool:
    """Append the rows that no committed file has; whether there are any."""
    known = {_key(row) for row in rows_in(committed)}
    new = [row for row in read_measurements(path) if _key(row) not in known]
    if new:
        before = list(read_measurements(target)) if target.exists() else []
        target.write_text(_text([*before, *new]), encoding="utf-8")
    return bool(new)


def _key(row: Measurement) -> tuple[object, ...]:
    return row.data, row.codec, row.point, row.step, row.config, row.image, row.weights


def _text(rows: Iterable[Measurement]) -> str:
    return csv_line(COLUMNS) + "".join(csv_line(asdict(row).values()) for row in rows)
