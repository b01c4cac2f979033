"""What a codec's ``state_dict`` holds besides the weights: its tables, and what they are for."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from compressai.entropy_models.entropy_models import EntropyModel
from torch import Tensor, nn
from torch.nn.modules.module import _IncompatibleKeys

from latentopt.bitstream import Settings
from latentopt.codec.assembly import NO_OFFSETS, Assembly
from latentopt.errors import WeightsError
from latentopt.pmf.tables import Ints

EXTRA = "_extra_state"
"""PyTorch's name of the entry."""

_OFFSETS, _SETTINGS = "offsets", "settings"


@dataclass(frozen=True)
class Extra:
    """A codec's tables, the main latent's first, its offsets and its settings."""

    tables: Sequence[Ints]
    offsets: tuple[int, ...] | None
    """None: the state is from before there were any."""
    settings: Settings

    @staticmethod
    def of(assembly: Assembly) -> "Extra":
        """Those of a codec."""
        tables = [channel.dump() for channel in assembly.channels]
        return Extra(tables, assembly.offsets, assembly.recipe.settings)

    def to_state(self) -> dict[str, Tensor]:
        """As tensors by name, which ``torch.load`` takes without running code."""
        tables = {str(i): torch.from_numpy(table) for i, table in enumerate(self.tables)}
        offsets = torch.tensor(self.offsets or NO_OFFSETS, dtype=torch.int32)
        words = json.dumps(asdict(self.settings)).encode()
        settings = torch.frombuffer(bytearray(words), dtype=torch.uint8)
        return {**tables, _OFFSETS: offsets, _SETTINGS: settings}

    @staticmethod
    def from_state(state: object, expected: Settings, count: int) -> "Extra":
        """The mirror of :meth:`to_state`, for a codec of ``count`` latents with these settings.

        Raises:
            WeightsError: it is none, or of a codec with other settings; the message says which.
        """
        names = [str(i) for i in range(count)]
        if not isinstance(state, Mapping) or not all(_is_integers(state.get(n)) for n in names):
            raise WeightsError(f"the state's {EXTRA!r} does not hold the tables of {count} latents")
        _check_settings(state, expected)
        offsets = state.get(_OFFSETS)
        if offsets is not None and not _is_codes(offsets):
            raise WeightsError(f"the state's {EXTRA!r} holds offsets that are none")
        codes = None if offsets is None else tuple(offsets.tolist())
        return Extra([state[name].cpu().numpy() for name in names], codes, expected)


def _check_settings(state: Mapping[str, Tensor], expected: Settings) -> None:
    """A state from before there were settings in it has tables, which tell their lattice."""
    said = state.get(_SETTINGS)
    if said is None:
        return
    try:
        words = json.loads(bytes(said.cpu().numpy().astype(np.uint8)))
        theirs = asdict(Settings(**words))  # a state may be from before there were all of them
        ours = asdict(expected).items()
        differing = [f"{k}={theirs[k]!r}, not {v!r}" for k, v in ours if theirs[k] != v]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise WeightsError(f"the state's {EXTRA!r} holds settings that are none") from None
    if differing:
        raise WeightsError(f"the state is of a codec with {' and '.join(differing)}: wrap it so")


def _is_integers(value: object) -> bool:
    return isinstance(value, Tensor) and value.dim() == 1 and value.dtype == torch.int32


def _is_codes(value: object) -> bool:
    fits = _is_integers(value) and len(value) == len(NO_OFFSETS)  # type: ignore[arg-type]
    return fits and all(0 <= code < 256 for code in value.tolist())  # type: ignore[attr-defined]


class Checked(nn.Module, ABC):
    """A module that loads a state whole, or nothing of it."""

    @abstractmethod
    def check_state(
        self, state: Mapping[str, object], prefix: str = "", strict: bool = True
    ) -> None:
        """Raises WeightsError unless a ``state_dict`` is one of this codec's kind."""

    def load_state_dict(
        self, state_dict: Mapping[str, object], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """As PyTorch's, but nothing is loaded of a state of another model or other settings.

        Raises:
            WeightsError: see :meth:`check_state`.
        """
        self.check_state(state_dict, strict=strict)
        return super().load_state_dict(state_dict, strict, assign)


# -- the weights -----------------------------------------------------------------------------------


def check_weights(model: nn.Module, state: Mapping[str, object], prefix: str, strict: bool) -> None:
    """Raises WeightsError where a state is of another model, before any of it is loaded."""
    resizable = {f"{path}.{name}" for path, name, _ in _own_tables(model)}
    for name, tensor in model.state_dict().items():
        stored = state.get(prefix + name)
        if stored is None and strict and name not in resizable:
            raise WeightsError(f"the state has no {prefix + name}: is it of another model?")
        if isinstance(stored, Tensor) and stored.shape != tensor.shape and name not in resizable:
            shapes = f"{tuple(stored.shape)}, not {tuple(tensor.shape)}"
            raise WeightsError(f"the state's {prefix + name} is {shapes}: it is of another model")


def make_room(model: nn.Module, state: Mapping[str, object], prefix: str) -> None:
    """Give CompressAI's own tables, whose size depends on the weights, the size they have there."""
    for path, name, module in _own_tables(model):
        stored, own = state.get(f"{prefix}{path}.{name}"), getattr(module, name)
        if isinstance(stored, Tensor) and stored.shape != own.shape:
            setattr(module, name, own.new_empty(stored.shape))


def _own_tables(model: nn.Module) -> list[tuple[str, str, nn.Module]]:
    """Of CompressAI's entropy models, the buffers: the module's path, their name, the module."""
    return [
        (path, name, module)
        for path, module in model.named_modules()
        if isinstance(module, EntropyModel)
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
