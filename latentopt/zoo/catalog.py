"""All codecs by name, wherever their weights come from: published, embedded or registered."""

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from latentopt.atomic import at_home
from latentopt.bitstream.origin import METRICS
from latentopt.errors import InputError
from latentopt.zoo.embedded import EMBEDDED
from latentopt.zoo.folder import Folder
from latentopt.zoo.hub import Published
from latentopt.zoo.names import VARIABLE, VIDEO, spelling

if TYPE_CHECKING:
    from compressai.models import CompressionModel


class Source(Protocol):
    """Where codecs come from. Names are spelled canonically and belong to the source."""

    def names(self) -> tuple[str, ...]: ...

    def family(self, name: str) -> str:
        """CompressAI's name of the codec's architecture."""

    def qualities(self, name: str, metric: str = "mse") -> tuple[int, ...]: ...

    def status(self, name: str, quality: int, metric: str = "mse") -> str:
        """Where weights are, in a word; InputError where there are none of that quality."""

    def checkpoint(self, name: str, quality: int, metric: str = "mse") -> Path:
        """A file of weights, fetched if need be."""

    def lmbda(self, name: str, quality: int, metric: str = "mse") -> float | None:
        """Of lambda * 255^2 * MSE + bits per pixel, which the weights were trained for."""


def _sources() -> tuple[Source, ...]:
    """Built-in ones first: no name that a user chose hides them."""
    return (Published(), EMBEDDED, registered())


def registered() -> Folder:
    """The user's own: in $LATENTOPT_HOME, or latentopt in $XDG_DATA_HOME or ~/.local/share."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.join("~", ".local", "share")
    home = os.environ.get("LATENTOPT_HOME") or os.path.join(data, "latentopt")
    return Folder(at_home(home) / "zoo", "registered")


def names() -> tuple[str, ...]:
    """Codec names: CompressAI's, the embedded ones, the user's.

    >>> names()[:2]
    ('bmshj2018-factorized', 'bmshj2018-factorized-relu')
    """
    return tuple(dict.fromkeys(name for source in _sources() for name in source.names()))


def canonical(codec: str) -> str:
    """The zoo's spelling of ``codec``; InputError with the nearest names where there is none.

    >>> canonical("MBT2018_mean")
    'mbt2018-mean'
    """
    name, known = spelling(codec), names()
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    raise InputError(f"unknown codec {codec!r}; {hint}")


def source_of(codec: str) -> Source:
    """Where a codec comes from."""
    name = canonical(codec)
    return next(source for source in _sources() if name in source.names())


def family(codec: str) -> str:
    """CompressAI's name of a codec's architecture.

    >>> family("tiny-mbt2018-mean"), family("mbt2018-mean")
    ('mbt2018-mean', 'mbt2018-mean')
    """
    return source_of(codec).family(canonical(codec))


def architecture(codec: str) -> "type[CompressionModel]":
    """The model class of a codec name."""
    from latentopt.zoo.architectures import ARCHITECTURES

    return ARCHITECTURES[family(codec)]


def is_video(codec: str) -> bool:
    """Whether a codec takes lists of frames, each (B, 3, H, W), and not images.

    >>> is_video("tiny-ssf2020"), is_video("mbt2018-mean")
    (True, False)
    """
    return family(codec) in VIDEO


def qualities(codec: str, metric: str = "mse") -> tuple[int, ...]:
    """Qualities with weights, lowest rate first; empty where there are none.

    >>> qualities("cheng2020-attn")
    (1, 2, 3, 4, 5, 6)
    """
    _check_metric(metric)
    return source_of(codec).qualities(canonical(codec), metric)


def check_quality(codec: str, quality: int, metric: str = "mse") -> None:
    """Refuse what :func:`find` would, without fetching anything.

    Raises:
        InputError: there is no such codec, quality or metric.
    """
    _check_metric(metric)
    source_of(codec).status(canonical(codec), quality, metric)


def is_variable(codec: str) -> bool:
    """Whether one checkpoint of a codec has several qualities.

    >>> is_variable("mbt2018-mean-vbr"), is_variable("mbt2018-mean")
    (True, False)
    """
    return family(codec) in VARIABLE


def middle(codec: str) -> int | None:
    """The quality to take where none is named: that in the middle, the higher of two; or None.

    >>> middle("tiny-mbt2018-mean"), middle("bmshj2018-factorized-relu")
    (3, None)
    """
    known = qualities(codec)
    return known[len(known) // 2] if known else None


def find(codec: str, quality: int, metric: str = "mse") -> Path:
    """The file with a codec's weights, downloaded if need be.

    Raises:
        InputError: there is no such codec, quality or metric.
        WeightsError: the file is missing or damaged and cannot be downloaded.
    """
    _check_metric(metric)
    return source_of(codec).checkpoint(canonical(codec), quality, metric)


def lmbda(codec: str, quality: int, metric: str = "mse") -> float | None:
    """Lambda of lambda * 255^2 * MSE + bits per pixel, which weights were trained for, if known.

    >>> lmbda("mbt2018-mean", 3), lmbda("mbt2018-mean", 3, "ms-ssim")
    (0.0067, None)
    """
    _check_metric(metric)
    return source_of(codec).lmbda(canonical(codec), quality, metric)


def _check_metric(metric: str) -> None:
    if metric not in METRICS:
        raise InputError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
