"""The measurements file: one CSV row per coded image, appended as it is measured, resumable."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from io import FileIO
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, cast

import pandas as pd

from latentopt.atomic import reading
from latentopt.engine.lock import lock
from latentopt.errors import InputError

Key = tuple[str, str, float, str, str]
"""(codec, point, step, config, image)."""


@dataclass(frozen=True)
class Measurement:
    """One image coded and decoded once; the fields are the CSV's columns."""

    codec: str
    point: str
    """Quality ("q3") or checkpoint name."""
    step: float
    config: str
    data: str
    image: str
    width: int
    height: int
    bytes: int
    """Of all strings; neither the image's size nor a container header is counted."""
    bpp: float
    """Bits per pixel of the original."""
    psnr_db: float
    ms_ssim: float
    encode_s: float
    """Seconds per image: a batch's time over its size."""
    decode_s: float
    batch_size: int
    device: str
    threads: int
    weights: str
    """First digits of the SHA-256 of the model's tensors."""
    latentopt: str
    """Version, then the commit where the code runs from a checkout."""
    sha256: str = ""
    """First digits of the SHA-256 of the image's or clip's file; of rows of old none is known."""
    engine: str = ""
    """Where it was measured: "local", or "processes:2", which take time from each other."""
    load: float = 0.0
    """Processes that wanted one of the machine's processors, per processor, in that minute."""

    @property
    def key(self) -> Key:
        """What no other row of a file has."""
        return self.codec, self.point, self.step, self.config, self.image


_LARGEST = 1 << 53  # beyond it no float64 holds every integer
_LONGEST_LINE = 1 << 17  # bytes
COLUMNS = tuple(f.name for f in fields(Measurement))
_EARLIER = tuple(f.name for f in fields(Measurement) if f.default is MISSING)
"""Of files that were written before others came: they can be read, not added to."""
_TYPES = {f.name: cast(Callable[[str], Any], f.type) for f in fields(Measurement)}


@dataclass(frozen=True)
class Settings:
    """What every row of one file shares; a resumed run must bring the same."""

    data: str
    device: str
    threads: int
    batch_size: int
    version: str
    """latentopt's, without the commit."""


