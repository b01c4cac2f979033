"""A coded file as its header describes it: the values that `info` and `explain` print as JSON."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.bitstream.origin import Origin
from latentopt.cli import native
from latentopt.cli.coded import container_of, is_video, naming, read_video_header
from latentopt.cli.sources import STREAM, content
from latentopt.zoo.names import VIDEO

if TYPE_CHECKING:  # NumPy is spared those who only mistyped an option
    from latentopt.bitstream import Container, Header, Settings
    from latentopt.bitstream.compressai_file import Head

Described = dict[str, object]
"""By name, what `json.dumps` takes; docs/reference/json.md says what each is."""

VIDEO_PARTS = ("image", "motion", "residual")
"""Of every video codec, in the order of the header; a test compares."""


def describe(path: Path) -> Described:
    """What the header of an image's or a clip's file says, or of an image on standard input.

    Raises:
        InputError: the file cannot be read.
        BitstreamError: it is none of ours, or damaged.
    """
    if path != STREAM and is_video(path):
        return _clip(path)
    data = content(path)
    return _foreign(path, data) if native.is_foreign(data) else describe_image(path, data)


def describe_image(path: Path, data: bytes) -> Described:
    """The same of an image, whose file's content is there already."""
    container = container_of(path, data)
    return {
        **_head(path, "image", container, len(data)),
        "grey": container.is_grey,
        "string_bytes": container.payload_bytes,
        "bpp": _bpp(len(data), container),
        "maps": len(container.maps) if container.settings.progressive else None,
        "damage": container.damage.what if container.damage else None,
        "parts": [_part("image", container.settings)],
    }


def _foreign(path: Path, data: bytes) -> Described:
    """Of a file for CompressAI's own decoder, whose header says little."""
    from latentopt.bitstream.compressai_file import Head, read_count

    file = BytesIO(data)
    with naming(path):
        head = Head.read(file)
        origin = _named(head)
    is_clip = origin.codec in VIDEO
    frames = read_count(file) if is_clip else 1
    return {
        "file": str(path),
        "kind": "clip" if is_clip else "image",
        "format": "compressai",
        "bytes": len(data),
        "width": head.width,
        "height": head.height,
        "codec": _codec(origin, in_header=True),
        **({"frames": frames} if is_clip else {}),
        "bpp": _bpp(len(data), head, frames),
    }


def _named(head: "Head") -> Origin:
    """What CompressAI calls a model; it is imported where its version decides on the number."""
    from latentopt.bitstream.compressai_file import METRICS, NUMBERED

    if head.model < len(NUMBERED) and head.metric < len(METRICS):
        return Origin(NUMBERED[head.model], head.quality, METRICS[head.metric])
    from latentopt.codec.native_files import Label

    label = Label.of(head)
    return Origin(label.codec, label.quality, label.metric)


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
        "bpp": _bpp(size, header, max(frames, 1)),
        "parts": [_part(*part) for part in zip(_names(header), header.settings)],
    }


def _head(path: Path, kind: str, header: "Container | Header", size: int) -> Described:
    """What images and clips have in common."""
    return {
        "file": str(path),
        "kind": kind,
        "format": "latentopt",
        "bytes": size,
        "format_version": header.version,
        "width": header.width,
        "height": header.height,
        "codec": _origin(header),
        "weights_hash": header.weights_hash.hex(),
        "table_hash": header.table_hash.hex(),
    }


def _origin(header: "Container | Header") -> "Described | None":
    """Where the model comes from; for want of the header's word, by the hash of its weights."""
    from latentopt.zoo.shipped_hashes import embedded

    origin = header.origin or embedded(header.weights_hash)
    return _codec(origin, in_header=header.origin is not None) if origin else None


def _codec(origin: "Origin", in_header: bool) -> Described:
    return {
        "name": origin.codec,
        "quality": origin.quality,
        "metric": origin.metric,
        "step": origin.step,
        "in_header": in_header,
    }


def _bpp(size: int, image: "Container | Header | Head", frames: int = 1) -> float:
    return 8 * size / (image.width * image.height * frames)


def _names(header: "Header") -> list[str]:
    found = list(VIDEO_PARTS[: len(header.settings)])
    return found + [f"part {i}" for i in range(len(found), len(header.settings))]


def _part(name: str, settings: "Settings") -> Described:
    from latentopt.bitstream.headers import LATTICE

    of_points = settings.channel == LATTICE
    return {
        "name": name,
        "channel": settings.channel,
        "lattice": settings.quant if of_points or "dither" in settings.channel else None,
        "pmf": settings.pmf if of_points else None,
        "seed": settings.seed,
        "spread": settings.spread and settings.spread / 1000,
        "sampler": settings.sampler,
        "alpha": settings.alpha or None,
        "sigma": settings.sigma or None,
        "mean": settings.mean,
        "direction": settings.direction,
        "portable": settings.portable,
        "scales_corrected": settings.scales,
        "side_adaptive": settings.adaptive,
        "context": settings.context,
        "postfilter": settings.postfilter,
        "prepacked": settings.prepacked,
    }
