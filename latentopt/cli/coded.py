"""Coded files: which kind one is, its header, and its name in front of what is wrong with it."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli import arguments, model
from latentopt.cli.sources import Job
from latentopt.errors import BitstreamError, MapError

if TYPE_CHECKING:  # NumPy is spared those who only mistyped an option
    from latentopt.bitstream import Container, Header
    from latentopt.codec.recipe import Recipe


def is_video(path: Path) -> bool:
    """Whether a coded file is one of frames; InputError where it cannot be read."""
    from latentopt.bitstream.video_file import is_video_file

    return is_video_file(path)


def opened(job: Job, args: argparse.Namespace) -> "tuple[bytes, Container, argparse.Namespace]":
    """An image's file, its header, and what the options say once that has settled them.

    Raises:
        BitstreamError: it is none.
        InputError: the options contradict each other.
    """
    data, settled = job.data(), argparse.Namespace(**vars(args))
    container = container_of(job.name, data)
    model.settle_by(settled, container.origin)
    return data, container, settled


def check_pixels(job: Job, container: "Container", args: argparse.Namespace) -> None:
    """Refuse what is larger than the options allow."""
    most = arguments.max_pixels(args)
    if container.width * container.height > most:
        size = f"{job.name}: {container.width}x{container.height}"
        raise BitstreamError(f"{size} is more than {most} pixels; --max-pixels raises the limit")


def container_of(path: Path, data: bytes) -> "Container":
    """The header of an image's file; the strings stay in one piece."""
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
    except MapError as error:
        whole = (
            f"latentopt decode shows the {error.maps} before it, latentopt truncate mends the file"
            if error.maps
            else "there is none before it"
        )
        raise BitstreamError(f"{path}: {error.what}; {whole}") from error
    except BitstreamError as error:
        raise BitstreamError(f"{path}: {error}{note}") from error
