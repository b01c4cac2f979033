"""Checks of what shall be written, made before the expensive work."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from latentopt.atomic import place
from latentopt.errors import InputError
from latentopt.extras import need

CLIPS = (".y4m", ".yuv", ".mkv", ".mp4")  # as the library has them; a test compares
_ENCODED = CLIPS[2:]  # by way of PyAV
_LONGEST_NAME = 255  # bytes, on every file system in use


def check_output(path: Path, inputs: Sequence[Path | None], folder: bool = False) -> None:
    """Refuse an output that could not be written, or whose writing would destroy something.

    ``folder``: it may be one.
    """
    _check_inputs(path, inputs)
    # os.path rather than Path, whose questions raise on names that are too long
    if os.path.isdir(path) and not folder:
        raise InputError(f"cannot write {path}: it is a folder; name a file in it")
    target = place(path)  # of a link it is the file behind that is replaced
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise InputError(f"cannot write {path}: it is write-protected")
    if not os.path.isdir(target.parent):
        raise InputError(f"cannot write {path}: there is no folder {target.parent}; make it first")
    if len(os.fsencode(target.name)) > _LONGEST_NAME:
        raise InputError(f"cannot write {path}: its name is too long")
    _check_place(path, target.parent)


def check_folder(path: Path) -> None:
    """Refuse a folder for several outputs that could not be made or written to."""
    place = next(p for p in (path, *path.parents) if os.path.exists(p))
    if not os.path.isdir(place):
        raise InputError(
            f"cannot write to {path}: {place} is no folder, and several files need one"
        )
    _check_place(path, place)


def _check_place(path: Path, folder: Path) -> None:
    """Write where the output will be written, under a temporary name."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def check_png(path: Path, command: str) -> None:
    """Refuse a name that says another format."""
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: {command} writes PNG; give the output a name in .png")


def check_clip(path: Path) -> None:
    """Refuse a name that says what no clip is written as, or what an extra is missing for."""
    suffix = path.suffix.lower()
    if os.path.isdir(path) or not suffix:
        return
    if suffix not in CLIPS:
        known = ", ".join(CLIPS)
        raise InputError(f"{path}: a clip is written as {known}, or to a folder: a name without .")
    if suffix in _ENCODED:
        need("video", "av")


def _check_inputs(path: Path, inputs: Sequence[Path | None]) -> None:
    for source in inputs:
        both = source and os.path.exists(path) and os.path.exists(source)
        if both and os.path.samefile(path, str(source)):
            raise InputError(f"{path}: is an input too; give the output another name")