class ResultsFile:
    """Append-only CSV of measurements, which one process writes at a time.

    ::

        open ──► lock ──► drop a half-written last line ──► check header and settings ──► known keys
        append ──► one whole line, flushed, so that a killed run loses one image at most
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        """Raises InputError where the file cannot be written, is being written, or is damaged."""
        self._path = path
        self._file = _opened(path)
        try:
            lock(self._file, path)
            _check_begun(path)
            drop_partial_line(path)
            if path.stat().st_size == 0:
                self._write(csv_line(COLUMNS))
            self._done: set[Key] = set()
            self._weights: dict[tuple[str, str], str] = {}
            self._images: dict[str, str] = {}
            _check_columns(path, _header(path), [COLUMNS])
            for row in read_measurements(path):
                self._check(row, settings)
                self._note(row)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "ResultsFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def __contains__(self, key: object) -> bool:
        return key in self._done

    def check_weights(self, codec: str, point: str, weights: str) -> None:
        """InputError where the file holds rows of the same point from other weights."""
        known = self._weights.get((codec, point), weights)
        if known != weights:
            raise InputError(
                f"{self._path} holds {codec} {point} measured with weights {known}, "
                f"these are {weights}: move the file away or choose another output folder"
            )

    def check_image(self, image: str, sha256: str) -> None:
        """InputError where the file holds rows of an image that has changed since."""
        known = self._images.get(image) or sha256
        if known != sha256:
            raise InputError(
                f"{self._path} holds {image} as it was when its SHA-256 began with {known}, now "
                f"it is {sha256}: move the file away or choose another output folder"
            )

    def append(self, row: Measurement) -> None:
        self._write(csv_line(vars(row).values()))
        self._note(row)

    def _write(self, line: str) -> None:
        data = line.encode("utf-8")
        try:
            written = self._file.write(data)
        except OSError as error:
            raise InputError(f"cannot write {self._path}: {error.strerror}") from error
        if written != len(data):
            raise InputError(f"cannot write {self._path}: the disk is full")

    def _note(self, row: Measurement) -> None:
        self._done.add(row.key)
        self._weights[row.codec, row.point] = row.weights
        self._images[row.image] = row.sha256

    def _check(self, row: Measurement, settings: Settings) -> None:
        version = row.latentopt.split("+")[0]
        found = Settings(row.data, row.device, row.threads, row.batch_size, version)
        if found == settings:
            return
        differs = [
            f"{f.name} {getattr(found, f.name)!r} there, {getattr(settings, f.name)!r} here"
            for f in fields(Settings)
            if getattr(found, f.name) != getattr(settings, f.name)
        ]
        raise InputError(
            f"cannot resume {self._path}: {'; '.join(differs)}: "
            "use the same settings, move the file away or choose another output folder"
        )


def read_measurements(path: Path) -> Iterator[Measurement]:
    """The rows of a measurements file; InputError, which names the line, where it is not one."""
    with reading(path) as file:
        reader = csv.reader(_lines(path, file))
        try:
            header = next(reader, [])
            _check_columns(path, header, [COLUMNS, _EARLIER])
            seen: dict[Key, int] = {}
            for values in reader:
                row = _row(header, values)
                first = seen.setdefault(row.key, reader.line_num)
                if first != reader.line_num:
                    raise ValueError(f"it measures again what line {first} did")
                yield row
        except InputError:
            raise
        except (ValueError, csv.Error) as error:
            raise InputError(
                f"{path}, line {reader.line_num}: damaged row ({error}): delete that line"
            ) from error


def _lines(path: Path, file: BinaryIO) -> Iterator[str]:
    """Lines as text."""
    for number in count(1):
        line = file.readline(_LONGEST_LINE)
        if not line:
            return
        if len(line) == _LONGEST_LINE:
            raise InputError(f"{path}, line {number}: longer than any row: delete that line")
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}, line {number}: not UTF-8 from its byte {error.start} on: delete that line"
            ) from error


def _header(path: Path) -> list[str]:
    with reading(path) as file:
        return next(csv.reader(_lines(path, file)), [])


def _check_begun(path: Path) -> None:
    """InputError where a file is another's, or an earlier version's, whose lines all stay."""
    ours = csv_line(COLUMNS).encode()
    with reading(path) as file:
        begun = file.read(len(ours))
    if not ours.startswith(begun):  # of a run that died at once there may be less
        _check_columns(path, _header(path), [COLUMNS])


def _check_columns(path: Path, header: Sequence[str], known: Sequence[Sequence[str]]) -> None:
    if tuple(header) not in known:
        raise InputError(
            f"{path} has other columns than this version writes "
            f"({', '.join(sorted(set(header) ^ set(COLUMNS))) or 'in another order'}): "
            "move the file away or choose another output folder"
        )


def _row(header: Sequence[str], values: Sequence[str]) -> Measurement:
    """ValueError where they are none."""
    row = Measurement(**{name: _TYPES[name](v) for name, v in zip(header, values, strict=True)})
    for name, value in vars(row).items():
        if isinstance(value, int) and not 0 <= value <= _LARGEST:
            raise ValueError(f"{name} is {str(value)[:20]}")
    return row


def read_rows(path: Path) -> pd.DataFrame:
    """The measurements as a data frame."""
    return pd.DataFrame([vars(row) for row in read_measurements(path)], columns=list(COLUMNS))


def _opened(path: Path) -> FileIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "ab", buffering=0)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def csv_line(values: Iterable[object]) -> str:
    """Values as one line of CSV."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


def drop_partial_line(path: Path) -> None:
    """Cut the file after its last newline: what follows was being written when a run died."""
    if path.exists():
        content = path.read_bytes()
        if content and not content.endswith(b"\n"):
            with open(path, "r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)
