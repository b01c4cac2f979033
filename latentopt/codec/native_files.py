"""Files that the script ``examples/codec.py`` of CompressAI decodes."""

from dataclasses import dataclass

from compressai.ops import compute_padding
from compressai.zoo import models
from torch import Tensor, nn

from latentopt.bitstream import Origin
from latentopt.bitstream.compressai_file import Head
from latentopt.errors import BitstreamError, InputError

_METRICS = ("mse", "ms-ssim")


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
        if self.codec not in numbers or self.metric not in _METRICS:
            raise InputError(
                f"CompressAI's files have no number for {self.codec!r}, {self.metric}: its zoo has "
                f"{', '.join(numbers)}"
            )
        metric = _METRICS.index(self.metric)
        return Head(numbers.index(self.codec), metric, self.quality, *size)

    @staticmethod
    def of(head: Head) -> "Label":
        """The mirror of :meth:`head`.

        Raises:
            BitstreamError: there is no model of that number, in this version of CompressAI.
        """
        numbers = list(models)
        if head.model >= len(numbers) or head.metric >= len(_METRICS):
            raise BitstreamError(
                f"model {head.model}, metric {head.metric}: this is no file of CompressAI's "
                "examples/codec.py, or one of another version's"
            )
        return Label(numbers[head.model], head.quality, _METRICS[head.metric])


def sure(label: Label | None, origin: Origin | None) -> Label:
    """A label that was given, or what the origin says; InputError where neither is.

    An embedded codec is labelled as its architecture, as whose its weights are loaded.
    """
    if label is None and origin and origin.quality and origin.step == 1:
        return Label(origin.codec.removeprefix("tiny-"), origin.quality, origin.metric)
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
