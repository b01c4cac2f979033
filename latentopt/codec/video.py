"""The wrapped video codec: frames predicted from frames, each part an image codec of its own.

    key frame          x ─► image codec ───────────────────────────────────────────────► x_hat
                                                                                           │
    predicted frame    x ─► motion codec ─► prediction ─┬─► residual codec ─► x_hat ◄──────┘
                            ▲                           │                       │   the frame before
                            └───────── x_hat of the frame before ◄──────────────┘

Encoder and decoder share one loop, :meth:`VideoCodec._frame`, so that the encoder predicts from
what the decoder will have, shift included.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from latentopt.adapters import VideoAdapter
from latentopt.atomic import reading, writing_whole
from latentopt.bitstream import (
    KEY,
    PREDICTED,
    Header,
    Identity,
    end_record,
    frame_record,
    frame_records,
)
from latentopt.codec.image import Codec, Coded, check_images
from latentopt.codec.recipe import Recipe
from latentopt.errors import BitstreamError, InputError, TruncatedError

KEY_PART = "image"

Frame = dict[str, list[Coded]]
"""Of each part of a frame, its coded latents: main, then side."""
Strings = Sequence[Sequence[bytes]] | Mapping[str, Sequence[Sequence[bytes]]]
"""Of a key frame, lists of one string per clip; of a predicted one, such lists by part."""


class VideoCodec(nn.Module):
    """A wrapped video codec, with the interface of CompressAI's own. Made by `latentopt.wrap`.

    Args:
        adapter: the model's.
        codecs: of each of its parts, in their order.
        searched: names of the parts that have lattice and shift.
        recipe: what was asked for, with how frames follow each other.
    """

    def __init__(
        self,
        adapter: VideoAdapter,
        codecs: Mapping[str, Codec],
        searched: Sequence[str],
        recipe: Recipe,
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(codecs)
        self.searched = tuple(searched)
        self.recipe = recipe
        self._adapter = adapter

    # -- the three verbs of a CompressAI video codec ----------------------------------------------

    @torch.no_grad()
    def forward(self, frames: Sequence[Tensor]) -> dict[str, Any]:
        """Encode and decode without a bitstream.

        Args:
            frames: of one or several clips, each (B, 3, H, W) in [0, 1], of any size.

        Returns:
            ``x_hat``, a list of what :meth:`decompress` gives, and ``likelihoods``, for each frame
            a dict by part (``keyframe``, or ``motion`` and ``residual``) of dicts by latent.
        """
        clips = [list(self.encode(clip)) for clip in _clips(frames)]
        x_hat, likelihoods = [], []
        for per_clip in zip(*clips):
            x_hat.append(_pictures([image for _, image in per_clip], frames[0].shape[-2:]))
            merged = {
                _public(name): self._part(name).likelihoods([frame[name] for frame, _ in per_clip])
                for name in per_clip[0][0]
            }
            likelihoods.append(merged)
        return {"x_hat": x_hat, "likelihoods": likelihoods}

    @torch.no_grad()
    def compress(self, frames: Sequence[Tensor]) -> tuple[list[Strings], list[Any]]:
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
        clips = [[_strings(frame) for frame, _ in self.encode(clip)] for clip in _clips(frames)]
        size = frames[0].shape[-2:]
        strings: list[Strings] = []
        shapes: list[Any] = []
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
    def decompress(self, strings: Sequence[Strings], shapes: Sequence[Any]) -> list[Tensor]:
        """Decode what :meth:`compress` returned, to frames (B, 3, H, W) clipped to [0, 1].

        Raises:
            BitstreamError: the strings are not those of such frames and this codec.
        """
        if not strings or len(strings) != len(shapes) or isinstance(strings[0], Mapping):
            raise BitstreamError("expected strings and shapes of as many frames, a key frame first")
        size = self._check_size(shapes[0])
        frames = [self._by_part(frame) for frame in strings]
        count = len(next(iter(frames[0].values()))[0])
        clips = [list(self._decode(_nth(frames, i), size)) for i in range(count)]
        return [_pictures(images, size) for images in zip(*clips)]

    # -- files -----------------------------------------------------------------------------------

    @torch.no_grad()
    def save(
        self,
        path: str | os.PathLike[str],
        frames: Iterable[Tensor],
        rate: Fraction | int = 25,
        done: Callable[[int], object] = lambda size: None,
    ) -> tuple[int, int]:
        """Compress a clip to a file, frame by frame.

        Args:
            frames: each (1, 3, H, W) in [0, 1].
            rate: frames per second, for the header.
            done: called after each frame, with its size in bytes.

        Returns:
            The file's size in bytes, and the number of frames.

        Raises:
            InputError: a frame is not one of such a clip, or the file cannot be written.
        """
        with writing_whole(path) as file:
            count = size = 0
            for x, (frame, _) in self._following(frames):
                if not count:
                    size += file.write(self._header(x, Fraction(rate)).to_bytes())
                flat = tuple(string for strings in _strings(frame).values() for string in strings)
                kind = KEY if KEY_PART in frame else PREDICTED
                written = file.write(frame_record(count, kind, flat))
                count, size = count + 1, size + written
                done(written)
            if not count:
                raise InputError("there is no frame to code")
            size += file.write(end_record(count))
        return size, count

    @torch.no_grad()
    def load(self, path: str | os.PathLike[str]) -> Iterator[Tensor]:
        """Decode a file that :meth:`save` wrote, frame by frame, to (1, 3, H, W).

        Raises:
            TruncatedError: after the last whole frame of a file that ends early.
            BitstreamError: the file is corrupt, or of another codec; the message says which.
            InputError: the file cannot be read.
        """
        with reading(path) as file:
            header = Header.read(file)
            self.check(header)
            size = self._check_size((header.height, header.width))
            counts = (self._string_count(is_key=True), self._string_count(is_key=False))
            records = (self._split(*record) for record in frame_records(file, counts))
            for image in self._decode(records, size):
                yield _pictures([image], size)

    def _header(self, x: Tensor, rate: Fraction) -> Header:
        settings = tuple(codec.settings for codec in self._codecs.values())
        return Header(settings, x.shape[-1], x.shape[-2], rate, *self._hashes)

    def check(self, header: Header) -> None:
        """Raises BitstreamError unless a file with this header is of this codec."""
        ours = [codec.identity.settings for codec in self._codecs.values()]
        if len(header.settings) != len(ours):
            raise BitstreamError(f"written by a codec of {len(header.settings)} parts")
        for settings, theirs in zip(ours, header.identities):
            Identity(settings, *self._hashes).check(theirs)

    # -- the loop --------------------------------------------------------------------------------

    @torch.no_grad()
    def encode(self, frames: Iterable[Tensor]) -> Iterator[tuple[Frame, Tensor]]:
        """Code the frames (1, 3, H, W) of a clip, one after the other.

        Yields each frame's latents, and what the decoder will predict from: the reconstruction
        (1, 3, H, W), padded and not clipped.
        """
        for _, coded in self._following(frames):
            yield coded

    def _following(self, frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, tuple[Frame, Tensor]]]:
        reference, size = None, None
        for i, (x, after) in enumerate(_with_next(frames)):
            size = _check_frame(x, size)
            if self._is_key(i):
                reference = None
            coded = self.encode_frame(x, reference)
            if self.recipe.ahead and after is not None and not self._is_key(i + 1):
                coded = self.recipe.ahead.choose(self, x, after, reference, coded)
            reference = coded[1]
            yield x, coded

    def _is_key(self, i: int) -> bool:
        return i == 0 or (self.recipe.gop is not None and i % self.recipe.gop == 0)

    def encode_frame(self, x: Tensor, reference: Tensor | None) -> tuple[Frame, Tensor]:
        """Code one frame, a key frame where there is no ``reference``; as :meth:`encode`."""

        def coded(name: str, codec: Codec) -> list[Coded]:
            return [latent for [latent] in codec.encode(x).values()]

        return self._frame(reference, coded)

    def decode_frame(
        self,
        strings: Mapping[str, Sequence[bytes]],
        size: tuple[int, int],
        reference: Tensor | None,
    ) -> Tensor:
        """Decode one frame (H, W) from the strings of its parts, for one clip; as :meth:`encode`.

        ``reference`` is that of :meth:`encode_frame`, which a key frame has none of.
        """
        _, image = self._frame(reference, lambda name, codec: codec.decode(strings[name], size))
        return image

    def restate(self, frame: Frame, reference: Tensor | None) -> tuple[Frame, Tensor]:
        """The frame and its reconstruction again, for other step sizes of its last part."""
        return self._frame(reference, lambda name, codec: frame[name])

    @property
    def trade(self) -> float:
        """Bits that a squared error of 1, summed over a frame's samples, is worth."""
        *_, last = self._codecs.values()
        return last.trade

    def _decode(
        self, frames: Iterable[Mapping[str, Sequence[bytes]]], size: tuple[int, int]
    ) -> Iterator[Tensor]:
        """Reconstructions of a clip's frames, given the strings of their parts."""
        reference = None
        for strings in frames:
            if KEY_PART in strings:
                reference = None
            elif reference is None:
                raise BitstreamError("the first frame is not a key frame")
            reference = self.decode_frame(strings, size, reference)
            yield reference

    def _frame(
        self, reference: Tensor | None, coded: Callable[[str, Codec], list[Coded]]
    ) -> tuple[Frame, Tensor]:
        """One frame on either side; ``coded`` gives a part's latents, once it is conditioned."""
        frame: Frame = {}
        decoded: dict[str, Tensor] = {}
        for name in self._names(is_key=reference is None):
            codec = self._part(name)
            if reference is not None:
                self._adapter.predicted[name].condition(reference, decoded)
            frame[name] = coded(name, codec)
            decoded[name] = codec.moved(frame[name][:1])
        return frame, codec.reconstruct(decoded[name])

    # -- parts -----------------------------------------------------------------------------------

    def _part(self, name: str) -> Codec:
        codec = self.parts[name]
        assert isinstance(codec, Codec)
        return codec

    @property
    def _codecs(self) -> dict[str, Codec]:
        return {name: self._part(name) for name in self._adapter.parts}

    @property
    def _hashes(self) -> tuple[bytes, bytes]:
        """Of weights and tables of all parts."""
        pairs = zip(*(codec.identity.hashes for codec in self._codecs.values()))
        weights, tables = (hashlib.sha256(b"".join(hashes)).digest()[:4] for hashes in pairs)
        return weights, tables

    def _names(self, is_key: bool) -> list[str]:
        """The parts of a key frame, or of a predicted one, in the order of coding."""
        return [KEY_PART] if is_key else list(self._adapter.predicted)

    def _string_count(self, is_key: bool) -> int:
        return sum(self._part(name).string_count for name in self._names(is_key))

    def _split(self, kind: int, strings: Sequence[bytes]) -> dict[str, Sequence[bytes]]:
        """A record's strings by part."""
        rest = iter(strings)
        found: dict[str, Sequence[bytes]] = {}
        for name in self._names(is_key=kind == KEY):
            found[name] = [next(rest) for _ in range(self._part(name).string_count)]
        return found

    def _by_part(self, strings: Strings) -> dict[str, Sequence[Sequence[bytes]]]:
        named = dict(strings) if isinstance(strings, Mapping) else {KEY_PART: strings}
        if set(named) not in ({KEY_PART}, set(self._adapter.predicted)):
            raise BitstreamError(f"a frame has the parts {', '.join(named)}: not one of this codec")
        for name, part in named.items():
            self._part(name).check_strings(part)
        return named

    def _check_size(self, shape: Sequence[int]) -> tuple[int, int]:
        return self._part(KEY_PART).check_size(shape)

    def update(self, *args: Any, force: bool = False, **kwargs: Any) -> bool:
        """Rebuild the tables from the weights, as CompressAI's ``update`` does; True if it did."""
        return any([codec.update(force=force) for codec in self._codecs.values()])


