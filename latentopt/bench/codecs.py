"""What the harness asks of a codec, and CompressAI's own coders as such codecs: the baselines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypedDict, TypeVar, cast

from torch import Size, Tensor, nn

from latentopt.codec.synthesis import padded

Strings = Sequence[bytes] | Sequence["Strings"] | Mapping[str, "Strings"]
"""One ``bytes`` per item, nested in as many lists and dicts as a codec has parts."""

Shape = TypeVar("Shape")
FrameStrings = TypeVar("FrameStrings", bound=Sequence[Strings])


class Compressed(TypedDict, Generic[Shape]):
    """What an image codec compresses to; the shape is its own business."""

    strings: Sequence[list[bytes]]
    """One list per latent, with one ``bytes`` per image."""
    shape: Shape


class Decompressed(TypedDict):
    """What an image codec decompresses to."""

    x_hat: Tensor
    """(B, 3, H, W)."""


class ImageCodec(Protocol[Shape]):
    """CompressAI's verbs of an image codec, for images (B, 3, H, W) in [0, 1]."""

    def compress(self, x: Tensor) -> Compressed[Shape]: ...

    def decompress(self, strings: Sequence[list[bytes]], shape: Shape) -> Decompressed: ...


class ClipCodec(Protocol[FrameStrings, Shape]):
    """CompressAI's verbs of a video codec, for frames (B, 3, H, W) in [0, 1], a key frame first."""

    def compress(self, frames: Sequence[Tensor]) -> tuple[FrameStrings, Shape]: ...

    def decompress(self, strings: FrameStrings, shapes: Shape) -> Sequence[Tensor]: ...


@dataclass(frozen=True)
class CodedGroup:
    """A group of frames as coded."""

    strings: Strings
    decode: Callable[[], Sequence[Tensor]]
    """The frames again, (B, 3, H, W): from the strings and the codec's shapes alone."""


Coder = Callable[[Sequence[Tensor]], CodedGroup]
"""How the harness sees every codec: it codes a group of frames, (B, 3, H, W) in [0, 1]."""


def image_coder(codec: ImageCodec[Shape]) -> Coder:
    """A codec of images as a coder of groups of one frame."""

    def code(frames: Sequence[Tensor]) -> CodedGroup:
        [x] = frames
        out = codec.compress(x)
        strings, shape = out["strings"], out["shape"]
        return CodedGroup(strings, lambda: [codec.decompress(strings, shape)["x_hat"]])

    return code


def clip_coder(codec: ClipCodec[FrameStrings, Shape]) -> Coder:
    """A codec of video as a coder of groups that a key frame begins."""

    def code(frames: Sequence[Tensor]) -> CodedGroup:
        strings, shapes = codec.compress(frames)
        return CodedGroup(strings, lambda: codec.decompress(strings, shapes))

    return code


def coded_bytes(strings: Strings, item: int) -> int:
    """Bytes of one item in what a codec compressed.

    >>> coded_bytes([[b"abc", b"d"], {"motion": [[b"ef", b""]]}], 0)
    5
    """
    if isinstance(strings, Mapping):
        return sum(coded_bytes(part, item) for part in strings.values())
    nested = [part for part in strings if not isinstance(part, bytes)]
    return sum(coded_bytes(part, item) for part in nested) if nested else len(strings[item])


class _ImageModel(ImageCodec[object], Protocol):
    downsampling_factor: int


class BaselineCodec:
    """CompressAI's own compress and decompress, for images of any size.

    The image is padded as latentopt pads it (replicated, right and bottom), so that both code the
    same samples; its size is not part of the strings, here as there.

    Args:
        stride: what images are padded to a multiple of; None: the model's own, 1: it pads itself.
    """

    def __init__(self, model: nn.Module, stride: int | None = None) -> None:
        self._model = cast(_ImageModel, model)
        self._stride = stride or self._model.downsampling_factor

    def compress(self, x: Tensor) -> Compressed[tuple[object, Size]]:
        """``strings`` and ``shape`` of images (B, 3, H, W) in [0, 1]."""
        out = self._model.compress(padded(x, self._stride))
        return {"strings": out["strings"], "shape": (out["shape"], x.shape[-2:])}

    def decompress(
        self, strings: Sequence[list[bytes]], shape: tuple[object, Size]
    ) -> Decompressed:
        """``x_hat`` (B, 3, H, W), cropped to the original size."""
        latent_shape, (height, width) = shape
        x_hat = self._model.decompress(strings, latent_shape)["x_hat"]
        return {"x_hat": x_hat[..., :height, :width]}


class VideoBaseline:
    """CompressAI's own compress and decompress of a video codec, for frames of any size.

    Frames are padded as latentopt pads them, their size is not part of the strings: as in
    `BaselineCodec`.
    """

    stride = 128
    """Pixels per element of a side latent."""

    def __init__(self, model: nn.Module) -> None:
        self._model = cast(ClipCodec[list[Strings], object], model)

    def compress(self, frames: Sequence[Tensor]) -> tuple[list[Strings], tuple[object, Size]]:
        """Strings of each frame (B, 3, H, W) in [0, 1], the first a key frame; and shapes."""
        strings, shapes = self._model.compress([padded(x, self.stride) for x in frames])
        return strings, (shapes, frames[0].shape[-2:])

    def decompress(self, strings: list[Strings], shapes: tuple[object, Size]) -> list[Tensor]:
        """Frames (B, 3, H, W) in [0, 1], cropped to the original size."""
        latent_shapes, (height, width) = shapes
        decoded = self._model.decompress(strings, latent_shapes)
        return [x_hat[..., :height, :width].clamp(0, 1) for x_hat in decoded]
