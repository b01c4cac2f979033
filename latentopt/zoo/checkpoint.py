"""Read a checkpoint file into a CompressAI model, never executing what it holds."""

import pickle
from collections.abc import Iterable, Mapping
from glob import glob
from pathlib import Path
from typing import Any

import torch
from compressai.models import CompressionModel
from compressai.zoo.pretrained import load_pretrained
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from latentopt.adapters.scales import standard_scales
from latentopt.errors import WeightsError
from latentopt.zoo import variable
from latentopt.zoo.architectures import CLASSES
from latentopt.zoo.precision import restored

SUFFIXES = (".pt", ".pth", ".tar", ".safetensors")
_NESTS = ("state_dict", "network", "model_state_dict")


def checkpoints(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """Checkpoint files that files, folders (all in them) and globs name, without repeats."""
    if isinstance(paths, str | Path):
        paths = [paths]
    found: dict[Path, None] = {}
    for path in paths:
        found.update(dict.fromkeys(_expand(Path(path).expanduser())))
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
    state = load_pretrained(restored(read_state_dict(path)))
    try:
        model = _make(family, state)
    except (KeyError, RuntimeError, ValueError, IndexError, AttributeError) as error:
        hint = _looks_like(state)
        guess = f"it looks like {hint}: pass that codec name" if hint else "pass its own codec name"
        raise WeightsError(
            f"{path}: not the weights of {family} ({_first_line(error)}); {guess}, or other weights"
        ) from error
    _check_finite(model, path, family)
    # Without force: tables stored in the checkpoint are what its bitstreams were written with.
    model.update(_scale_table(state))
    return model.eval()


def _make(family: str, state: dict[str, Tensor]) -> CompressionModel:
    if family in variable.VARIABLE:
        return variable.from_state_dict(family, state)
    return CLASSES[family].from_state_dict(state)


def _scale_table(state: Mapping[str, Tensor]) -> Tensor:
    """The stored one: CompressAI computes its own in float32, in which machines differ.

    A video codec stores the same for each of its latents.
    """
    stored = (v for k, v in state.items() if k.endswith("gaussian_conditional.scale_table"))
    return next((table for table in stored if table.numel()), standard_scales())


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors in a checkpoint by name, whatever dict they are nested in."""
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path, device="cpu")
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: holds more than tensors, or is no checkpoint, and loading it could run code; "
            "re-save it with torch.save(model.state_dict(), FILE)"
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, SafetensorError) as error:
        raise WeightsError(
            f"{path}: unreadable checkpoint ({_first_line(error)}); fetch it again"
        ) from error
    return _unnest(content, path)


def _unnest(content: Any, path: Path) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        nest = next((k for k in _NESTS if isinstance(content.get(k), Mapping)), None)
        if nest is None:
            break
        content = content[nest]
    tensors = isinstance(content, Mapping) and bool(content)
    if not tensors or not all(isinstance(v, Tensor) for v in content.values()):
        raise WeightsError(
            f"{path}: no state dict of tensors at the top level or under {', '.join(_NESTS)}; "
            "re-save it with torch.save(model.state_dict(), FILE)"
        )
    return dict(content)


def _check_finite(model: CompressionModel, path: Path, family: str) -> None:
    for name, value in model.named_parameters():
        if not torch.isfinite(value).all():
            raise WeightsError(f"{path}: {family} weight {name} holds NaN or infinity; use another")


def _looks_like(state: Mapping[str, Tensor]) -> str | None:
    """Codec name whose parameter names and shapes these are, as far as they tell."""
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


def _first_line(error: Exception) -> str:
    """The telling part of a torch message, which may run to hundreds of lines."""
    if isinstance(error, KeyError):
        return f"no entry {error.args[0]!r}" if error.args else "an entry is missing"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:2]) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."
