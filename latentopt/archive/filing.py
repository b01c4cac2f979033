"""Files coded from where they lie to where they shall, and told in a manifest."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from latentopt.archive import storage
from latentopt.archive.manifest import Manifest, Row, Settings, digest
from latentopt.engine import Engine
from latentopt.errors import InputError, reason

_DIGITS = 12  # of hashes that tell files apart, and need not withstand anybody


@dataclass(frozen=True)
class Made:
    """What a coder makes of a file."""

    data: bytes
    codec: str
    width: int
    height: int
    bpp: float
    psnr_db: float
    seconds: float
    pixels: str
    """See :attr:`Row.pixels`."""


Coder = Callable[[str, bytes], Made]
"""Codes a file, given its name and its content; LatentoptError where it cannot."""


@dataclass(frozen=True)
class Entry:
    """One file to code, as data that any process can do it from."""

    source: str
    target: str
    row: Row
    """What is known of it beforehand."""


@dataclass(frozen=True)
class Archive:
    """Which files become which, and where that is told."""

    sources: Sequence[str]
    """Folders, globs and files, as paths or URLs."""
    folder: str
    """For the outputs, which are called as their inputs, in the same subfolders."""
    suffixes: Sequence[str]
    """Of the inputs in folders."""
    becomes: str
    """Suffix of the outputs."""
    settings: Settings

    def entries(self) -> Iterator[Entry]:
        """Every input, as listings give it."""
        said = vars(self.settings)
        for found in storage.found(self.sources, self.suffixes):
            output = str(PurePosixPath(found.name).with_suffix(self.becomes))
            row = Row(as_text(found.name), as_text(output), found.stamp, codec="", **said)
            yield Entry(found.url, storage.join(self.folder, output), row)


@dataclass
class Tally:
    """How many files were coded before, now, and not."""

    before: int = 0
    done: int = 0
    failed: int = 0


def file_all(
    archive: Archive,
    manifest: Manifest,
    make: Callable[[], Coder],
    engine: Engine,
    say: Callable[[Row], object],
) -> Tally:
    """Code what the manifest does not have yet; ``say`` is told each row that comes to it.

    Files and results are held while they are coded; of all others two numbers each are kept.

    Raises:
        InputError: a source or the manifest cannot be read, or outputs cannot be seen from here.
    """
    _check_shared(archive, engine)
    tally = Tally()

    def settle(row: Row) -> None:
        row = replace(row, engine=engine.label)
        manifest.add(row)
        tally.failed += bool(row.error)
        tally.done += not row.error
        say(row)

    with manifest:
        pending = _pending(archive, manifest, tally, settle)
        for _, row in engine.run(partial(filing, make), pending):
            settle(row)
    return tally


def _pending(
    archive: Archive, manifest: Manifest, tally: Tally, settle: Callable[[Row], None]
) -> Iterator[Entry]:
    """Entries that are not done; of two with one output, the second is settled as a failure.

    An input is done where its output lies in the folder, as long as the manifest says.
    """
    there = {digest(as_text(name), str(size)) for name, size in storage.sizes(archive.folder)}
    known: set[int] = set()
    owners: dict[int, int] = {}  # of outputs: which input's they are
    for row in manifest.rows():
        if not row.error and digest(row.output, str(row.bytes)) in there:
            owners[digest(row.output)] = digest(row.path)
            if row.settings == archive.settings:
                known.add(digest(row.path, row.stamp))
    met: set[int] = set()
    for entry in archive.entries():
        output, own = digest(entry.row.output), digest(entry.row.path)
        if output in met or owners.get(output, own) != own:
            why = f"another input becomes {entry.row.output}, too: rename one"
            settle(replace(entry.row, path=as_text(entry.source), error=why))
        elif digest(entry.row.path, entry.row.stamp) in known:
            tally.before += 1
            met.add(output)
        else:
            met.add(output)
            yield entry


def _check_shared(archive: Archive, engine: Engine) -> None:
    alone = storage.in_one_process([*archive.sources, archive.folder])
    if alone and engine.label != "local":
        raise InputError(f"{alone}: no other process sees it; use --engine local")


def filing(make: Callable[[], Coder]) -> Callable[[Entry], Row]:
    """What files entries in a process, with a coder of its own."""
    return partial(_file, make())


def _file(coder: Coder, entry: Entry) -> Row:
    """The row of an entry, whose output is then there; one bad file must not stop the others."""
    row = entry.row
    try:
        content = storage.read(entry.source)
        row = replace(row, image=sha256(content)[:_DIGITS])
        made = coder(row.path, content)
        storage.write(entry.target, made.data)
    except Exception as error:
        return replace(row, error=reason(error))
    return replace(row, **_said(made))


def _said(made: Made) -> dict[str, Any]:
    """What a row says of an output."""
    said = {name: value for name, value in vars(made).items() if name != "data"}
    return {**said, "bytes": len(made.data), "hash": sha256(made.data)}


def as_text(name: str) -> str:
    r"""A name as a manifest holds it, whose bytes may be no text.

    >>> as_text("photo.png"), as_text("\udcff.png")
    ('photo.png', '\\udcff.png')
    """
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def sha256(data: bytes) -> str:
    """In hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
