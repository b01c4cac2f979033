"""Pretrained codecs by name: shipped, from CompressAI's model zoo, or from a checkpoint file."""

from pathlib import Path
from typing import Any

from compressai.models import CompressionModel

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
from latentopt.zoo.checkpoint import checkpoints, load_checkpoint
from latentopt.zoo.register import add, remove
from latentopt.zoo.variable import at_quality

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
    "names",
    "qualities",
    "remove",
]


def load(
    codec: str,
    quality: int | None = None,
    weights: str | Path | None = None,
    metric: str = "mse",
) -> CompressionModel:
    """A pretrained codec, in eval mode, its entropy tables ready.

    ``weights`` is a .pt, .pth, .pth.tar or .safetensors checkpoint and wins over ``quality``;
    without it the weights are those of ``quality``: shipped with latentopt for the ``tiny-``
    codecs, registered by the user, or else CompressAI's published ones from torch.hub's folder,
    downloaded into it on first use. ``metric`` ("mse" or "ms-ssim") is what the published weights
    were trained for; where it is known for which lambda, the model's attribute ``lmbda`` says so.
    Of a variable-rate codec (``…-vbr``) ``quality`` is the rate, whosever the weights are.

    >>> load("mbt2018-men", 1)
    Traceback (most recent call last):
    latentopt.errors.InputError: unknown codec 'mbt2018-men'; did you mean mbt2018-mean or \
tiny-mbt2018-mean or mbt2018?
    """
    codec = canonical(codec)
    if weights is not None:
        checkpoint = load_checkpoint(Path(weights).expanduser(), family(codec))
        return at_quality(checkpoint, codec, quality)
    if quality is None:
        raise InputError(f"{codec}: which weights? Give a quality, or a checkpoint as weights")
    model: Any = load_checkpoint(find(codec, quality, metric), family(codec))
    model = at_quality(model, codec, quality)
    model.lmbda = lmbda(codec, quality, metric)
    return model
