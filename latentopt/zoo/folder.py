"""A folder of codecs: files NAME-QUALITY.safetensors, the architecture in each file's metadata.

The folder's listing is the index, so a file that is there is known and one that is gone is not.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from latentopt.atomic import write_whole
from latentopt.errors import InputError, WeightsError
from latentopt.zoo.names import ARCHITECTURES

if TYPE_CHECKING:
    from torch import Tensor

_LAMBDAS = (1e-6, 1e6)
_NAME = r"[a-z0-9][a-z0-9.-]*"
_FILE = re.compile(rf"({_NAME})-([1-9][0-9]*)\.safetensors")


@dataclass(frozen=True)
class Folder:
    """A source of codecs whose files are on this machine."""

    path: Path
    kind: str
    """What its codecs are: "embedded" or "registered"."""
    codecs: Mapping[str, str] = field(default_factory=dict)
    """Names that belong to it even where a file is missing, with their architectures."""

    def names(self) -> tuple[str, ...]:
        """Those that belong to it first, then what else is there."""
        return tuple(dict.fromkeys([*self.codecs, *sorted(name for name, _ in self._files())]))

    def family(self, name: str) -> str:
        """Architecture of a codec; WeightsError where its files don't tell."""
        if name in self.codecs:
            return self.codecs[name]
        quality = self.qualities(name)[0]
        family = self.metadata(name, quality).get("architecture")
        if family not in ARCHITECTURES:
            raise WeightsError(
                f"{self.file(name, quality)}: its metadata names no architecture "
                f"(architecture: {family}); replace it with `latentopt zoo add --force`"
            )
        return family

    def qualities(self, name: str, metric: str = "mse") -> tuple[int, ...]:
        """Qualities that are there, lowest first; a folder has one kind of weights, for "mse"."""
        if metric != "mse":
            return ()
        return tuple(sorted(quality for n, quality in self._files() if n == name))

    def status(self, name: str, quality: int, metric: str = "mse") -> str:
        """The same for all that is there."""
        self.checkpoint(name, quality, metric)
        return self.kind

    def checkpoint(self, name: str, quality: int, metric: str = "mse") -> Path:
        """The file of a codec.

        Raises:
            InputError: there are other qualities, which it names, or the metric is not "mse".
            WeightsError: there is none.
        """
        if metric != "mse":
            raise InputError(f"{name} has one kind of weights: metric {metric!r} is not for it")
        there = self.qualities(name)
        if not there:
            raise WeightsError(
                f"{self.file(name, quality)}: no such file, nor another quality of {name}; "
                "the installation is incomplete: install latentopt again"
            )
        if quality not in there:
            known = ", ".join(map(str, there))
            raise InputError(f"{name} has no quality {quality}: there are {known}")
        return self.file(name, quality)

    def lmbda(self, name: str, quality: int, metric: str = "mse") -> float | None:
        """From the file's metadata, where they say."""
        value = self.metadata(name, quality).get("lambda")
        return _lmbda(self.file(name, quality), value) if value else None

    def metadata(self, name: str, quality: int) -> dict[str, str]:
        """What was recorded with the weights, read without reading them."""
        return recorded(self.checkpoint(name, quality))

    def file(self, name: str, quality: int) -> Path:
        """Where the file of a codec is, or would be."""
        return self.path / f"{name}-{quality}.safetensors"

    def _files(self) -> Iterator[tuple[str, int]]:
        """Name and quality of each file."""
        try:
            files = [path.name for path in self.path.iterdir()]
        except OSError:  # nothing was put there yet
            return
        for match in filter(None, map(_FILE.fullmatch, files)):
            yield match[1], int(match[2])


def recorded(path: Path) -> dict[str, str]:
    """The metadata of a file of weights; none but in .safetensors.

    Raises:
        WeightsError: the file cannot be read.
    """
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, "numpy") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: unreadable ({error}); replace it") from error


def _lmbda(path: Path, text: str) -> float:
    """A lambda as metadata say it; WeightsError where it is none that anybody trains for."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not _LAMBDAS[0] <= value <= _LAMBDAS[1]:
        raise WeightsError(
            f"{path}: its metadata say a lambda of {text[:20]}: from {_LAMBDAS[0]:g} to "
            f"{_LAMBDAS[1]:g} makes sense; replace it"
        )
    return value


def is_name(name: str) -> bool:
    """Whether a folder can hold a codec called ``name``.

    >>> is_name("my-codec.v2"), is_name("-x"), is_name("a/b"), is_name("Ä")
    (True, False, False, False)
    """
    return re.fullmatch(_NAME, name) is not None


def write(path: Path, state: "Mapping[str, Tensor]", metadata: Mapping[str, str]) -> None:
    """Write a codec's file, whole or not at all; the same content gives the same bytes.

    Raises:
        InputError: ``metadata`` names no architecture, or the place cannot be written.
    """
    from safetensors.torch import save  # imports PyTorch, which takes seconds

    family = metadata.get("architecture")
    if family not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise InputError(f"metadata: architecture {family!r} is none of {known}")
    # Training in channels_last leaves strides that the format cannot express.
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    data = _ordered(save(tensors, dict(metadata)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {path.parent}: {error.strerror}") from error
    write_whole(path, data)


def _ordered(data: bytes) -> bytes:
    """A safetensors file with its metadata sorted, where the library's order is random.

    The format: length of the header (8 bytes), the header (JSON, padded with spaces to a multiple
    of 8 bytes), tensors.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]
