"""Coded files: which kind one is, its header, and its name in front of what is wrong with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.atomic import read_whole, reading
from latentopt.errors import BitstreamError

if TYPE_CHECKING:  # NumPy is spared those who only mistyped an option
    from latentopt.bitstream import Container, Header
    from latentopt.codec.recipe import Recipe


def is_video(path: Path) -> bool:
    """Whether a coded file is one of frames; InputError where it cannot be read."""
    with reading(path) as file:
        head = file.read(3)
    from latentopt.bitstream.video_file import MAGIC

    return head == MAGIC


def read_container(path: Path) -> "tuple[bytes, Container]":
    """The bytes of an image's file and its header; the strings stay in one piece."""
    data = read_whole(path)
    return data, container_of(path, data)


def container_of(path: Path, data: bytes) -> "Container":
    """The header of an image's file, whose content is there already."""
    from latentopt.bitstream import Container

    with naming(path):
        return Container.from_bytes(data)


def read_video_header(path: Path) -> "Header":
    """What a video's file says before its frames."""
    from latentopt.bitstream import read_header

    with naming(path):
        return read_header(path)


def recipe_for(path: Path, container: "Container") -> "Recipe":
    """What reads the file whose header this is."""
    from latentopt.codec.recipe import Recipe

    with naming(path):
        return Recipe.reading(container.settings)


@contextmanager
def naming(path: Path, note: str = "") -> Iterator[None]:
    """Put the file's name in front of what is wrong with its content, and a note after it."""
    try:
        yield
    except BitstreamError as error:
        raise BitstreamError(f"{path}: {error}{note}") from error
