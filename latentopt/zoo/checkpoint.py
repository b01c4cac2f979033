"""Read a checkpoint file into a CompressAI model, never executing what it holds."""

import os
from collections.abc import Iterable, Mapping
from glob import glob
from pathlib import Path

from compressai.models import CompressionModel
from compressai.zoo.pretrained import load_pretrained
from torch import Tensor

from latentopt.adapters.scales import standard_scales
from latentopt.errors import WeightsError
from latentopt.zoo import variable
from latentopt.zoo.architectures import ARCHITECTURES
from latentopt.zoo.fit import check_scale_table, check_values, differences, with_tables
from latentopt.zoo.precision import restored
from latentopt.zoo.state import first_line, read_state_dict

SUFFIXES = (".pt", ".pth", ".tar", ".safetensors")


def checkpoints(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """Checkpoint files that files, folders (all in them) and globs name, without repeats."""
    if isinstance(paths, str | Path):
        paths = [paths]
    found: dict[Path, None] = {}
    for path in paths:
        found.update(dict.fromkeys(_expand(Path(os.path.expanduser(path)))))
    return list(found)


def _expand(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.is_file() and p.suffix in SUFFIXES)
    else:
        files = sorted(p for p in map(Path, glob(str(path))) if p.is_file())
    if not files:
        what = "holds no checkpoint" if path.is_dir() else "names no file"
        raise WeightsError(f"{path} {what} (looked for *{', *'.join(SUFFIXES)})")
    return files


def load_checkpoint(path: Path, family: str) -> CompressionModel:
    """The model of a CompressAI architecture with the weights in ``path``, its tables built.

    Raises:
        WeightsError: the file cannot be read, or its weights don't fit the architecture.
    """
    try:
        state = load_pretrained(restored(read_state_dict(path)))
        table = _scale_table(state)
        check_scale_table(table)
        model = _made(state, family)
        check_values(model)
        # Without force: tables stored in the checkpoint are what its bitstreams were written with.
        model.update(table)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    return model.eval()


def _made(state: dict[str, Tensor], family: str) -> CompressionModel:
    """The architecture with these tensors; WeightsError, which says what differs, else."""
    try:
        return _make(family, with_tables(state, family))
    except Exception as error:  # whatever CompressAI's classes make of tensors that are not theirs
        what = differences(state, family) or first_line(error)
        raise WeightsError(
            f"not the weights of {family} ({what}); {_remedy(state, family)}, or other weights"
        ) from error


def _remedy(state: Mapping[str, Tensor], family: str) -> str:
    hint = _looks_like(state)
    if hint == family:
        return "pass a file with just its entries"
    return f"it looks like {hint}: pass that codec name" if hint else "pass its own codec name"


def _make(family: str, state: dict[str, Tensor]) -> CompressionModel:
    if family in variable.VARIABLE:
        return variable.from_state_dict(family, state)
    return ARCHITECTURES[family].from_state_dict(state)


def _scale_table(state: Mapping[str, Tensor]) -> Tensor:
    """The stored one: CompressAI computes its own in float32, in which machines differ.

    A video codec stores the same for each of its latents.
    """
    stored = (v for k, v in state.items() if k.endswith("gaussian_conditional.scale_table"))
    return next((table for table in stored if table.numel()), standard_scales())


def _looks_like(state: Mapping[str, Tensor]) -> str | None:
    """Codec name whose parameter names and shapes these are, as far as they tell."""
    name = _at_one_rate(state)
    return f"{name}-vbr" if name and "Gain" in state else name


def _at_one_rate(state: Mapping[str, Tensor]) -> str | None:
    if "motion_encoder.0.weight" in state:
        return "ssf2020"
    if "g_a.0.weight" not in state or "g_a.6.weight" not in state:
        return "a cheng2020 codec" if any("g_a.0.conv1" in k for k in state) else None
    if any(k.startswith("context_prediction") for k in state):
        return "mbt2018"
    if "h_s.4.weight" in state:
        doubled = state["h_s.4.weight"].shape[0] == 2 * state["g_a.6.weight"].shape[0]
        return "mbt2018-mean" if doubled else "bmshj2018-hyperprior"
    return "bmshj2018-factorized" if "g_a.1.beta" in state else "bmshj2018-factorized-relu"
