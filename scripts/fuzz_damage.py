"""Ways to damage bytes, and to make checksums fit again, so that they reach a decoder's inside."""

import zlib
from dataclasses import replace
from io import BytesIO

import numpy as np

from latentopt import Container
from latentopt.bitstream import Header, end_record, frame_record, frame_records

Generator = np.random.Generator
_CRC = 4


def damaged(data: bytes, generator: Generator) -> bytes:
    """Changed in one to eight bytes or in a stretch, or cut off."""
    if generator.random() < 0.2:
        return data[: generator.integers(0, len(data))]
    return changed(data, generator)


def changed(data: bytes, generator: Generator) -> bytes:
    """One to eight bytes replaced, or a stretch removed, doubled or filled with noise."""
    out = bytearray(data or b"\0")
    at = int(generator.integers(0, len(out)))
    length = int(generator.integers(1, 1 + len(out) - at))
    match int(generator.integers(0, 4)):
        case 0:
            for _ in range(int(generator.integers(1, 9))):
                out[generator.integers(0, len(out))] ^= int(generator.integers(1, 256))
        case 1:
            del out[at : at + length]
        case 2:
            out[at:at] = out[at : at + length]
        case 3:
            out[at : at + length] = generator.bytes(length)
    return bytes(out)


def resealed_image(data: bytes, strings: int, generator: Generator) -> bytes:
    """An image's file with a changed string, its checksum right."""
    container = Container.from_bytes(data, strings)
    parts = list(container.strings)
    which = generator.integers(0, strings)
    parts[which] = changed(parts[which], generator)
    return replace(container, strings=tuple(parts)).to_bytes()


def resealed_clip(data: bytes, counts: tuple[int, int], generator: Generator) -> bytes:
    """A video file with a changed string in one of its frames, all checksums right."""
    file = BytesIO(data)
    header = Header.read(file)
    frames = [(kind, list(strings)) for kind, strings in frame_records(file, counts)]
    _, strings = frames[generator.integers(0, len(frames))]
    which = generator.integers(0, len(strings))
    strings[which] = changed(strings[which], generator)
    records = [frame_record(i, kind, tuple(parts)) for i, (kind, parts) in enumerate(frames)]
    return header.to_bytes() + b"".join(records) + end_record(len(frames))


def resealed_header(data: bytes, generator: Generator) -> bytes:
    """An image's file, or a clip's header, with changes near its start, its checksum right."""
    body = data[: -_CRC or None]
    head = int(generator.integers(4, min(len(body), 40) + 1))
    body = body[:3] + changed(body[3:head], generator) + body[head:]
    return body + zlib.crc32(body).to_bytes(_CRC, "little")
