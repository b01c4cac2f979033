"""The small pretrained codecs that latentopt ships, so that it works without a download."""

from collections.abc import Mapping
from pathlib import Path

import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.models import CompressionModel
from torch import Tensor

from latentopt.errors import WeightsError
from latentopt.zoo import folder
from latentopt.zoo.folder import Folder

CODECS = {
    f"tiny-{architecture}": architecture
    for architecture in ("bmshj2018-factorized", "mbt2018-mean", "mbt2018", "cheng2020-attn")
}
"""Architecture of each embedded codec."""

EMBEDDED = Folder(Path(__file__).parent / "weights", "embedded", CODECS)

_TABLES = ("_quantized_cdf", "_offset", "_cdf_length")


def path(name: str, quality: int) -> Path:
    """The file of an embedded codec; InputError or WeightsError naming what there is."""
    return EMBEDDED.checkpoint(name, quality)


def metadata(name: str, quality: int) -> dict[str, str]:
    """How an embedded codec was trained, read without its weights."""
    return EMBEDDED.metadata(name, quality)


def write_embedded(model: CompressionModel, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a codec small: its networks' matrices in half precision, all else in full.

    What decides how symbols are coded is kept exactly: the factorized density with its tables, and
    the scale table. The Gaussian tables, which are most of such a file, are left empty:
    CompressAI's ``update`` rebuilds them. Tables that ``model`` has not built yet are built.

    Raises:
        InputError: ``metadata`` lacks the architecture, or ``path`` cannot be written.
        WeightsError: a weight is too large for half precision, or not a number.
    """
    model.update()
    exact = _prefixes(model, EntropyBottleneck)
    derived = tuple(p + table for p in _prefixes(model, GaussianConditional) for table in _TABLES)
    state = {}
    for name, value in model.state_dict().items():
        if name.startswith(derived):
            value = value.new_empty(0)
        elif value.is_floating_point() and value.ndim >= 2 and not name.startswith(exact):
            value = _half(name, value)
        state[name] = value
    folder.write(path, state, metadata)


def _prefixes(model: CompressionModel, kind: type) -> tuple[str, ...]:
    """How the names of the tensors in modules of a kind begin."""
    return tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, kind))


def _half(name: str, value: Tensor) -> Tensor:
    half = value.half()
    if not torch.isfinite(half).all():
        raise WeightsError(f"{name}: holds NaN or values beyond half precision (65504)")
    return half
