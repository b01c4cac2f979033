"""`open_clip` and `write_clip`: which suffix is read and written how."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from latentopt.atomic import whole
from latentopt.errors import InputError
from latentopt.media.clips.clip import Clip, Format, Source
from latentopt.media.clips.pictures import IMAGES, open_folder, open_pictures, png_writer
from latentopt.media.clips.raw import check_name, open_y4m, open_yuv, y4m_writer, yuv_writer

Writer = Callable[[Path, Format], AbstractContextManager[Callable[[Tensor], object]]]

_CONTAINERS = (".mp4", ".mkv", ".mov", ".avi", ".webm")
_WRITERS: dict[str, Writer] = {
    ".y4m": y4m_writer,
    ".yuv": yuv_writer,
}
_ENCODED = (".mkv", ".mp4")  # by way of PyAV, which is optional and so imported on use
READABLE = (".y4m", ".yuv", *_CONTAINERS, *IMAGES)
"""Suffixes that `open_clip` takes, besides folders of PNG."""
WRITABLE = (*_WRITERS, *_ENCODED)
"""Suffixes that `write_clip` takes, besides none at all: a folder of PNG."""


def open_clip(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    rate: Fraction | None = None,
    start: int = 0,
    count: int | None = None,
) -> Clip:
    """The clip in a video file, raw video, folder of PNG or single image.

    Args:
        path: a file of a suffix in `READABLE`, or a folder.
        size: (width, height), for raw `.yuv` whose name does not tell; must be right elsewhere.
        rate: frames per second, instead of what the file says (or the 25 of images).
        start: number of the first frame, from 0.
        count: frames at most; None: to the end.

    Raises:
        InputError: missing, unreadable, empty, truncated, no video, or of unknown size.
        MissingExtraError: the file needs PyAV, which is not installed.
    """
    path = Path(path)
    try:
        source = _source(path, size)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    found = source.format
    if size and tuple(size) != (found.width, found.height):
        raise InputError(
            f"{path}: has {found.width}x{found.height} pixels, not the {size[0]}x{size[1]} asked "
            "for; leave --size out"
        )
    format = Format(found.width, found.height, found.rate if rate is None else rate)
    return Clip(path.resolve().name if path.is_dir() else path.stem, format, source, start, count)


def write_clip(path: str | Path, frames: Iterable[Tensor], format: Format) -> int:
    """Write a clip, whole or not at all, and return the number of frames.

    Args:
        path: suffix `.y4m` or `.yuv` (raw), `.mkv` (FFV1: the same planes, compressed without
            loss), `.mp4` (H.264, crf 12); a folder of PNG (8-bit RGB) where it has no suffix, ends
            in "/" or is an empty folder.
        frames: (1, 3, H, W) in [0, 1], RGB, consumed one at a time; clamped.
        format: their size and rate.

    Raises:
        InputError: an unknown suffix, no frames, a frame of another size, or not writable.
        MissingExtraError: `.mkv` and `.mp4` need PyAV, which is not installed.
    """
    writer = _writer(path)
    path, written = Path(path), 0
    if writer is yuv_writer:
        check_name(path, format)
    try:
        with whole(path) as temporary, writer(temporary, format) as put:
            for x in frames:
                put(_checked(x, format, written))
                written += 1
            if not written:
                raise InputError(f"{path}: no frames to write")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    return written


def _source(path: Path, size: tuple[int, int] | None) -> Source:
    suffix = path.suffix.lower()
    if path.is_dir():
        return open_folder(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if suffix == ".yuv":
        return open_yuv(path, size)
    if suffix == ".y4m":
        return open_y4m(path)
    if suffix in IMAGES:
        return open_pictures([path])
    if suffix in _CONTAINERS:
        from latentopt.media.clips.encoded import open_container

        return open_container(path)
    raise InputError(
        f"{path}: unknown suffix {suffix!r}; read are {', '.join(READABLE)} and folders of PNG"
    )


def _writer(path: str | Path) -> Writer:
    suffix = Path(path).suffix.lower()
    if not suffix or str(path).endswith("/") or Path(path).is_dir():
        return png_writer
    if suffix in _WRITERS:
        return _WRITERS[suffix]
    if suffix in _ENCODED:
        from latentopt.media.clips.encoded import ENCODERS

        return ENCODERS[suffix].writer
    raise InputError(
        f"{path}: unknown suffix {suffix!r}; written are {', '.join(WRITABLE)} and, "
        "without suffix, folders of PNG"
    )


def _checked(x: Tensor, format: Format, number: int) -> Tensor:
    """The frame on the CPU, in [0, 1]."""
    if x.shape != (1, 3, format.height, format.width):
        raise InputError(
            f"frame {number} has shape {tuple(x.shape)}; of a clip of "
            f"{format.width}x{format.height} it is (1, 3, {format.height}, {format.width})"
        )
    if not torch.isfinite(x).all():
        raise InputError(f"frame {number} holds NaN or infinity: the codec's output is broken")
    return x.detach().cpu().float().clamp(0, 1)
