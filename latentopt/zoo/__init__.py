"""Pretrained CompressAI codecs by name, from its model zoo or from a checkpoint file."""

import hashlib
import re
from pathlib import Path

import torch
from compressai.models import CompressionModel

from latentopt.errors import InputError, WeightsError
from latentopt.zoo import architectures
from latentopt.zoo.architectures import METRICS, architecture, canonical, names, qualities
from latentopt.zoo.checkpoint import checkpoints, load_checkpoint
from latentopt.zoo.download import fetch

__all__ = ["METRICS", "architecture", "canonical", "checkpoints", "load", "names", "qualities"]


def load(
    codec: str,
    quality: int | None = None,
    weights: str | Path | None = None,
    metric: str = "mse",
) -> CompressionModel:
    """A pretrained codec, in eval mode, its entropy tables ready.

    ``weights`` is a .pt, .pth, .pth.tar or .safetensors checkpoint and wins over ``quality``;
    without it the published weights of ``quality`` are taken from torch.hub's folder, or
    downloaded into it. ``metric`` ("mse" or "ms-ssim") is what the published weights were
    trained for.

    >>> load("mbt2018-men", 1)
    Traceback (most recent call last):
    latentopt.errors.InputError: unknown codec 'mbt2018-men'; did you mean mbt2018-mean or mbt2018?
    """
    codec = canonical(codec)
    if weights is not None:
        return load_checkpoint(Path(weights).expanduser(), codec)
    if quality is None:
        raise InputError(f"{codec}: which weights? Give a quality, or a checkpoint as weights")
    return load_checkpoint(_published(architectures.url(codec, quality, metric), codec), codec)


def _published(url: str, codec: str) -> Path:
    """The local copy of a published checkpoint, downloaded on first use."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if path.is_file():
        if not _hash_matches(path, path.name):
            raise WeightsError(
                f"{path}: damaged copy of the {codec} weights (its SHA-256 is not the one in its "
                f"name); delete it and fetch {url} again"
            )
        return path
    try:
        fetch(url, path, lambda partial: _hash_matches(partial, path.name))
    except OSError as error:
        raise WeightsError(
            f"cannot download the {codec} weights ({error}); put the file {path.name} "
            f"from {url} into the folder {path.parent}, or pass a checkpoint of your own as "
            "weights (--weights FILE)"
        ) from error
    return path


def _hash_matches(path: Path, name: str) -> bool:
    """CompressAI writes the first digits of the SHA-256 into the name: ...-446d5c7f.pth.tar."""
    match = re.search(r"-([0-9a-f]{8,})\.", name)
    if match is None:
        return True
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(match.group(1))
