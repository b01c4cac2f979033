"""Files that the script ``examples/codec.py`` of CompressAI decodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from compressai.ops import compute_padding
from compressai.zoo import models
from torch import Tensor, nn

from latentopt.bitstream import Origin
from latentopt.bitstream.compressai_file import METRICS, Body, Head
from latentopt.errors import BitstreamError, InputError

_LEAST_STRING, _WORD = 8, 4  # bytes of an empty string's state, and of which all are multiples
_SLACK = 4  # bytes for each pixel, more than latents have elements


@dataclass(frozen=True)
class Label:
    """How CompressAI calls a model, which is all that its files say of one."""

    codec: str
    quality: int
    metric: str = "mse"

    def __str__(self) -> str:
        return f"{self.codec} quality {self.quality}, {self.metric}"

    def head(self, size: tuple[int, int]) -> Head:
        """The start of a file of images (H, W).

        Raises:
            InputError: CompressAI's zoo has no such model, and so its files no number for it.
        """
        numbers = list(models)
        if self.codec not in numbers or self.metric not in METRICS:
            raise InputError(
                f"CompressAI's files have no number for {self.codec!r}, {self.metric}: its zoo has "
                f"{', '.join(numbers)}"
            )
        metric = METRICS.index(self.metric)
        return Head(numbers.index(self.codec), metric, self.quality, *size)

    @staticmethod
    def of(head: Head) -> "Label":
        """The mirror of :meth:`head`.

        Raises:
            BitstreamError: there is no model of that number, in this version of CompressAI.
        """
        numbers = list(models)
        if head.model >= len(numbers) or head.metric >= len(METRICS):
            raise BitstreamError(
                f"model {head.model}, metric {head.metric}: this is no file of CompressAI's "
                "examples/codec.py, or one of another version's"
            )
        return Label(numbers[head.model], head.quality, METRICS[head.metric])


def label_of(origin: Origin | None) -> Label | None:
    """What an origin says, where CompressAI's zoo has such a model.

    An embedded codec is labelled as its architecture, as whose its weights are loaded.
    """
    if origin is None or origin.quality is None or origin.step != 1:
        return None
    name = origin.codec.removeprefix("tiny-").removeprefix("small-")
    return Label(name, origin.quality, origin.metric) if name in models else None


def sure(label: Label | None) -> Label:
    """The label of a codec that shall write a file; InputError where it has none."""
    if label is None:
        raise InputError(
            "CompressAI's files name the model: set codec.label to a Label(codec, quality, metric)"
        )
    return label


def check_label(label: Label | None, head: Head) -> None:
    """Raises BitstreamError where a file is of another model than a codec is said to be."""
    found = Label.of(head)
    if label is not None and found != label:
        raise BitstreamError(f"written with {found}, not {label}: name the model of the file")


def check_grid(body: Body, grid: tuple[int, int]) -> None:
    """Raises BitstreamError unless a body is of images whose deepest latent is (h, w)."""
    if tuple(body.shape) != grid:
        raise BitstreamError(f"corrupt: latents of {tuple(body.shape)} are not of such an image")


def latent_pixels(shape: object, stride: int, most: int) -> int:
    """Pixels of the image of a latent's shape (h, w); 0 where that is a mapping, as trees have it.

    Raises:
        BitstreamError: it is no shape of a latent, or of an image of more pixels than ``most``.
    """
    if isinstance(shape, Mapping):
        return 0
    if not isinstance(shape, Sequence) or len(shape) != 2:
        raise BitstreamError(f"shape {shape!r} is not the height and width of a latent")
    rows, columns = map(int, shape)
    pixels = rows * columns * stride**2
    if min(rows, columns) < 1 or pixels > most:
        raise BitstreamError(
            f"a latent of {columns}x{rows} is outside 1 … {most} pixels: it is corrupt, or raise "
            "codec.max_pixels"
        )
    return pixels


def readable(strings: Sequence[Sequence[bytes]], pixels: int) -> list[list[bytes]]:
    """Strings of each latent with zeros behind them, for images of so many pixels.

    CompressAI's decoder reads past the end of corrupt ones.

    Raises:
        BitstreamError: one is shorter than what its encoder writes of nothing.
    """
    for string in chain.from_iterable(strings):
        if len(string) < _LEAST_STRING or len(string) % _WORD:
            raise BitstreamError(
                f"truncated: a string of {len(string)} bytes is none of CompressAI's"
            )
    behind = bytes(_SLACK * pixels)
    return [[string + behind for string in latent] for latent in strings]


def framed(x: Tensor, stride: int) -> Tensor:
    """Images in the middle of ones whose sides are multiples of a stride, as the script has it.

    Where it puts zeros the edge is repeated, which costs less.
    """
    pad, _ = compute_padding(*x.shape[-2:], min_div=stride)
    return nn.functional.pad(x, pad, mode="replicate") if any(pad) else x


def unframed(x_hat: Tensor, size: tuple[int, int]) -> Tensor:
    """The mirror of :func:`framed`, for images (H, W)."""
    height, width = x_hat.shape[-2:]
    if height < size[0] or width < size[1]:
        raise BitstreamError(f"{width}x{height} pixels for an image of {size[1]}x{size[0]}")
    _, unpad = compute_padding(*size, out_h=height, out_w=width)
    return nn.functional.pad(x_hat, unpad).clamp(0, 1).contiguous()
