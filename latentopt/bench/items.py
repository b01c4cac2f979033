"""What the harness can measure, images and clips: how they are found, read and coded.

Both are groups of frames to the harness: an image is one group of one frame, a clip has a group for
each of its key frames, and groups do not depend on each other.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from latentopt.bench import clipsets, datasets
from latentopt.bench.codecs import (
    BaselineCodec,
    Coder,
    VideoBaseline,
    clip_coder,
    image_coder,
)
from latentopt.bench.configs import Configuration
from latentopt.bench.datasets import Dataset
from latentopt.bench.options import DEFAULT_GOP, PARTS
from latentopt.codec.native import NativeCodec
from latentopt.codec.native_video import NativeVideoCodec
from latentopt.codec.recipe import Recipe
from latentopt.codec.wrap import wrap_image, wrap_video
from latentopt.encoder import Ahead
from latentopt.errors import InputError
from latentopt.media.clips import open_clip
from latentopt.media.images import read_samples
from latentopt.media.rgb import image_size


@dataclass(frozen=True)
class Item:
    """One image or clip of a data set."""

    name: str
    path: Path
    size: tuple[int, int]
    """(width, height) in pixels."""
    sha256: str = ""
    """First digits of the SHA-256 of its file."""


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

    def groups(self, paths: Sequence[Path]) -> Iterator[list[Tensor]]:
        """Items of one size, coded together: groups of frames, (B, 3, H, W) in [0, 1]."""

    def coder(self, config: Configuration, model: nn.Module) -> Coder:
        """What codes such groups as a configuration says."""


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

    def groups(self, paths: Sequence[Path]) -> Iterator[list[Tensor]]:
        yield [torch.cat([read_samples(path) for path in paths])]

    def coder(self, config: Configuration, model: nn.Module) -> Coder:
        if config.recipe is None:
            return image_coder(BaselineCodec(model))
        codec = wrap_image(model, config.recipe)
        if isinstance(codec, NativeCodec):  # whose strings do not tell the size either
            return image_coder(BaselineCodec(codec, stride=1))
        return image_coder(codec)


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
            if value is not None and not 1 <= value <= sys.maxsize:
                raise InputError(f"{name} {value}: must be at least 1, and no more than a clip has")
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

    def groups(self, paths: Sequence[Path]) -> Iterator[list[Tensor]]:
        [path] = paths
        with open_clip(path, count=self.frames) as clip:
            frames = iter(clip)
            while group := list(islice(frames, self.gop)):
                yield group

    def coder(self, config: Configuration, model: nn.Module) -> Coder:
        if config.recipe is None:
            return clip_coder(VideoBaseline(model))
        codec = wrap_video(model, self.extended(config.recipe))
        if isinstance(codec, NativeVideoCodec):
            return clip_coder(VideoBaseline(codec))
        return clip_coder(codec)

    def extended(self, recipe: Recipe) -> Recipe:
        """A recipe with what these clips say of it; groups are cut here, so that is not the gop."""
        return recipe.but(parts=self.parts, ahead=Ahead() if self.ahead else None)
