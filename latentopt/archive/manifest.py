"""The manifest of an archive: a Parquet file, a row for each input, which runs resume from.

A Parquet file cannot be added to. So rows are written in parts beside it, PATH.parts/….parquet,
each whole or not at all, as soon as they are known; and all become one file when a run ends. Of a
path that several parts have, the newest counts, so that nothing is lost or doubled wherever a run
is killed.
"""

import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, fields
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from latentopt.archive import storage
from latentopt.engine.lock import lock
from latentopt.errors import InputError

_SHARE = 20  # times the seconds that writing a part takes pass before the next: 5 % at most,
_LONGEST_S = 1.0  # but no more than this, lest a kill costs what many processes have done
_MOST_ROWS = 1000  # that wait to be written
_MOST_PARTS = 256  # of one row or a few, before they become one
_BATCH = 1 << 14  # rows in memory at a time


@dataclass(frozen=True)
class Settings:
    """What an output follows from besides its input: rows of others do not count as done."""

    weights: str
    """First digits of the SHA-256 of the model's tensors; empty: files say what they need."""
    config: str
    """The options, in words."""
    version: str
    """latentopt's."""


@dataclass(frozen=True)
class Row:
    """What became of one input; the fields are the columns."""

    path: str
    """Of the input, relative to the folder that was named."""
    output: str
    """Relative to the output folder."""
    stamp: str
    """The input's size and time of change, or the store's tag."""
    codec: str
    weights: str
    config: str
    version: str
    image: str = ""
    """First digits of the SHA-256 of the input."""
    width: int = 0
    height: int = 0
    bytes: int = 0
    """Of the output."""
    bpp: float = 0.0
    """Bits per pixel of the coded file."""
    psnr_db: float = 0.0
    """Of what it decodes to; of decoded files, whose originals are elsewhere, NaN."""
    seconds: float = 0.0
    """Of coding proper."""
    hash: str = ""
    """SHA-256 of the output."""
    pixels: str = ""
    """First digits of the SHA-256 of the decoded image's 8-bit RGB samples."""
    engine: str = ""
    """Where it was coded: "local", or "processes:2", which take time from each other."""
    error: str = ""
    """Why there is no output; empty: there is one."""
    folder: str = ""
    """Where ``path`` is: the folder that was named, or the fixed part of a glob, links resolved."""

    @property
    def settings(self) -> Settings:
        return Settings(self.weights, self.config, self.version)


_COLUMNS = tuple(f.name for f in fields(Row))
_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}
_SCHEMA = pa.schema([(f.name, _TYPES[f.type]) for f in fields(Row)])  # type: ignore[index]


