"""A coded file as its header describes it: the values that `info` and `explain` print as JSON."""

from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli.coded import is_video, naming, read_container, read_video_header

if TYPE_CHECKING:  # NumPy is spared those who only mistyped an option
    from latentopt.bitstream import Container, Header, Settings

Described = dict[str, object]
"""By name, what `json.dumps` takes; docs/reference/json.md says what each is."""

VIDEO_PARTS = ("image", "motion", "residual")
"""Of every video codec, in the order of the header; a test compares."""


def describe(path: Path) -> Described:
    """What the header of an image's or a clip's file says.

    Raises:
        InputError: the file cannot be read.
        BitstreamError: it is none of ours, or damaged.
    """
    return _clip(path) if is_video(path) else _image(path)


def _image(path: Path) -> Described:
    data, container = read_container(path)
    pixels = container.width * container.height
    return {
        **_head(path, "image", container, len(data)),
        "string_bytes": sum(map(len, container.strings)),
        "bpp": 8 * len(data) / pixels,
        "parts": [_part("image", container.settings)],
    }


def _clip(path: Path) -> Described:
    from latentopt.bitstream import count_frames

    header = read_video_header(path)
    with naming(path):
        keys, predicted, whole = count_frames(path)
    frames, size = keys + predicted, path.stat().st_size
    return {
        **_head(path, "clip", header, size),
        "frames": frames,
        "key_frames": keys,
        "whole": whole,
        "frames_per_second": float(header.rate),
        "seconds": float(frames / header.rate),
        "bpp": 8 * size / (header.width * header.height * max(frames, 1)),
        "parts": [_part(*part) for part in zip(_names(header), header.settings)],
    }


def _head(path: Path, kind: str, header: "Container | Header", size: int) -> Described:
    """What images and clips have in common."""
    return {
        "file": str(path),
        "kind": kind,
        "bytes": size,
        "format_version": header.version,
        "width": header.width,
        "height": header.height,
        "codec": _codec(header),
        "weights_hash": header.weights_hash.hex(),
        "table_hash": header.table_hash.hex(),
    }


def _codec(header: "Container | Header") -> Described | None:
    """Where the model comes from; for want of the header's word, by the hash of its weights."""
    from latentopt.zoo.shipped_hashes import embedded

    origin = header.origin or embedded(header.weights_hash)
    if origin is None:
        return None
    return {
        "name": origin.codec,
        "quality": origin.quality,
        "metric": origin.metric,
        "step": origin.step,
        "in_header": header.origin is not None,
    }


def _names(header: "Header") -> list[str]:
    found = list(VIDEO_PARTS[: len(header.settings)])
    return found + [f"part {i}" for i in range(len(found), len(header.settings))]


def _part(name: str, settings: "Settings") -> Described:
    from latentopt.bitstream.headers import LATTICE

    of_points = settings.channel == LATTICE
    return {
        "name": name,
        "channel": settings.channel,
        "lattice": settings.quant if of_points or settings.seed is not None else None,
        "pmf": settings.pmf if of_points else None,
        "seed": settings.seed,
        "direction": settings.direction,
        "portable": settings.portable,
        "scales_corrected": settings.scales,
    }