def _public(name: str) -> str:
    """CompressAI's name of a part's likelihoods."""
    return "keyframe" if name == KEY_PART else name


def _strings(frame: Frame) -> dict[str, list[bytes]]:
    return {name: [latent.string for latent in latents] for name, latents in frame.items()}


def _clips(frames: Sequence[Tensor]) -> list[list[Tensor]]:
    """The clips of a batch, each a list of frames (1, 3, H, W)."""
    if not isinstance(frames, (list, tuple)) or not frames:
        raise InputError("expected a list of frames, each (B, 3, H, W)")
    for x in frames:
        check_images(x)
        if x.shape != frames[0].shape:
            shapes = f"{tuple(x.shape)} after {tuple(frames[0].shape)}"
            raise InputError(f"frames of a clip have one shape, not {shapes}")
    return [[x[i : i + 1] for x in frames] for i in range(len(frames[0]))]


def _check_frame(x: Tensor, size: torch.Size | None) -> torch.Size:
    check_images(x)
    if len(x) != 1 or (size is not None and x.shape != size):
        expected = tuple(size) if size is not None else "(1, 3, H, W)"
        raise InputError(f"expected a frame {expected}, got {tuple(x.shape)}")
    return x.shape


def _nth(frames: Sequence[Mapping[str, Any]], i: int) -> Iterator[dict[str, list[bytes]]]:
    """The strings of clip ``i`` of a batch, frame by frame."""
    for frame in frames:
        yield {name: [strings[i] for strings in part] for name, part in frame.items()}


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header of a video file; errors as :meth:`VideoCodec.load`."""
    with reading(path) as file:
        return Header.read(file)


def count_frames(path: str | os.PathLike[str]) -> tuple[int, int, bool]:
    """Key frames and predicted frames of a video file, and whether it is whole."""
    counts = [0, 0]
    with reading(path) as file:
        Header.read(file)
        try:
            for kind, _ in frame_records(file, (1, 1)):
                counts[kind] += 1
        except TruncatedError:
            return counts[KEY], counts[PREDICTED], False
    return counts[KEY], counts[PREDICTED], True


def _with_next(frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor | None]]:
    rest = iter(frames)
    x = next(rest, None)
    while x is not None:
        after = next(rest, None)
        yield x, after
        x = after


def _pictures(images: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """Reconstructions as (B, 3, H, W) in [0, 1], without their padding."""
    whole = torch.cat(list(images)).float().clamp(0, 1)
    return whole[..., : size[0], : size[1]].contiguous()
