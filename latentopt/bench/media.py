"""What the harness can measure, images and clips: how they are read, coded and decoded.

Both are groups of frames to the harness: an image is one group of one frame, a clip has a group for
each of its key frames, and groups do not depend on each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from latentopt.bench import clipsets, datasets
from latentopt.bench.configs import Configuration, padded
from latentopt.bench.datasets import Dataset
from latentopt.encoder import Ahead
from latentopt.errors import InputError
from latentopt.media.clips import open_clip
from latentopt.media.images import image_size, read_image

DEFAULT_GOP = 8
"""Frames from key frame to key frame, as in the paper."""

PARTS = ("image", "motion", "residual")
"""Of a video codec; see `latentopt.wrap`."""


class Medium(Protocol):
    """One kind of items, and how a codec takes them."""

    @property
    def unit(self) -> str:
        """What an item is, in a word."""

    @property
    def kinds(self) -> int:
        """Frames that a group needs for all that the codec can do."""

    @property
    def whole(self) -> bool:
        """Whether items are measured whole, as published curves are."""

    def resolve(self, data: str) -> Dataset:
        """The data set of that name or path; DataError where there is none."""

    def label(self, data: str) -> str:
        """A data set's name and how it is coded: what rows of one file must share."""

    def size(self, path: Path) -> tuple[int, int]:
        """(width, height) in pixels."""

    def build(self, config: Configuration, model: nn.Module) -> Any:
        """The codec of a configuration, for `compress` and `decompress`."""

    def groups(self, paths: Sequence[Path]) -> Iterator[list[Tensor]]:
        """Items of one size, coded together: groups of frames, (B, 3, H, W) in [0, 1]."""

    def compress(self, codec: Any, frames: list[Tensor]) -> tuple[Any, Any]:
        """Strings, nested in lists and dicts with one per item in the innermost, and shapes."""

    def decompress(self, codec: Any, strings: Any, shapes: Any) -> list[Tensor]:
        """The group's frames again, (B, 3, H, W)."""


@dataclass(frozen=True)
class Images:
    """Still images, several of which may be coded together."""

    unit: ClassVar[str] = "image"
    kinds: ClassVar[int] = 1
    whole: ClassVar[bool] = True

    def resolve(self, data: str) -> Dataset:
        return datasets.resolve(data)

    def label(self, data: str) -> str:
        return data

    def size(self, path: Path) -> tuple[int, int]:
        return image_size(path)

    def build(self, config: Configuration, model: nn.Module) -> Any:
        return config.build(model)

    def groups(self, paths: Sequence[Path]) -> Iterator[list[Tensor]]:
        yield [torch.cat([read_image(path) for path in paths])]

    def compress(self, codec: Any, frames: list[Tensor]) -> tuple[Any, Any]:
        [x] = frames
        out = codec.compress(x)
        return out["strings"], out["shape"]

    def decompress(self, codec: Any, strings: Any, shapes: Any) -> list[Tensor]:
        return [codec.decompress(strings, shapes)["x_hat"]]


@dataclass(frozen=True)
class Clips:
    """Clips, one at a time, in groups of pictures.

    Args:
        gop: frames from one key frame to the next.
        frames: at most so many of each clip, the first; None: all.
        ahead: choose step sizes of the shift with the next frame in view.
        parts: what configurations apply to; None: `latentopt.wrap`'s choice.
    """

    gop: int = DEFAULT_GOP
    frames: int | None = None
    ahead: bool = False
    parts: tuple[str, ...] | None = None

    unit: ClassVar[str] = "clip"
    kinds: ClassVar[int] = 2

    def __post_init__(self) -> None:
        for name, value in (("gop", self.gop), ("frames", self.frames)):
            if value is not None and value < 1:
                raise InputError(f"{name} {value}: must be at least 1")
        unknown = set(self.parts or ()) - set(PARTS)
        if unknown or self.parts == ():
            named = f"unknown part {min(unknown)!r}" if unknown else "no part"
            raise InputError(f"parts: {named}; choose of {', '.join(PARTS)}")

    @property
    def whole(self) -> bool:
        return self.frames is None

    def resolve(self, data: str) -> Dataset:
        return clipsets.resolve(data)

    def label(self, data: str) -> str:
        """
        >>> Clips(frames=16, parts=("residual", "image")).label("video")
        'video/gop8/frames16/image+residual'
        """
        words = [data, f"gop{self.gop}"]
        words += [f"frames{self.frames}"] if self.frames else []
        words += ["ahead"] if self.ahead else []
        words += ["+".join(p for p in PARTS if p in self.parts)] if self.parts else []
        return "/".join(words)

    def size(self, path: Path) -> tuple[int, int]:
        with open_clip(path) as clip:
            return clip.format.width, clip.format.height

    def build(self, config: Configuration, model: nn.Module) -> Any:
        if config.is_baseline:
            return VideoBaseline(model)
        return config.wrap(model, parts=self.parts, ahead=Ahead() if self.ahead else None)

    def groups(self, paths: Sequence[Path]) -> Iterator[list[Tensor]]:
        [path] = paths
        with open_clip(path, count=self.frames) as clip:
            frames = iter(clip)
            while group := list(islice(frames, self.gop)):
                yield group

    def compress(self, codec: Any, frames: list[Tensor]) -> tuple[Any, Any]:
        return codec.compress(frames)

    def decompress(self, codec: Any, strings: Any, shapes: Any) -> list[Tensor]:
        return codec.decompress(strings, shapes)


class VideoBaseline:
    """CompressAI's own compress and decompress of a video codec, for frames of any size.

    Frames are padded as latentopt pads them, their size is not part of the strings: as in
    `configs.BaselineCodec`.
    """

    stride = 128
    """Pixels per element of a side latent."""

    def __init__(self, model: nn.Module) -> None:
        self._model: Any = model

    def compress(self, frames: Sequence[Tensor]) -> tuple[list[Any], Any]:
        """Strings of each frame (B, 3, H, W) in [0, 1], the first a key frame; and shapes."""
        strings, shapes = self._model.compress([padded(x, self.stride) for x in frames])
        return strings, (shapes, frames[0].shape[-2:])

    def decompress(self, strings: list[Any], shapes: Any) -> list[Tensor]:
        """Frames (B, 3, H, W) in [0, 1], cropped to the original size."""
        latent_shapes, (height, width) = shapes
        decoded = self._model.decompress(strings, latent_shapes)
        return [x_hat[..., :height, :width].clamp(0, 1) for x_hat in decoded]


def coded_bytes(strings: Any, item: int) -> int:
    """Bytes of one item in what a `Medium` compressed.

    >>> coded_bytes([[b"abc", b"d"], {"motion": [[b"ef", b""]]}], 0)
    5
    """
    parts = list(strings.values()) if isinstance(strings, Mapping) else strings
    if isinstance(parts[0], bytes):
        return len(parts[item])
    return sum(coded_bytes(part, item) for part in parts)
