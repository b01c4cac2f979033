"""A video codec that writes what the model's own decoder reads, as :mod:`latentopt.codec.native`.

Each frame is searched with the reference that the decoder will have: it is the model's own coder
that says what the frame before was decoded to.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, BinaryIO, Protocol

import torch
from torch import Tensor, nn

from latentopt.adapters import Reference, VideoAdapter
from latentopt.bitstream import Origin
from latentopt.bitstream.compressai_file import Body, Head, check_end, count_bytes, read_count
from latentopt.codec.clip_files import Watch
from latentopt.codec.formats import NATIVE
from latentopt.codec.frames import KEY_PART, check_frame
from latentopt.codec.image import Codec
from latentopt.codec.native import is_same, stacked
from latentopt.codec.native_files import (
    Label,
    check_grid,
    check_label,
    framed,
    label_of,
    latent_pixels,
    readable,
    sure,
    unframed,
)
from latentopt.codec.own_coder import Given, renew_tables, with_parts
from latentopt.codec.recipe import Recipe
from latentopt.codec.synthesis import finite
from latentopt.codec.video import Shape, Strings, VideoCodec, clips_of
from latentopt.encoder.ahead import Frame
from latentopt.errors import BitstreamError, InputError


class _VideoModel(Protocol):
    """What this needs of CompressAI's ``ScaleSpaceFlow``."""

    def encode_keyframe(self, x: Tensor) -> tuple[Tensor, dict[str, Any]]: ...

    def encode_inter(self, x_cur: Tensor, x_ref: Tensor) -> tuple[Tensor, dict[str, Any]]: ...

    def decode_keyframe(self, strings: Strings, shape: Shape) -> Tensor: ...

    def decode_inter(self, x_ref: Tensor, strings: Strings, shapes: Shape) -> Tensor: ...

    def decompress(self, strings: Sequence[Strings], shapes: Sequence[Shape]) -> list[Tensor]: ...


