"""The wrapped video codec, with the interface of CompressAI's; its loop is in frames.py."""

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from io import BytesIO
from typing import BinaryIO, Self, TypedDict

import torch
from torch import Tensor, nn

from latentopt.atomic import reading, writing_whole
from latentopt.bitstream import Header, Origin
from latentopt.bitstream.fields import version_of
from latentopt.codec.assembly import Assembly, joint_hash
from latentopt.codec.clip_files import ClipFiles, Watch, strings_of
from latentopt.codec.encode import check_images
from latentopt.codec.extra_state import Checked
from latentopt.codec.frames import KEY_PART, Frames, pictures
from latentopt.codec.frames import Strings as FrameStrings
from latentopt.codec.image import Codec
from latentopt.codec.recipe import Recipe
from latentopt.encoder.ahead import Frame
from latentopt.errors import BitstreamError, InputError

Strings = Sequence[Sequence[bytes]] | Mapping[str, Sequence[Sequence[bytes]]]
"""Of a key frame, lists of one string per clip; of a predicted one, such lists by part."""
Shape = Sequence[int] | Mapping[str, Sequence[int]]
"""Of a key frame, the images' (H, W); of a predicted one, the same by part."""


class VideoOutput(TypedDict):
    """What ``forward`` returns."""

    x_hat: list[Tensor]
    """Frames (B, 3, H, W) in [0, 1]."""
    likelihoods: list[dict[str, dict[str, Tensor]]]
    """Of each frame, by part and latent."""


