"""Files and folders that are written whole or not at all, and files read."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from latentopt.errors import InputError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A neighbour's name to make a file or folder at, which becomes ``path`` when all went well.

    A file at ``path`` is replaced; of folders only an empty one, lest unrelated files vanish.
    """
    if path.is_dir() and any(path.iterdir()):
        raise InputError(f"{path} is a folder with files in it: remove it or name another")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file open for reading; InputError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            yield file
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


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
        raise InputError(f"cannot write {path}: {error.strerror}") from error
