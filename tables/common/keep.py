"""Move what was measured to where it is committed."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from tables.common.harness import (
    COLUMNS,
    Measurement,
    csv_line,
    read_measurements,
)
from tables.common.places import CODED, PROBES, TABLES, TIMES, coded_files


def keep(rows: Path, committed: Path) -> list[Path]:
    """Copy the files of ``rows`` to ``committed``, without what is there; those written."""
    written = []
    for path, target in _pairs(rows, committed):
        if path.is_relative_to(rows / TABLES):
            changed = _append_new(
                path, target, coded_files(committed, target.parent.name, target.stem)
            )
        elif path.is_relative_to(rows / TIMES):  # of one machine at one time, which are not mixed
            changed = not target.exists() or target.read_bytes() != path.read_bytes()
            shutil.copyfile(path, target)
        else:
            changed = _append_lines(path, target)
        written += [target] * changed
    return written


def _files(folder: Path) -> Iterator[Path]:
    for kind in (CODED, PROBES):
        yield from sorted((folder / kind).rglob("*.csv"))


def _pairs(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """The files that hold more than a header, and where they go, in folders that are there."""
    for path in _files(source):
        if len(path.read_text(encoding="utf-8").splitlines()) > 1:
            goal = target / path.relative_to(source)
            goal.parent.mkdir(parents=True, exist_ok=True)
            yield path, goal


def _append_lines(path: Path, target: Path) -> bool:
    """Append the lines that the target does not have; whether there are any."""
    header, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    before = target.read_text(encoding="utf-8") if target.exists() else header
    known = set(before.splitlines(keepends=True))
    new = [line for line in lines if line not in known]
    if new:
        target.write_text(before + "".join(new), encoding="utf-8")
    return bool(new)


def _append_new(path: Path, target: Path, committed: Iterable[Path]) -> bool:
    """Append the rows that no committed file has; whether there are any."""
    known = {_key(row) for file in committed for row in read_measurements(file)}
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
