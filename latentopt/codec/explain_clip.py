"""Where the bytes of a coded clip went, frame by frame: for people, not to decode."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

from torch import Tensor

from latentopt.bitstream import read_header
from latentopt.codec.explain import LATENTS, table
from latentopt.codec.frames import KEY_PART, check_frame
from latentopt.codec.video import VideoCodec
from latentopt.errors import BitstreamError, InputError, counted
from latentopt.media.clips import Format
from latentopt.media.images import to_uint8
from latentopt.media.quality import psnr_db


@dataclass(frozen=True)
class FrameExplanation:
    """One frame: what its strings hold."""

    parts: Mapping[str, tuple[int, ...]]
    """Of each part that it has, the bytes of its strings: the main latent's, the side latent's."""
    psnr_db: float | None
    """In 8-bit RGB, where the original was given."""

    @property
    def is_key(self) -> bool:
        """Whether it stands alone; other frames are predicted from the one before."""
        return KEY_PART in self.parts

    @property
    def kind(self) -> str:
        """In a word."""
        return "key" if self.is_key else "predicted"

    @property
    def bytes(self) -> int:
        """Of all strings."""
        return sum(map(sum, self.parts.values()))


@dataclass(frozen=True)
class LatentBytes:
    """A latent of one part: how many bytes each frame's string of it has."""

    part: str
    latent: str
    bytes: tuple[int | None, ...]
    """None of frames that have no such part."""

    @property
    def name(self) -> str:
        """Of both."""
        return f"{self.part}, {self.latent}"

    @property
    def total(self) -> int:
        """Of all frames."""
        return sum(size or 0 for size in self.bytes)


def by_latent(frames: Sequence[FrameExplanation]) -> list[LatentBytes]:
    """The latents that frames have strings of, part by part, the main one of each first.

    >>> frames = [FrameExplanation(parts, None) for parts in ({"image": (9, 4)}, {"motion": (2,)})]
    >>> [(one.name, one.bytes) for one in by_latent(frames)]
    [('image, main', (9, None)), ('image, side', (4, None)), ('motion, main', (None, 2))]
    """
    counts = {part: len(sizes) for frame in frames for part, sizes in frame.parts.items()}
    return [
        LatentBytes(
            part,
            LATENTS[i] if i < len(LATENTS) else f"latent {i + 1}",
            tuple(frame.parts[part][i] if part in frame.parts else None for frame in frames),
        )
        for part, count in counts.items()
        for i in range(count)
    ]


@dataclass(frozen=True)
class ClipExplanation:
    """A clip's file. ``str`` makes it a text."""

    format: Format
    file_bytes: int
    frames: tuple[FrameExplanation, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parts, the key frame's first."""
        return tuple(dict.fromkeys(name for frame in self.frames for name in frame.parts))

    def part_bytes(self, name: str) -> int:
        """What all frames together have of a part."""
        return sum(sum(frame.parts.get(name, ())) for frame in self.frames)

    def __str__(self) -> str:
        count, size = len(self.frames), f"{self.format.width}x{self.format.height}"
        bpp = self.format.bits_per_pixel(self.file_bytes, count)
        kbps = self.format.kilobits_per_second(self.file_bytes, count)
        head = f"{size}, {counted(count, 'frame')}, {self.file_bytes} bytes, {bpp:.4f} bpp"
        return "\n\n".join(
            [
                f"{head}, {kbps:.1f} kbit/s",
                self._part_table(),
                table(self._heads(), [self._row(i) for i in range(count)]),
            ]
        )

    def _part_table(self) -> str:
        totals = {(one.part, one.latent): f"{one.total:,}" for one in by_latent(self.frames)}
        latents = tuple(dict.fromkeys(latent for _, latent in totals))
        sizes = {name: self.part_bytes(name) for name in self.names}
        sizes["header and checksums"] = self.file_bytes - sum(sizes.values())
        rows = [
            (name, f"{n:,}", *(totals.get((name, one), "") for one in latents), self._share(n))
            for name, n in sizes.items()
        ]
        return table(("part", "bytes", *latents, "share"), rows)

    def _share(self, size: int) -> str:
        return f"{100 * size / self.file_bytes:.1f} %"

    def _heads(self) -> tuple[str, ...]:
        return ("frame", "kind", "bytes", *self.names, "PSNR")

    def _row(self, number: int) -> tuple[str, ...]:
        frame = self.frames[number]
        by_part = [_sum(frame.parts.get(name, ())) for name in self.names]
        quality = "" if frame.psnr_db is None else f"{frame.psnr_db:.2f} dB"
        return str(number), frame.kind, f"{frame.bytes:,}", *by_part, quality


def _sum(sizes: Sequence[int]) -> str:
    """What each latent has, the main one first."""
    return " + ".join(f"{size:,}" for size in sizes)


def explain_clip(
    codec: VideoCodec, path: str | os.PathLike[str], original: Iterable[Tensor] | None = None
) -> ClipExplanation:
    """Explain a clip's file; it is decoded only where there is something to compare with.

    Args:
        codec: reads it.
        path: of the file.
        original: the frames that were coded, each (1, 3, H, W) in [0, 1], whose PSNR is asked for.

    Raises:
        TruncatedError: the file ends early.
        BitstreamError: it is corrupt, empty, or of another codec.
        InputError: the original is no clip, of another size or length, or a file cannot be read.
    """
    if not isinstance(original, Iterable | None):
        raise InputError(f"original: expected frames (1, 3, H, W), not {type(original).__name__}")
    header = read_header(path)
    quality = repeat(None) if original is None else _quality(codec, path, original)
    frames = tuple(
        FrameExplanation({name: tuple(map(len, part)) for name, part in strings.items()}, psnr)
        for strings, psnr in zip(codec.strings(path), quality)
    )
    if not frames:
        raise BitstreamError("there is no frame in it")
    size = os.stat(path).st_size
    return ClipExplanation(Format(header.width, header.height, header.rate), size, frames)


def _quality(
    codec: VideoCodec, path: str | os.PathLike[str], original: Iterable[Tensor]
) -> Sequence[float]:
    return list(_compared(codec.load(path), iter(original)))


def _compared(decoded: Iterable[Tensor], original: Iterator[Tensor]) -> Iterator[float]:
    number = 0
    for number, x_hat in enumerate(decoded, 1):
        x = next(original, None)
        if x is None:
            raise InputError(
                f"the original has {counted(number - 1, 'frame')} only, and the file more"
            )
        check_frame(x, None)
        if x.shape != x_hat.shape:
            sizes = f"{x.shape[-1]}x{x.shape[-2]}, the file's {x_hat.shape[-1]}x{x_hat.shape[-2]}"
            raise InputError(f"the original's frames are {sizes}")
        yield psnr_db(to_uint8(x), to_uint8(x_hat.cpu()))
    if next(original, None) is not None:
        raise InputError(f"the original has more frames than the file's {number}")
