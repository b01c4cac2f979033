"""The small pretrained codecs that latentopt ships, so that it works without a download."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.zoo import folder
from latentopt.zoo.folder import Folder

if TYPE_CHECKING:
    from compressai.models import CompressionModel
    from torch import Tensor

_SMALL = ("bmshj2018-factorized", "mbt2018-mean", "mbt2018", "cheng2020-attn")
_TINY = (*_SMALL, "ssf2020", "pln", "gamma-pln")
CODECS = (
    {f"tiny-{architecture}": architecture for architecture in _TINY}
    | {f"small-{architecture}": architecture for architecture in _SMALL}
    | dict.fromkeys(("tiny-ohm", "tiny-ohm-digits"), "tiny-ohm")
)
"""Architecture of each embedded codec."""

EMBEDDED = Folder(Path(__file__).parent / "weights", "embedded", CODECS)

_TABLES = ("_quantized_cdf", "_offset", "_cdf_length")


def path(name: str, quality: int) -> Path:
    """The file of an embedded codec; InputError or WeightsError naming what there is."""
    return EMBEDDED.checkpoint(name, quality)


def metadata(name: str, quality: int) -> dict[str, str]:
    """How an embedded codec was trained, read without its weights."""
    return EMBEDDED.metadata(name, quality)


def write_embedded(
    model: "CompressionModel",
    path: Path,
    metadata: Mapping[str, str],
    half: Sequence[str] = ("g_a", "g_s"),
) -> None:
    """Write a codec small: the networks ``half`` in half precision, its others in eight bits.

    The others only predict the latent's densities, and predict them hardly worse for it. What
    decides how symbols are coded is kept exactly: the factorized density with its tables, and
    the scale table. The Gaussian tables, which are most of such a file, are left empty:
    CompressAI's ``update`` rebuilds them. Tables that ``model`` has not built yet are built.

    Raises:
        InputError: ``metadata`` lacks the architecture, or ``path`` cannot be written.
        WeightsError: a weight is too large for half precision, or not a number.
    """
    from compressai.entropy_models import EntropyBottleneck, GaussianConditional

    from latentopt.adapters.scales import standard_scales
    from latentopt.zoo.precision import bytes_, halves, repeated

    model.update(standard_scales())
    exact = _prefixes(model, EntropyBottleneck)
    derived = tuple(p + table for p in _prefixes(model, GaussianConditional) for table in _TABLES)
    state: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if name.startswith(derived):
            state[name] = value.new_empty(0)
        elif not value.is_floating_point() or value.ndim < 2 or name.startswith(exact):
            state[name] = value
        elif name.endswith(".mask"):
            state |= repeated(name, value)
        else:
            state |= (halves if name.split(".")[0] in half else bytes_)(name, value)
    folder.write(path, state, metadata)


def _prefixes(model: "CompressionModel", kind: type) -> tuple[str, ...]:
    """How the names of the tensors in modules of a kind begin."""
    return tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, kind))
