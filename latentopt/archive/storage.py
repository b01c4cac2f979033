"""Files on disks and in object stores, by path or URL: listed, read, and written whole."""

import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from glob import has_magic
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from latentopt.atomic import read_whole, replacing, sweep
from latentopt.errors import DataError, InputError, LatentoptError, MissingExtraError, reason

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_CHANGES = ("ETag", "etag", "mtime", "LastModified", "last_modified", "created")
"""What stores say of a file that is another one once it has changed; the first that is there."""


@dataclass(frozen=True)
class Found:
    """A file as a listing shows it."""

    url: str
    folder: str
    """URL of the folder, or of the fixed part of the glob, that it was found by."""
    name: str
    """Relative to that."""
    stamp: str
    """What changes with the file: its size, and the store's tag or time."""


def found(sources: Iterable[str], suffixes: Sequence[str]) -> Iterator[Found]:
    """The files of folders, by their suffixes, those that globs match, and those that are named.

    Hidden files are left out. Of each source one file is looked for now, the others as they are
    asked for.

    Raises:
        InputError: a source is not there, or holds none.
    """
    return chain.from_iterable([_some(source, tuple(suffixes)) for source in sources])


def _some(source: str, suffixes: tuple[str, ...]) -> Iterator[Found]:
    listing = _listing(source, suffixes)
    for first in listing:
        return chain([first], listing)
    raise InputError(f"{source}: no image there (in folders: {', '.join(suffixes)})")


def _listing(source: str, suffixes: tuple[str, ...]) -> Iterator[Found]:
    store, path = _store(source)
    with _told(source):
        if store.isdir(path):
            yield from _within(store, path, suffixes)
        elif has_magic(path) and not store.exists(path):
            yield from _matches(store, path)
        elif store.exists(path):
            yield _found(store, store.info(path), posixpath.dirname(path))
        else:
            raise InputError(f"cannot read {source}: no such file or folder")


def _within(store: "AbstractFileSystem", top: str, suffixes: tuple[str, ...]) -> Iterator[Found]:
    for _, folders, files in store.walk(top, detail=True):
        for name in [name for name in folders if name.startswith(".")]:
            del folders[name]
        for name, info in sorted(files.items()):
            if not name.startswith(".") and name.lower().endswith(suffixes):
                yield _found(store, info, top)


def _matches(store: "AbstractFileSystem", pattern: str) -> Iterator[Found]:
    fixed = pattern
    while has_magic(fixed):
        fixed = posixpath.dirname(fixed)
    for _, info in sorted(store.glob(pattern, detail=True).items()):
        if info["type"] == "file":
            yield _found(store, info, fixed)


def _found(store: "AbstractFileSystem", info: dict[str, object], top: str) -> Found:
    path = str(info["name"])
    changes = next((str(info[key]) for key in _CHANGES if info.get(key)), "")
    stamp = f"{info['size']} {changes.strip(chr(34))}"
    url, folder = store.unstrip_protocol(path), store.unstrip_protocol(top)
    return Found(url, folder, posixpath.relpath(path, top), stamp)


def read(url: str) -> bytes:
    """A file's content; DataError where it cannot be read."""
    if path_here := local(url):
        if not path_here.is_file():  # reading a pipe might wait for ever
            raise DataError(f"cannot read {url}: {_not_a_file(path_here)}")
        return read_whole(path_here)
    store, path = _store(url)
    try:
        content: bytes = store.cat_file(path)
    except Exception as error:
        raise DataError(f"cannot read {url}: {_why(error)}") from error
    return content


def _not_a_file(path: Path) -> str:
    return "it is no regular file" if path.exists() else "No such file or directory"


def sizes(folder: str) -> Iterator[tuple[str, int]]:
    """The files below a folder: name in it, and bytes; none where there is no folder."""
    store, top = _store(folder)
    with _told(folder):
        store.invalidate_cache(top)
        if not store.isdir(top):
            return
        for _, _, files in store.walk(top, detail=True):
            for info in files.values():
                yield posixpath.relpath(str(info["name"]), top), int(info["size"])


def write(url: str, data: bytes) -> None:
    """Write a file whole or not at all, in folders that are made; InputError where it cannot be."""
    if local(url):
        with writing(url) as temporary:
            temporary.write_bytes(data)
        return
    store, path = _store(url)
    with _told(url):
        store.pipe_file(path, data)  # of object stores none shows half an object


