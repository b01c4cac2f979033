"""Read the tensors in a checkpoint file: in bounded memory, never executing what it holds."""

import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import torch
from safetensors.torch import load_file
from torch import Tensor

from latentopt.errors import WeightsError

_NESTS = ("state_dict", "network", "model_state_dict", "model", "net")
_MOST_TIMES = 4  # that tensors may share numbers: tied weights, masks of one channel
_DEEPEST = 4  # of such nests in each other

# What holds a codec's tensors in CompressAI: whatever stands before was put there in training.
_PARTS = re.compile(
    r"(?:[gh]_[as]|entropy_bottleneck|gaussian_conditional|context_prediction|entropy_parameters"
    r"|(?:img|res|motion)_(?:encoder|decoder|hyperprior))"
)
_COUNTERS = ("total_ops", "total_params", "n_averaged")  # thop's and AveragedModel's


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors in a checkpoint by name, whatever dict they are nested in.

    Prefixes that wrappers put before all names (DataParallel's `module.`, torch.compile's
    `_orig_mod.`, Lightning's `model.`) and counters of training tools are taken away.

    Raises:
        WeightsError: the file is missing, unreadable, no dict of tensors, or would unpack to more
            than it holds; the message leaves it to others to name the file.
    """
    content = _unnested(_content(path))
    if not _is_state(content):
        raise WeightsError(
            f"no state dict of tensors at the top level or under {', '.join(_NESTS)}; "
            "re-save it with torch.save(model.state_dict(), FILE)"
        )
    _check_plain(content, path.stat().st_size)
    state = {k: v for k, v in content.items() if k.rpartition(".")[2] not in _COUNTERS}
    prefix = _prefix(state)
    return {k.removeprefix(prefix): v for k, v in state.items()}


def _content(path: Path) -> Any:
    if not path.is_file():
        what = "is not a regular file" if path.exists() else "no such file"
        raise WeightsError(what)
    try:
        if path.suffix == ".safetensors":
            return load_file(path, device="cpu")
        _refuse_packed(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            "holds more than tensors, or is no checkpoint, and loading it could run code; "
            "re-save it with torch.save(model.state_dict(), FILE)"
        ) from error
    except WeightsError:
        raise
    except Exception as error:  # PyTorch's readers raise whatever a damaged file leads them to
        raise WeightsError(
            f"unreadable checkpoint ({first_line(error)}); fetch it again"
        ) from error


def _refuse_packed(path: Path) -> None:
    """WeightsError for an archive that unpacks to more than it holds: PyTorch packs nothing."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > path.stat().st_size:
            raise WeightsError(f"would unpack to {unpacked} bytes, more than it holds")


def _unnested(content: object) -> object:
    for _ in range(_DEEPEST):
        if not isinstance(content, Mapping):
            break
        nest = next((k for k in _NESTS if isinstance(content.get(k), Mapping)), None)
        if nest is None:
            break
        content = content[nest]
    return content


def _is_state(content: object) -> TypeGuard[Mapping[str, Tensor]]:
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    )


def _check_plain(state: Mapping[str, Tensor], file_bytes: int) -> None:
    """WeightsError for tensors that are no numbers of ours, or more of them than the file holds."""
    for name, value in state.items():
        plain = value.layout is torch.strided and value.device.type == "cpu"
        if not plain or value.is_quantized or value.is_complex():
            kind = value.dtype if plain else value.layout
            raise WeightsError(f"{name} is {kind}; save plain numbers")
    total = sum(value.numel() * value.element_size() for value in state.values())
    if total > _MOST_TIMES * file_bytes:
        raise WeightsError(f"its tensors take {total} bytes, far more than the file has")


def _prefix(state: Mapping[str, Tensor]) -> str:
    """What stands before the codec's own names, the same before most of them."""
    found: Counter[str] = Counter()
    for name in state:
        words = name.split(".")
        at = next((i for i in range(len(words)) if _PARTS.fullmatch(words[i])), None)
        if at is not None:
            found["".join(f"{word}." for word in words[:at])] += 1
    return max(found, key=found.__getitem__) if found else ""


def first_line(error: Exception) -> str:
    """The telling part of a torch message, which may run to hundreds of lines."""
    if isinstance(error, KeyError):
        return f"no entry {error.args[0]!r}" if error.args else "an entry is missing"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:2]) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."
