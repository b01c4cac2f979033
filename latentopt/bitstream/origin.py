"""Where the model of a codec comes from, as a file's header says it in a few bytes."""

import math
import re
from dataclasses import dataclass

from latentopt.bitstream.strings import float_bytes, leb128, read_float, read_leb128
from latentopt.errors import BitstreamError, InputError

CODECS = (
    "bmshj2018-factorized",
    "bmshj2018-factorized-relu",
    "bmshj2018-hyperprior",
    "mbt2018-mean",
    "mbt2018",
    "cheng2020-anchor",
    "cheng2020-attn",
    "ssf2020",
    "tiny-bmshj2018-factorized",
    "tiny-mbt2018-mean",
    "tiny-mbt2018",
    "tiny-cheng2020-attn",
    "tiny-ssf2020",
    "bmshj2018-hyperprior-vbr",
    "mbt2018-mean-vbr",
    "mbt2018-vbr",
    "tiny-ohm",
    "tiny-ohm-digits",
    "small-mbt2018-mean",
    "small-mbt2018",
    "small-bmshj2018-factorized",
    "small-cheng2020-attn",
)
"""By their number in the bitstream; new names come at the end, and none is ever taken out."""

METRICS = ("mse", "ms-ssim")
"""What weights were trained for, by their number in the bitstream."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")
_SHORT = 0x80  # qualities below it share their byte with the metric


@dataclass(frozen=True)
class Origin:
    """The weights of a codec by name: what `latentopt.zoo.load` takes, and a step.

    >>> print(Origin("tiny-mbt2018-mean", 3, step=2))
    tiny-mbt2018-mean quality 3, step 2
    """

    codec: str
    quality: int | None = None
    """None: weights of one's own, of the architecture that is called ``codec``."""
    metric: str = "mse"
    step: float = 1.0
    """What the codec's quantization step was multiplied by, see `latentopt.adapters.with_step`."""

    def __str__(self) -> str:
        which = "weights of your own" if self.quality is None else f"quality {self.quality}"
        metric = "" if self.metric == METRICS[0] else f", {self.metric}"
        return f"{self.codec} {which}{metric}" + ("" if self.step == 1 else f", step {self.step:g}")

    def names(self) -> bytes:
        """Codec, quality and metric: two bytes for what :data:`CODECS` has, else with the name.

        Raises:
            InputError: no reader would take them.
        """
        quality, metric = self.quality or 0, METRICS.index(self.metric)
        if self.is_short:
            return bytes([CODECS.index(self.codec), quality | metric << 7])
        if not _NAME.fullmatch(self.codec) or quality >> 32:
            raise InputError(f"codec {self.codec!r} {quality}: a header cannot hold such a name")
        return leb128(quality << 1 | metric) + self.codec.encode()

    @property
    def is_short(self) -> bool:
        """Whether :meth:`names` are two bytes."""
        return self.codec in CODECS and (self.quality or 0) < _SHORT

    def step_bytes(self) -> bytes:
        """The step, exactly, in few bytes."""
        if found := float_bytes(self.step):
            return found
        raise InputError(f"step {self.step}: it must be a positive number")


def from_short(value: bytes) -> Origin:
    """The mirror of :meth:`Origin.names` where they are two bytes.

    Raises:
        BitstreamError: a codec that this latentopt does not know.
    """
    number, quality = value
    if number >= len(CODECS):
        raise BitstreamError(f"codec number {number} is unknown: written by a newer latentopt?")
    return Origin(CODECS[number], quality % _SHORT or None, METRICS[quality // _SHORT])


def from_long(value: bytes) -> Origin:
    """The mirror of :meth:`Origin.names` where they have a name.

    Raises:
        BitstreamError: they are not such.
    """
    number, start = read_leb128(value, 0)
    name = value[start:].decode("ascii", "replace")
    if not _NAME.fullmatch(name):
        raise BitstreamError("corrupt: the codec in the header has no name that a codec can have")
    return Origin(name, number >> 1 or None, METRICS[number & 1])


def read_step(value: bytes) -> float:
    """The mirror of :meth:`Origin.step_bytes`.

    Raises:
        BitstreamError: it is no positive number.
    """
    step = read_float(value)
    if not (math.isfinite(step) and step > 0):
        raise BitstreamError("corrupt: the step in the header is no positive number")
    return step