class Manifest:
    """A manifest that one client writes at a time.

    ::

        add ──► waiting rows ──► part, part, part ──► one larger part
        close ──► manifest and all parts, newest first ──► manifest
    """

    def __init__(self, url: str):
        self._url, self._folder = url, f"{url}.parts"
        self._waiting: list[Row] = []
        self._small: list[str] = []  # parts of this run that are not one yet
        self._due = 0.0
        self._open = ExitStack()

    def __enter__(self) -> "Manifest":
        """InputError where it is a folder, or another process of this machine writes it."""
        if storage.is_folder(self._url):
            raise InputError(f"{self._url}: is a folder; name a file in it with --manifest")
        place = storage.local(self._folder)
        if place:
            place.mkdir(parents=True, exist_ok=True)
            file = self._open.enter_context(open(place / ".lock", "ab", buffering=0))
            lock(file, self._url, "--manifest")
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._flush()
            self._join()
        finally:
            self._tidy()
            self._open.close()

    def add(self, row: Row) -> None:
        """Keep a row, which is written now or a moment later."""
        self._waiting.append(row)
        if time.monotonic() >= self._due or len(self._waiting) >= _MOST_ROWS:
            self._flush()

    def rows(self) -> Iterator[Row]:
        """The newest row of each path, whatever runs were killed.

        Raises:
            InputError: it cannot be read, or is no manifest.
        """
        return _newest(self._files())

    def is_there(self) -> bool:
        """Whether a run has begun to write it."""
        return bool(self._files())

    def _files(self) -> list[str]:
        """All that hold rows, newest first."""
        parts = [name for name in storage.names(self._folder) if name.endswith(".parquet")]
        whole = [self._url] if storage.exists(self._url) else []
        return [storage.join(self._folder, name) for name in reversed(parts)] + whole

    def _flush(self) -> None:
        """Write what waits as a part; small parts become one where there are many."""
        if not self._waiting:
            return
        began = time.monotonic()
        buffer = BytesIO()
        with _writer(buffer) as writer:
            writer.write_table(_table(self._waiting))
        # Unlike a number, a time and a draw are nobody else's, and in order all the same
        name = f"{time.time_ns():020d}-{secrets.token_hex(4)}.parquet"
        self._small.append(storage.join(self._folder, name))
        storage.write(self._small[-1], buffer.getvalue())
        self._waiting.clear()
        if len(self._small) >= _MOST_PARTS:
            _merge(self._small[::-1], self._small[-1])
            self._small.clear()
        now = time.monotonic()
        self._due = now + min(_SHARE * (now - began), _LONGEST_S)

    def _join(self) -> None:
        """Make the manifest and its parts one file."""
        files = self._files()
        if files[:1] not in ([], [self._url]):
            _merge(files, self._url)

    def _tidy(self) -> None:
        """Remove the lock, and the folder of parts where they are one file."""
        place = storage.local(self._folder)
        if place:
            (place / ".lock").unlink(missing_ok=True)
            with suppress(OSError):  # parts are left
                place.rmdir()


def _merge(files: list[str], target: str) -> None:
    """Make files, newest first, one at ``target``, which may be one of them."""
    with storage.writing(target) as temporary, _writer(temporary) as writer:
        batch: list[Row] = []
        for row in _newest(files):
            batch.append(row)
            if len(batch) == _BATCH:
                writer.write_table(_table(batch))
                batch = []
        writer.write_table(_table(batch))
    storage.remove(file for file in files if file != target)


def _newest(files: Iterable[str]) -> Iterator[Row]:
    seen: set[int] = set()
    for file in files:
        for row in _rows(file):
            key = digest(row.path)
            if key not in seen:
                seen.add(key)
                yield row


def _rows(url: str) -> Iterator[Row]:
    content = storage.read(url)
    try:
        with pq.ParquetFile(BytesIO(content), page_checksum_verification=True) as file:
            missing = file.metadata.num_rows
            for batch in file.iter_batches(_BATCH, columns=list(_COLUMNS)):
                missing -= len(batch)
                yield from (Row(**row) for row in _checked(batch).to_pylist())
            if missing:
                raise ValueError(f"{missing} rows are missing")
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        raise InputError(
            f"{url}: is no manifest of this version, or damaged ({error}): name another, which "
            "begins anew, or bring back a copy of this one"
        ) from error


def _checked(batch: pa.RecordBatch) -> pa.Table:
    """The columns, in order; ValueError, KeyError or Arrow's own where they are not those."""
    # Batches themselves can be cast from Arrow 16 on
    known = pa.Table.from_batches([batch]).select(list(_COLUMNS)).cast(_SCHEMA)
    known.validate(full=True)  # of strings, that they are text
    if any(column.null_count for column in known.columns):
        raise ValueError("a value is missing")
    return known


def _writer(where: BytesIO | Path) -> pq.ParquetWriter:
    """Of a file in which readers notice what has changed."""
    return pq.ParquetWriter(where, _SCHEMA, write_page_checksum=True)


def _table(rows: Iterable[Row]) -> pa.Table:
    return pa.Table.from_pylist([vars(row) for row in rows], _SCHEMA)


def digest(*words: str) -> int:
    """64 bits of words: a million rows are kept in mind by as many numbers."""
    text = "\0".join(words).encode(errors="surrogateescape")
    return int.from_bytes(blake2b(text, digest_size=8).digest())