class NativeVideoCodec(VideoCodec):
    """A wrapped video codec whose strings are the model's own; a clip has one key frame, its first.

    ``compress`` and ``decompress`` are those of ``ScaleSpaceFlow``. Frames of any size are padded
    at the right and at the bottom, and decoded with that padding.

    Args:
        codecs, searched, recipe, origin: see :class:`VideoCodec`.
        model: the whole of which the codecs are parts.
        adapter: its own, which knows where they are.
    """

    def __init__(
        self,
        codecs: Mapping[str, Codec],
        searched: Sequence[str],
        recipe: Recipe,
        origin: Origin | None,
        model: nn.Module,
        adapter: VideoAdapter,
    ):
        super().__init__(codecs, searched, recipe, origin)
        assert adapter.places is not None, "make_ready refuses such models"
        self.model: Any = model
        self._places = dict(adapter.places)  # pickles
        self.label: Label | None = label_of(origin)
        """As :attr:`NativeCodec.label`."""

    def __repr__(self) -> str:
        what = f"{self.recipe.summary} of {', '.join(self.searched) or 'nothing'}"
        name = self.origin or type(self.model).__qualname__
        return f"NativeVideoCodec({name}; {what}; format {NATIVE})"

    # -- the verbs of ScaleSpaceFlow ---------------------------------------------------------------

    @torch.no_grad()
    def compress(self, frames: Sequence[Tensor]) -> tuple[list[Strings], list[Shape]]:
        """Encode clips; strings and shapes of each frame as ``ScaleSpaceFlow`` returns them.

        Args:
            frames: of one or several clips, each (B, 3, H, W) in [0, 1], of any size.

        Raises:
            InputError: ``frames`` are not such a list.
        """
        coded = [[out for _, out, _ in self._coded(clip)] for clip in clips_of(frames)]
        strings = [_merged([out["strings"] for out in per_clip]) for per_clip in zip(*coded)]
        return strings, [out["shape"] for out in coded[0]]

    @torch.no_grad()
    def decompress(self, strings: Sequence[Strings], shapes: Sequence[Shape]) -> list[Tensor]:
        """What the model's own ``decompress`` returns: frames (B, 3, H, W), padding included.

        Raises:
            BitstreamError: the strings are not those of such frames and this codec.
        """
        if not strings or len(strings) != len(shapes):
            raise BitstreamError("expected strings and shapes of as many frames")
        images: list[Tensor] = []
        for frame, shape in zip(strings, shapes):
            named = self._by_part(frame)
            of_part = dict(shape) if isinstance(shape, Mapping) else dict.fromkeys(named, shape)
            if set(of_part) != set(named) or (KEY_PART in named) != (not images):
                raise BitstreamError("expected a key frame, then strings and shapes of parts")
            images.append(self._decoded(named, of_part, images[-1] if images else None))
        return images

    def _decoded(
        self,
        strings: Mapping[str, Sequence[Sequence[bytes]]],
        shapes: Mapping[str, Sequence[int]],
        reference: Tensor | None,
    ) -> Tensor:
        """A frame of the model's own decoder, which must not see what its encoder cannot write."""
        safe = {
            n: readable(strings[n], latent_pixels(shapes[n], self._stride, self.max_pixels))
            for n in strings
        }
        if reference is None:
            return self.model.decode_keyframe(safe[KEY_PART], shapes[KEY_PART])
        return self.model.decode_inter(reference, safe, dict(shapes))

    def _coded(
        self, frames: Iterable[Tensor], clamped: bool = False
    ) -> Iterator[tuple[Tensor, dict[str, Any], Tensor]]:
        """Each frame (1, 3, H, W) of a clip, the coder's output, and what it decodes to.

        ``clamped``: frames are predicted from pixels in [0, 1], as CompressAI's script does it.
        """
        reference = None
        for x in frames:
            known = None if reference is None else Reference(reference)
            frame, _ = self.frames.encode_frame(x, known)
            padded = self._part(KEY_PART).padded(x.to(next(self.model.parameters())))
            out, image = self._by_own_coder(frame, padded, reference)
            reference = image.clamp(0, 1) if clamped else image
            yield x, out, reference

    def _by_own_coder(
        self, frame: Frame, x: Tensor, reference: Tensor | None
    ) -> tuple[dict[str, Any], Tensor]:
        """Strings and shape of a frame, and what it is decoded to; plain where that is not it."""
        latents = {n: stacked(self._part(n).assembly, [[c] for c in frame[n]]) for n in frame}
        given: dict[str, nn.Module] = {}
        for name, own in latents.items():
            given |= dict(zip(self._places[name].analyses, map(Given, own)))
        out, image = _encoded(with_parts(self.model, given), x, reference)
        if all(self._is_decoded(name, out, own[0]) for name, own in latents.items()):
            return out, image
        return _encoded(self.model, x, reference)

    def _is_decoded(self, name: str, out: Mapping[str, Any], y_hat: Tensor) -> bool:
        """Whether the model's own decoder gets a part's latent."""
        strings, shape = out["strings"], out["shape"]
        if name != KEY_PART:
            strings, shape = strings[name], shape[name]
        prior, _, _ = self._places[name].analyses[1].rpartition(".")
        hyperprior = self.model.get_submodule(prior)
        return all(is_same(hyperprior.decompress(strings, shape), y_hat))

    # -- files, in the layout of CompressAI's examples/codec.py ------------------------------------

    def _write(
        self,
        file: BinaryIO,
        frames: Iterable[Tensor],
        rate: Fraction,
        done: Callable[[int], object],
        watch: Watch | None,
    ) -> tuple[int, int]:
        """As :class:`VideoCodec` has it, but such a file has no room for the ``rate``.

        Raises:
            InputError: also where :attr:`label` is None.
        """
        label, clip = sure(self.label), _Clip(frames, self._stride)
        bodies = []
        for x, out, image in self._coded(clip, clamped=True):
            bodies.append(_body_bytes(out))
            done(len(bodies[-1]))
            if watch:
                watch(unframed(x, clip.size), unframed(image, clip.size))
        head = label.head(clip.size).to_bytes()
        size = sum(file.write(data) for data in (head, count_bytes(len(bodies)), *bodies))
        return size, len(bodies)

    def _read(self, file: BinaryIO) -> Iterator[Tensor]:
        """The mirror of :meth:`_write`, and of CompressAI's own script."""
        head = Head.read(file)
        check_label(self.label, head)
        size, reference = self._check_size((head.height, head.width)), None
        grid = self._part(KEY_PART).assembly.grid(size)
        for _ in range(read_count(file)):
            bodies = {n: Body.read(file) for n in self.frames.names(is_key=reference is None)}
            for name, body in bodies.items():
                check_grid(body, grid)
                self._part(name).check_strings(body.lists)
            strings = {name: body.lists for name, body in bodies.items()}
            image = self._decoded(strings, dict.fromkeys(bodies, grid), reference)
            reference = finite(image).clamp(0, 1)
            yield unframed(reference, size)
        check_end(file)

    @property
    def _stride(self) -> int:
        return self._part(KEY_PART).assembly.adapter.stride

    def update(self, *args: object, force: bool = False, **kwargs: object) -> bool:
        """The model's own ``update``, and what follows from its tables."""
        if force:
            renew_tables(self.model)
        return super().update(*args, force=force, **kwargs)


class _Clip:
    """Frames as the script has them, and their size before, once there is one."""

    def __init__(self, frames: Iterable[Tensor], stride: int):
        self._frames, self._stride = frames, stride
        self._shape: torch.Size | None = None

    def __iter__(self) -> Iterator[Tensor]:
        for x in self._frames:
            self._shape = check_frame(x, self._shape)
            yield framed(x, self._stride)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W); InputError where there was no frame."""
        if self._shape is None:
            raise InputError("there is no frame to code")
        return self._shape[-2], self._shape[-1]


def _encoded(
    model: _VideoModel, x: Tensor, reference: Tensor | None
) -> tuple[dict[str, Any], Tensor]:
    if reference is None:
        image, out = model.encode_keyframe(x)
    else:
        image, out = model.encode_inter(x, reference)
    return out, image


def _merged(strings: Sequence[Any]) -> Strings:
    """The strings of a frame in several clips as those of a batch."""
    if isinstance(strings[0], Mapping):
        return {name: _lists_of([part[name] for part in strings]) for name in strings[0]}
    return _lists_of(strings)


def _lists_of(clips: Sequence[Sequence[Sequence[bytes]]]) -> list[list[bytes]]:
    return [[string for [string] in latent] for latent in zip(*clips)]


def _body_bytes(out: Mapping[str, Any]) -> bytes:
    strings, shape = out["strings"], out["shape"]
    if isinstance(strings, Mapping):
        return b"".join(Body.of(strings[name], shape[name]).to_bytes() for name in strings)
    return Body.of(strings, shape).to_bytes()
