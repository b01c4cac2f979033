"""Whether a video file breaks off: FFmpeg reads many such files as if they ended there."""

from pathlib import Path
from typing import BinaryIO

from latentopt.errors import InputError

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_BOXES = (b"ftyp", b"wide", b"free", b"skip", b"moov", b"mdat", b"moof", b"mfra", b"udta", b"meta")


def refuse_truncated(path: Path) -> None:
    """InputError where the file states a greater length than it has (Matroska, WebM, MP4, MOV)."""
    total = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(256)
        stated = _matroska_end(head) if head.startswith(_EBML) else _boxes_end(file, total)
    if stated is not None and stated > total:
        raise InputError(
            f"{path}: truncated: {stated - total} bytes of {stated} are missing; replace the file"
        )


def _matroska_end(head: bytes) -> int | None:
    """Where the segment, which holds everything, ends; None where its writer did not know."""
    header_bytes, at = _ebml_size(head, len(_EBML))
    at += header_bytes or 0
    if head[at : at + 4] != _SEGMENT:
        return None
    size, at = _ebml_size(head, at + len(_SEGMENT))
    return None if size is None else at + size


def _ebml_size(head: bytes, at: int) -> tuple[int | None, int]:
    """An element's size, None where its writer did not know it, and where its content begins."""
    length = 9 - int.from_bytes(head[at : at + 1]).bit_length()
    all_ones = (1 << 7 * length) - 1
    value = int.from_bytes(head[at : at + length]) & all_ones
    return None if value == all_ones else value, at + length


def _boxes_end(file: BinaryIO, total: int) -> int | None:
    """Where the last of an MP4's boxes ends; None where other bytes than boxes come in between."""
    at = 0
    while at < total:
        file.seek(at)
        size, kind = int.from_bytes(file.read(4)), file.read(4)
        if size == 1:  # a longer one follows
            size = int.from_bytes(file.read(8))
        if kind not in _BOXES or size < 8:  # 0: as far as the file goes
            return None
        at += size
    return at
