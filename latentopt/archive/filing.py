"""Files coded from where they lie to where they shall, and told in a manifest."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import PurePosixPath
from typing import Any

from latentopt.archive import storage
from latentopt.archive.manifest import Manifest, Row, Settings, digest
from latentopt.engine import Engine
from latentopt.errors import DataError, InputError, reason

_ANYWHERE = ""  # in place of a folder that is gone
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
        """Every input, as listings give it.

        Raises:
            InputError: a source is not there, or holds none.
        """
        return map(self._entry, storage.found(self.sources, self.suffixes))

    def _entry(self, found: storage.Found) -> Entry:
        output = str(PurePosixPath(found.name).with_suffix(self.becomes))
        said = {"folder": as_text(storage.resolved(found.folder)), **vars(self.settings)}
        row = Row(as_text(found.name), as_text(output), found.stamp, codec="", **said)
        return Entry(found.url, storage.join(self.folder, output), row)

    def called_as_outputs(self) -> set[str]:
        """Inputs of an output's suffix, resolved; of folders there are none, by their suffixes."""
        could = [source for source in self.sources if storage.may_end(source, self.becomes)]
        named = [source for source in could if not storage.is_folder(source)]
        urls = (found.url for found in storage.found(named, self.suffixes))
        return {storage.resolved(url) for url in urls if url.endswith(self.becomes)}


@dataclass
class Tally:
    """How many files were coded before, now, and not."""

    before: int = 0
    done: int = 0
    failed: int = 0
    replaced: int = 0
    """Of those coded now, whose outputs replaced a file that was not theirs."""


def file_all(
    archive: Archive,
    manifest: Manifest,
    make: Callable[[], Coder],
    engine: Engine,
    say: Callable[[Row], object],
) -> Tally:
    """Code what the manifest does not have yet; ``say`` is told each row that comes to it.

    Files and results are held while they are coded; of all others a few numbers each are kept.

    Raises:
        InputError: a source or the manifest cannot be read, or outputs cannot be seen from here.
    """
    _check_shared(archive, engine)
    entries = archive.entries()  # before anything is made
    tally = Tally()
    with manifest:
        known = _known(archive, manifest)

        def settle(row: Row) -> None:
            row = replace(row, engine=engine.label)
            manifest.add(row)
            tally.failed += bool(row.error)
            tally.done += not row.error
            tally.replaced += not row.error and known.is_of_others(row)
            say(row)

        pending = _pending(entries, known, tally, settle)
        for _, row in engine.run(partial(filing, make), pending):
            settle(row)
    return tally


def _pending(
    entries: Iterable[Entry], known: "_Known", tally: Tally, settle: Callable[[Row], None]
) -> Iterator[Entry]:
    """Entries that are not done; those whose outputs are not theirs to write are settled."""
    met: dict[int, int] = {}
    for entry in entries:
        row, output, own = entry.row, digest(entry.row.output), _named(entry.row)
        if met.get(output) == own:
            continue  # one file, by two of the sources
        twin = f"another input becomes {row.output}, too: rename one" if output in met else ""
        if why := twin or known.objection(entry):
            settle(replace(row, path=as_text(entry.source), error=why))
            continue
        met[output] = own
        if known.has(entry):
            tally.before += 1
        else:
            yield entry


@dataclass(frozen=True)
class _Known:
    """What there is before anything is coded, by digests of names."""

    sizes: dict[int, int]
    """Bytes of each file in the output folder."""
    owners: dict[int, int]
    """Of outputs that lie there as the manifest says: which input's they are; of folders that are
    gone, moved perhaps, the input of that path in any other."""
    done: set[int]
    """Inputs, as they are now, that have such an output by these settings."""
    moved: dict[int, int]
    """Of folders that are gone, likewise, with the hash of each input's content."""
    inputs: set[str]
    """URLs that outputs could have, too."""

    def has(self, entry: Entry) -> bool:
        """Whether there is nothing to do; of an input that may have been moved its content says."""
        row = entry.row
        if digest(row.folder, row.path, row.stamp) in self.done:
            return True
        image = self.moved.get(digest(row.path, row.stamp))
        return image is not None and image == _number_of(entry.source)

    def is_of_others(self, row: Row) -> bool:
        """Whether in an output's place there is a file that is none of this input's."""
        output = digest(row.output)
        return output in self.sizes and self.owners.get(output) != _named(row)

    def objection(self, entry: Entry) -> str:
        """Why an output is not this input's to write; empty: it is."""
        row = entry.row
        if self.inputs and storage.resolved(entry.target) in self.inputs:
            return f"its output {row.output} would replace an input: name another folder"
        owner = self.owners.get(digest(row.output))
        if owner not in (None, _named(row), digest(_ANYWHERE, row.path)):
            return (
                f"another input becomes {row.output}, too, as an earlier run had it: rename one, "
                f"or name another folder and manifest, or move {row.output} if that one is gone"
            )
        return ""


def _known(archive: Archive, manifest: Manifest) -> _Known:
    sizes = {digest(as_text(name)): size for name, size in storage.sizes(archive.folder)}
    found = _Known(sizes, {}, set(), {}, archive.called_as_outputs())
    there = cache(_is_there)  # of few folders, for many rows
    for row in manifest.rows():
        output = digest(row.output)
        if not row.error and sizes.get(output) == row.bytes:
            is_there = there(row.folder)
            found.owners[output] = _named(row) if is_there else digest(_ANYWHERE, row.path)
            if row.settings == archive.settings and is_there:
                found.done.add(digest(row.folder, row.path, row.stamp))
            elif row.settings == archive.settings:
                found.moved[digest(row.path, row.stamp)] = _number(row.image)
    return found


def _named(row: Row) -> int:
    """Which input it is."""
    return digest(row.folder, row.path)


def _image(content: bytes) -> str:
    """What tells an input's content from others."""
    return sha256(content)[:_DIGITS]


def _number(image: str) -> int:
    return int(image or "0", 16)


def _number_of(source: str) -> int | None:
    """None of an input that cannot be read, which whoever codes it says."""
    try:
        return _number(_image(storage.read(source)))
    except DataError:
        return None


def _is_there(folder: str) -> bool:
    """Whether a folder of an earlier run is; one whose store does not tell counts as there."""
    try:
        return storage.is_folder(folder)
    except InputError:
        return True


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
        row = replace(row, image=_image(content))
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