class VideoCodec(Checked):
    """A wrapped video codec, with the interface of CompressAI's own. Made by `latentopt.wrap`.

    Args:
        codecs: of each of the model's parts, the key frame's first.
        searched: names of the parts that have lattice and shift.
        recipe: what was asked for, with how frames follow each other.
        origin: where the model comes from, for the headers of files; None: they do not say.
    """

    def __init__(
        self,
        codecs: Mapping[str, Codec],
        searched: Sequence[str],
        recipe: Recipe,
        origin: Origin | None = None,
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(codecs)
        self.searched = tuple(searched)
        self.recipe = recipe
        self.register_load_state_dict_pre_hook(_check_parts)
        self._origin, self._named = origin, self._hashes[0]

    @property
    def origin(self) -> Origin | None:
        """Where the model comes from, as files say it; None where that is not known."""
        return self._origin if self._hashes[0] == self._named else None

    def __repr__(self) -> str:
        name = self.origin or "a model of one's own"
        settings = [codec.settings for codec in self._codecs.values()]
        version = version_of(settings, self.origin)
        what = f"{self.recipe.summary} of {', '.join(self.searched) or 'nothing'}"
        return f"VideoCodec({name}; {what}; files of version {version})"

    # -- the three verbs of a CompressAI video codec ----------------------------------------------

    @torch.no_grad()
    def forward(self, frames: Sequence[Tensor]) -> VideoOutput:
        """Encode and decode without a bitstream.

        Args:
            frames: of one or several clips, each (B, 3, H, W) in [0, 1], of any size.

        Returns:
            ``x_hat``, a list of what :meth:`decompress` gives, and ``likelihoods``, for each frame
            a dict by part (``keyframe``, or ``motion`` and ``residual``) of dicts by latent.
        """
        clips = [list(self.encode(clip)) for clip in clips_of(frames)]
        x_hat, likelihoods = [], []
        for per_clip in zip(*clips):
            x_hat.append(pictures([image for _, image in per_clip], frames[0].shape[-2:]))
            merged = {
                _public(name): self._part(name).likelihoods([frame[name] for frame, _ in per_clip])
                for name in per_clip[0][0]
            }
            likelihoods.append(merged)
        return {"x_hat": x_hat, "likelihoods": likelihoods}

    @torch.no_grad()
    def compress(self, frames: Sequence[Tensor]) -> tuple[list[Strings], list[Shape]]:
        """Encode clips.

        Args:
            frames: of one or several clips, each (B, 3, H, W) in [0, 1], of any size.

        Returns:
            For each frame its strings, and its shapes, as CompressAI's ``ScaleSpaceFlow`` does: of
            a key frame a list of lists (main latent, side latent; one ``bytes`` per clip) and the
            images' (H, W), of a predicted one dicts of the same by part.

        Raises:
            InputError: ``frames`` are not such a list.
        """
        clips = [[strings_of(frame) for frame, _ in self.encode(clip)] for clip in clips_of(frames)]
        size = frames[0].shape[-2:]
        strings: list[Strings] = []
        shapes: list[Shape] = []
        for per_clip in zip(*clips):
            by_part = {
                name: [list(strings) for strings in zip(*(frame[name] for frame in per_clip))]
                for name in per_clip[0]
            }
            is_key = KEY_PART in by_part
            strings.append(by_part[KEY_PART] if is_key else by_part)
            shapes.append(size if is_key else dict.fromkeys(by_part, size))
        return strings, shapes

    @torch.no_grad()
    def decompress(self, strings: Sequence[Strings], shapes: Sequence[Shape]) -> list[Tensor]:
        """Decode what :meth:`compress` returned, to frames (B, 3, H, W) clipped to [0, 1].

        Raises:
            BitstreamError: the strings are not those of such frames and this codec.
        """
        if not strings or len(strings) != len(shapes) or isinstance(shapes[0], Mapping):
            raise BitstreamError("expected strings and shapes of as many frames, a key frame first")
        size = self._check_size(shapes[0])
        frames = [self._by_part(frame) for frame in strings]
        count = len(next(iter(frames[0].values()))[0])
        clips = [list(self.frames.decode(_nth(frames, i), size)) for i in range(count)]
        return [pictures(images, size) for images in zip(*clips)]

    @torch.no_grad()
    def encode(self, frames: Iterable[Tensor]) -> Iterator[tuple[Frame, Tensor]]:
        """Code the frames (1, 3, H, W) of a clip, one after the other.

        Yields each frame's latents, and what the decoder will predict from: the reconstruction
        (1, 3, H, W), padded and not clipped.
        """
        for _, frame, image in self.frames.encode(self._checked(frames)):
            yield frame, image

    # -- files -----------------------------------------------------------------------------------

    @torch.no_grad()
    def save(
        self,
        path: str | os.PathLike[str],
        frames: Iterable[Tensor],
        rate: Fraction | int = 25,
        done: Callable[[int], object] = lambda size: None,
        watch: Watch | None = None,
    ) -> tuple[int, int]:
        """Compress a clip to a file, frame by frame.

        Args:
            frames: each (1, 3, H, W) in [0, 1].
            rate: frames per second, for the header.
            done: called after each frame, with its size in bytes.
            watch: called with each frame and what will be decoded of it, (1, 3, H, W) in [0, 1].

        Returns:
            The file's size in bytes, and the number of frames.

        Raises:
            InputError: a frame is not one of such a clip, or the file cannot be written.
        """
        with writing_whole(path) as file:
            return self._write(file, frames, Fraction(rate), done, watch)

    @torch.no_grad()
    def save_bytes(
        self,
        frames: Iterable[Tensor],
        rate: Fraction | int = 25,
        done: Callable[[int], object] = lambda size: None,
        watch: Watch | None = None,
    ) -> bytes:
        """:meth:`save` to a file's content."""
        file = BytesIO()
        self._write(file, frames, Fraction(rate), done, watch)
        return file.getvalue()

    def _write(
        self,
        file: BinaryIO,
        frames: Iterable[Tensor],
        rate: Fraction,
        done: Callable[[int], object],
        watch: Watch | None,
    ) -> tuple[int, int]:
        coded = self.frames.encode(self._checked(frames))
        return self.files.write(file, coded, rate, done, watch)

    @torch.no_grad()
    def load(self, path: str | os.PathLike[str]) -> Iterator[Tensor]:
        """Decode a file that :meth:`save` wrote, frame by frame, to (1, 3, H, W).

        Raises:
            TruncatedError: after the last whole frame of a file that ends early.
            BitstreamError: the file is corrupt, or of another codec; the message says which.
            InputError: the file cannot be read.
        """
        with reading(path) as file:
            yield from self._read(file)

    @torch.no_grad()
    def load_bytes(self, data: bytes) -> Iterator[Tensor]:
        """:meth:`load` for the file's content."""
        yield from self._read(BytesIO(data))

    def strings(self, path: str | os.PathLike[str]) -> Iterator[FrameStrings]:
        """The strings of a file's frames, undecoded: of each part those of its latents.

        Raises:
            TruncatedError, BitstreamError, InputError: as :meth:`load`.
        """
        with reading(path) as file:
            yield from self._opened(file)[1]

    def _read(self, file: BinaryIO) -> Iterator[Tensor]:
        size, records = self._opened(file)
        for image in self.frames.decode(records, size):
            yield pictures([image], size)

    def _opened(self, file: BinaryIO) -> tuple[tuple[int, int], Iterator[FrameStrings]]:
        """Frames' size (H, W), and the strings of each."""
        size, records = self.files.read(file)
        return self._check_size(size), records

    def check(self, header: Header) -> None:
        """Raises BitstreamError unless a file with this header is of this codec."""
        self.files.check(header)

    @property
    def files(self) -> ClipFiles:
        """What writes and reads files, with the parts as they are now."""
        codecs = self._codecs
        settings = [codec.settings for codec in codecs.values()]
        counts = {name: codec.string_count for name, codec in codecs.items()}
        return ClipFiles(settings, self._hashes, self.origin, counts)

    @property
    def max_pixels(self) -> int:
        """The limit on the size of frames that are written and read."""
        return self._part(KEY_PART).max_pixels

    @max_pixels.setter
    def max_pixels(self, limit: int) -> None:
        for codec in self._codecs.values():
            codec.max_pixels = limit

    def _checked(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """The frames (B, 3, H, W); InputError for one that a decoder of this limit refuses."""
        for x in frames:
            self._part(KEY_PART).check_pixels(x)
            yield x

    # -- parts -----------------------------------------------------------------------------------

    @property
    def frames(self) -> Frames:
        """The loop, with the parts as they are now."""
        assemblies: dict[str, Assembly] = {n: c.assembly for n, c in self._codecs.items()}
        return Frames(assemblies, self.recipe)

    @property
    def trade(self) -> float:
        """Bits that a squared error of 1, summed over a frame's samples, is worth."""
        return self.frames.trade

    @property
    def lmbda(self) -> float:
        """What the search minimizes with: lambda * 255^2 * MSE + bits per pixel."""
        *_, last = self._codecs.values()
        return last.lmbda

    def with_lmbda(self, lmbda: float) -> Self:
        """The same codec, models and tables shared, whose search minimizes with another lambda.

        Raises:
            InputError: lambda is not a positive number.
        """
        other = copy.copy(self)
        other.recipe = self.recipe.but(lmbda=lmbda)
        parts = {name: codec.with_lmbda(lmbda) for name, codec in self._codecs.items()}
        other._modules = {**self._modules, "parts": nn.ModuleDict(parts)}
        return other

    def _part(self, name: str) -> Codec:
        codec = self.parts[name]
        assert isinstance(codec, Codec)
        return codec

    @property
    def _codecs(self) -> dict[str, Codec]:
        return {name: self._part(name) for name in self.parts}

    @property
    def _hashes(self) -> tuple[bytes, bytes]:
        """Of weights and tables of all parts."""
        pairs = zip(*(codec.identity.hashes for codec in self._codecs.values()))
        weights, tables = map(joint_hash, pairs)
        return weights, tables

    def _by_part(self, strings: Strings) -> dict[str, Sequence[Sequence[bytes]]]:
        named = dict(strings) if isinstance(strings, Mapping) else {KEY_PART: strings}
        if set(named) not in ({KEY_PART}, set(self.frames.names(is_key=False))):
            raise BitstreamError(f"a frame has the parts {', '.join(named)}: not one of this codec")
        for name, part in named.items():
            self._part(name).check_strings(part)
        return named

    def _check_size(self, shape: Sequence[int]) -> tuple[int, int]:
        return self._part(KEY_PART).check_size(shape)

    def check_state(
        self, state: Mapping[str, object], prefix: str = "", strict: bool = True
    ) -> None:
        """See :meth:`Codec.check_state`."""
        for name, part in self._codecs.items():
            part.check_state(state, f"{prefix}parts.{name}.", strict)

    def update(self, *args: object, force: bool = False, **kwargs: object) -> bool:
        """Rebuild the tables from the weights, as CompressAI's ``update`` does; True if it did."""
        return any([codec.update(force=force) for codec in self._codecs.values()])


def _check_parts(codec: VideoCodec, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Called by PyTorch: refuse a state before the first part is loaded, not after some."""
    codec.check_state(state, prefix, strict=False)  # PyTorch does not say whether it is strict


def _public(name: str) -> str:
    """CompressAI's name of a part's likelihoods."""
    return "keyframe" if name == KEY_PART else name


def clips_of(frames: Sequence[Tensor]) -> list[list[Tensor]]:
    """The clips of a batch, each a list of frames (1, 3, H, W)."""
    if not isinstance(frames, (list, tuple)) or not frames:
        raise InputError("expected a list of frames, each (B, 3, H, W)")
    for x in frames:
        check_images(x)
        if x.shape != frames[0].shape:
            shapes = f"{tuple(x.shape)} after {tuple(frames[0].shape)}"
            raise InputError(f"frames of a clip have one shape, not {shapes}")
    return [[x[i : i + 1] for x in frames] for i in range(len(frames[0]))]


def _nth(
    frames: Sequence[Mapping[str, Sequence[Sequence[bytes]]]], i: int
) -> Iterator[dict[str, list[bytes]]]:
    """The strings of clip ``i`` of a batch, frame by frame."""
    for frame in frames:
        yield {name: [strings[i] for strings in part] for name, part in frame.items()}
