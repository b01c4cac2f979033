"""Pretrained codecs by name: shipped, from CompressAI's model zoo, or from a checkpoint file."""

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentopt.bitstream.origin import Origin
from latentopt.errors import InputError
from latentopt.zoo.catalog import (
    METRICS,
    architecture,
    canonical,
    family,
    find,
    is_video,
    lmbda,
    names,
    qualities,
)

if TYPE_CHECKING:
    from compressai.models import CompressionModel

    from latentopt.zoo.checkpoint import checkpoints
    from latentopt.zoo.reader import reader_of
    from latentopt.zoo.register import add, remove
    from latentopt.zoo.writer import writer_of

__all__ = [
    "METRICS",
    "add",
    "architecture",
    "canonical",
    "checkpoints",
    "family",
    "find",
    "is_video",
    "lmbda",
    "load",
    "models",
    "names",
    "qualities",
    "reader_of",
    "remove",
    "writer_of",
]

_HOMES = {
    "add": "register",
    "checkpoints": "checkpoint",
    "reader_of": "reader",
    "remove": "register",
    "writer_of": "writer",
}


def __getattr__(name: str) -> object:
    """Import on first use: names are asked for before PyTorch, which takes seconds, is needed."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def load(
    codec: str,
    quality: int | None = None,
    weights: str | Path | None = None,
    metric: str = "mse",
) -> "CompressionModel":
    """A pretrained codec, in eval mode, its entropy tables ready.

    ``weights`` is a .pt, .pth, .pth.tar or .safetensors checkpoint and wins over ``quality``;
    without it the weights are those of ``quality``: shipped with latentopt for the ``tiny-``
    codecs, registered by the user, or else CompressAI's published ones from torch.hub's folder,
    downloaded into it on first use. Of a codec that has one quality, it need not be said.
    ``metric`` ("mse" or "ms-ssim") is what the published weights were trained for; where it is
    known for which lambda, the model's attribute ``lmbda`` says so.
    Of a variable-rate codec (``…-vbr``) ``quality`` is the rate, whosever the weights are.
    Its attribute ``origin`` says which weights these are, and with it every file that they code.

    >>> load("mbt2018-men", 1)
    Traceback (most recent call last):
    latentopt.errors.InputError: unknown codec 'mbt2018-men'; did you mean mbt2018-mean or \
mbt2018-mean-vbr or tiny-mbt2018-mean?
    """
    codec = canonical(codec)
    if weights is None and quality is None:
        quality = _only(codec, metric)
    from latentopt.zoo.checkpoint import load_checkpoint
    from latentopt.zoo.variable import at_quality

    model: Any
    if quality is None or weights is not None:
        model = load_checkpoint(Path(os.path.expanduser(str(weights))), family(codec))
        model = at_quality(model, codec, quality)
        model.origin = Origin(family(codec))
    else:
        model = load_checkpoint(find(codec, quality, metric), family(codec))
        model = at_quality(model, codec, quality)
        model.lmbda = lmbda(codec, quality, metric)
        model.origin = Origin(codec, quality, metric)
    return model


def _only(codec: str, metric: str) -> int:
    """The quality of a codec that has one; InputError where it has others, or none."""
    known = qualities(codec, metric)
    if len(known) != 1:
        those = f" ({', '.join(map(str, known))})" if known else ""
        raise InputError(
            f"{codec}: which weights? Give a quality{those}, or a checkpoint as weights"
        )
    return known[0]


def models(codec: str, metric: str = "mse") -> "dict[int | None, Callable[[], CompressionModel]]":
    """How to load each quality of a codec, lowest rate first: `latentopt.codec.ladder` takes them.

    >>> list(models("tiny-mbt2018-mean"))
    [1, 2, 3, 4]
    """
    return {q: partial(load, codec, q, metric=metric) for q in qualities(codec, metric)}