@contextmanager
def writing(url: str) -> Iterator[Path]:
    """A local name to make a file at, which is at ``url`` when the block ends well."""
    place = local(url)
    if place:
        with _told(url):
            place.parent.mkdir(parents=True, exist_ok=True)
            _tidy(place.parent)
            with replacing(place) as temporary:
                yield temporary
        return
    store, path = _store(url)
    with TemporaryDirectory() as folder:
        temporary = Path(folder, "file")
        yield temporary
        with _told(url):
            store.put_file(str(temporary), path)


@cache
def _tidy(folder: Path) -> None:
    """Rid a folder of what runs that were killed left there: once, as it may be large."""
    sweep(folder)


def names(folder: str) -> list[str]:
    """Names of the files right in a folder, in order; none where there is no folder."""
    store, path = _store(folder)
    with _told(folder):
        store.invalidate_cache(path)
        if not store.isdir(path):
            return []
        return sorted(posixpath.basename(name) for name in store.ls(path, detail=False))


def remove(urls: Iterable[str]) -> None:
    """Remove files that may be there."""
    for url in urls:
        store, path = _store(url)
        with _told(url):
            if store.exists(path):
                store.rm_file(path)


def exists(url: str) -> bool:
    """Whether there is a file; InputError where the store does not tell."""
    store, path = _store(url)
    with _told(url):
        try:
            return bool(store.info(path)["type"] == "file")  # isfile takes any failure for a no
        except (FileNotFoundError, NotADirectoryError):
            return False


def is_folder(url: str) -> bool:
    """Whether there is a folder, or what an object store shows as one."""
    store, path = _store(url)
    with _told(url):
        return bool(store.isdir(path))


def may_end(source: str, suffix: str) -> bool:
    """Whether a named file does, or what a glob matches might; no store is asked."""
    return source.endswith(suffix) or has_magic(source)


def resolved(url: str) -> str:
    """The same for all names of a file, those of links among them."""
    place = local(url)
    store, path = _store(url)
    return os.path.realpath(place) if place else str(store.unstrip_protocol(path))


def join(folder: str, name: str) -> str:
    """
    >>> join("s3://bucket/coded/", "a/b.lo")
    's3://bucket/coded/a/b.lo'
    """
    return f"{folder.rstrip('/')}/{name}"


def is_url(text: str) -> bool:
    """
    >>> is_url("s3://bucket/photos"), is_url("photos/2024"), is_url("C:/photos")
    (True, False, False)
    """
    head, mark, _ = text.partition("://")
    return bool(mark) and len(head) > 1 and head.isascii() and head.isalnum()


def local(url: str) -> Path | None:
    """The path of a file of this machine; None: it lies elsewhere."""
    from fsspec.implementations.local import LocalFileSystem

    store, path = _store(url)
    return Path(path) if isinstance(store, LocalFileSystem) else None


def in_one_process(urls: Iterable[str]) -> str | None:
    """The first URL of what only the process sees that wrote it."""
    return next((url for url in urls if url.startswith("memory://")), None)


def _store(url: str) -> "tuple[AbstractFileSystem, str]":
    """The file system of a URL, and the path in it.

    Raises:
        MissingExtraError: it needs a package that is not installed, such as s3fs.
        InputError: there is none of that name.
    """
    from fsspec.core import url_to_fs

    try:
        store, path = url_to_fs(url if is_url(url) else os.path.abspath(url))
    except ImportError as error:
        raise MissingExtraError(f"{url}: {error}") from error
    except Exception as error:  # some ask a server here
        raise InputError(f"{url}: {_why(error)}") from error
    return store, path.rstrip("/") or path


@contextmanager
def _told(url: str) -> Iterator[None]:
    """What a store refuses, in one line; each has exceptions of its own, as for no credentials."""
    try:
        yield
    except LatentoptError:
        raise
    except Exception as error:
        raise InputError(f"{url}: {_why(error)}") from error


def _why(error: Exception) -> str:
    """What the user can act on: the kinds of Python's own exceptions are none."""
    plain = isinstance(error, OSError | ValueError)
    return str(getattr(error, "strerror", None) or error) if plain else reason(error)
