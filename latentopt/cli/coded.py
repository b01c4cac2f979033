"""Coded files: which kind one is, its header, and its name in front of what is wrong with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.atomic import reading
from latentopt.errors import BitstreamError

if TYPE_CHECKING:  # NumPy is spared those who only mistyped an option
    from latentopt.bitstream import Container
    from latentopt.codec.recipe import Recipe


def is_video(path: Path) -> bool:
    """Whether a coded file is one of frames; what cannot be read is for others to complain of."""
    from latentopt.bitstream.video_file import MAGIC

    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read_container(path: Path) -> "tuple[bytes, Container]":
    """The bytes of an image's file and its header; the strings stay in one piece."""
    with reading(path) as file:
        data = file.read()
    return data, container_of(path, data)


def container_of(path: Path, data: bytes) -> "Container":
    """The header of an image's file, whose content is there already."""
    from latentopt.bitstream import Container

    with naming(path):
        return Container.from_bytes(data)


def recipe_for(path: Path, container: "Container") -> "Recipe":
    """What reads the file whose header this is."""
    from latentopt.codec.recipe import Recipe

    with naming(path):
        return Recipe.reading(container.settings)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name in front of what is wrong with its content."""
    try:
        yield
    except BitstreamError as error:
        raise BitstreamError(f"{path}: {error}") from error
