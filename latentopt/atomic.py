"""Files and folders that are written whole or not at all, and files read."""

import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from latentopt.errors import InputError, LatentoptWarning

_TEMPORARY = re.compile(r"\.latentopt-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}")
"""Where it was made, by which process, and which of its files it is."""
_DEVICES = ("/dev/", "/proc/")
_MOST_LINKS = 40  # as Linux counts
_MEMORY = "/dev/shm/"  # a folder like any other
_CHUNK, _LARGEST = 1 << 20, 1 << 30  # bytes that are read at a time, and at all


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A neighbour's name to make a file or folder at, which becomes ``path`` when all went well.

    A file at ``path`` is replaced, and keeps its mode and owner; of folders only an empty one, lest
    unrelated files vanish. A link stays one: what it points to is replaced. What runs that were
    killed left in the same folder is removed, with a `LatentoptWarning`.

    Raises:
        InputError: ``path`` is a folder with files in it, a device, a pipe or a socket.
    """
    sweep(place(path).parent)
    with replacing(path) as temporary:
        yield temporary


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The same, but for the sweeping, which lists the folder: for many files in one.

    Raises:
        InputError: likewise.
    """
    target = place(path)
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"{path} is a folder with files in it: name another")
    temporary = target.with_name(_temporary())
    try:
        yield temporary
        _keep_mode(target, temporary)
        os.replace(temporary, target)
    except BaseException:
        _remove(temporary)
        raise


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A new folder within a folder, removed in the end; and so is what killed runs left there."""
    sweep(folder)
    made = folder / _temporary()
    made.mkdir()
    try:
        yield made
    finally:
        _remove(made)


def place(path: Path) -> Path:
    """The file that writing ``path`` replaces or makes: behind links, if it is one.

    Raises:
        InputError: it is no regular file or folder, or a link in a circle.
    """
    hops = [str(path)]
    while os.path.islink(hops[-1]) and len(hops) < _MOST_LINKS:
        hops.append(os.path.join(os.path.dirname(hops[-1]), os.readlink(hops[-1])))
    if any(map(_is_device, hops)):
        raise InputError(f"cannot write {path}: it is a device or pipe, not a regular file")
    if os.path.islink(hops[-1]):
        raise InputError(f"cannot write {path}: it is a link in a circle, not a regular file")
    return Path(hops[-1])


def sweep(folder: Path) -> None:
    """Remove what processes of this machine that are gone were writing into a folder."""
    with suppress(OSError):  # of a folder that cannot be listed nothing is swept
        names = [name for name in os.listdir(folder) if _is_stale(name)]
        for name in names:
            _remove(folder / name)
            warnings.warn(
                f"removed {folder / name}, which a run that was killed had left",
                LatentoptWarning,
                stacklevel=4,
            )


def _temporary() -> str:
    return f".latentopt-{_here()}-{os.getpid()}-{secrets.token_hex(4)}"


def _is_stale(name: str) -> bool:
    found = _TEMPORARY.fullmatch(name)
    if found is None or found[1] != _here():
        return False
    try:
        os.kill(int(found[2]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # somebody else's
        return False
    return False


@cache
def _here() -> str:
    """This machine, or this container of it: process numbers mean something within it only."""
    try:
        numbering = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbering = ""
    return hashlib.sha256(f"{socket.gethostname()} {numbering}".encode()).hexdigest()[:8]


def _is_device(path: str) -> bool:
    """Whether a path is one of a device, a pipe or a socket, or of an open file's number."""
    try:
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return True
    except OSError:
        pass  # nothing is there yet, or it cannot be asked; writing will tell
    absolute = os.path.abspath(path)
    return absolute.startswith(_DEVICES) and not absolute.startswith(_MEMORY)


def _keep_mode(target: Path, temporary: Path) -> None:
    """Give a file the mode and the owner of the one that it replaces."""
    if target.is_file():
        old = target.stat()
        with suppress(OSError):  # only the owner may
            os.chown(temporary, old.st_uid, old.st_gid)
        temporary.chmod(stat.S_IMODE(old.st_mode))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def at_home(path: str) -> Path:
    """A folder of the user's with the home folder put in for ``~``.

    Where there is none (HOME is not set, and the system does not know the user), it is one in which
    nothing is, and nothing can be made.
    """
    found = os.path.expanduser(path)
    return Path(os.devnull, found[2:]) if found.startswith("~") else Path(found)


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file open for reading; InputError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            yield file
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def read_whole(path: str | os.PathLike[str]) -> bytes:
    """A file's content.

    Raises:
        InputError: it cannot be read, or is not done after a gibibyte, as devices are not.
    """
    with reading(path) as file:
        return all_of(file, str(path))


def all_of(file: BinaryIO, name: str) -> bytes:
    """What is left of an open file; InputError where that is more than a gibibyte."""
    data = bytearray()
    while chunk := file.read(_CHUNK):
        data += chunk
        if len(data) > _LARGEST:
            raise InputError(f"{name}: is larger than {_LARGEST >> 30} GiB, as no such file is")
    return bytes(data)


def file_hash(path: Path) -> str:
    """First 12 digits of the SHA-256 of a file, or of the files in a folder, in order of names.

    Raises:
        InputError: one cannot be read.
    """
    digest = hashlib.sha256()
    for file in sorted(filter(Path.is_file, path.iterdir())) if path.is_dir() else [path]:
        with reading(file) as content:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()[:12]


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        InputError: the place cannot be written.
    """
    with writing_whole(path) as file:
        file.write(data)


@contextmanager
def writing_whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file that appears when the block ends, and not at all where it raises.

    Raises:
        InputError: the place cannot be written.
    """
    try:
        with whole(Path(path)) as temporary, temporary.open("wb") as file:
            yield file
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
