"""What a configuration name such as `oct+shift+grid` means, and the codec it builds.

name     = "baseline" | lattice | [lattice "+"] "shift" {"+" option} | lattice "+paper"
lattice  = "int" | "hex" | "oct" | "d4" | "e8"
option   = "grid" (search the step size as the paper does) | "sign" (shift direction)
         | "paper" (the paper's probability tables)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch.nn.functional as F
from torch import Tensor, nn

import latentopt
from latentopt.errors import InputError
from latentopt.lattices import LATTICES

_OPTIONS = ("shift", "grid", "sign", "paper")

Strings = list[list[bytes]]
"""One list per bitstream part, one bytes object per image in it."""


class Codec(Protocol):
    """What the harness needs of a codec; ``shape`` is the codec's own business."""

    def compress(self, x: Tensor) -> dict[str, Any]: ...

    def decompress(self, strings: Strings, shape: Any) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class Configuration:
    """One way to code a pretrained model's latents.

    >>> parse("int+shift").name, parse("hex+sign+shift").name
    ('shift', 'hex+shift+sign')
    """

    lattice: str | None
    """None: CompressAI's own quantizer and coder."""
    shift: bool = False
    grid: bool = False
    sign: bool = False
    paper: bool = False

    @property
    def name(self) -> str:
        """The canonical spelling."""
        if self.lattice is None:
            return "baseline"
        tokens = [] if self.shift and self.lattice == "int" else [self.lattice]
        return "+".join(tokens + [option for option in _OPTIONS if getattr(self, option)])

    def build(self, model: nn.Module) -> Codec:
        """The codec of this configuration around a pretrained CompressAI model."""
        if self.lattice is None:
            return BaselineCodec(model)
        options: dict[str, Any] = {"direction": "sign"} if self.sign else {}
        if self.paper:
            options["pmf"] = "paper"
        shift = "grid" if self.grid else self.shift
        return latentopt.wrap(model, quant=self.lattice, shift=shift, **options)


def parse(name: str) -> Configuration:
    """The configuration called ``name``; InputError with the grammar where there is none."""
    tokens = name.strip().lower().split("+")
    if tokens == ["baseline"]:
        return Configuration(None)
    lattice, options = (tokens[0], tokens[1:]) if tokens[0] in LATTICES else ("int", tokens)
    unknown = [t for t in options if t not in _OPTIONS]
    if unknown or len(set(options)) != len(options):
        wrong = f"unknown part {unknown[0]!r}" if unknown else "a part is repeated"
        raise InputError(
            f"configuration {name!r}: {wrong}; known: baseline, or one of {', '.join(LATTICES)}, "
            "then any of +shift, +shift+grid, +shift+sign, +paper ('shift' alone means int+shift)"
        )
    if "shift" not in options and {"grid", "sign"} & set(options):
        raise InputError(f"configuration {name!r}: grid and sign qualify +shift, which is missing")
    if tokens[0] not in LATTICES and "shift" not in options:
        raise InputError(f"configuration {name!r}: name a lattice first, {', '.join(LATTICES)}")
    return Configuration(lattice, **{option: option in options for option in _OPTIONS})


def parse_all(names: Sequence[str]) -> list[Configuration]:
    """Configurations in order, without repeats."""
    configurations = list(dict.fromkeys(parse(name) for name in names))
    if not configurations:
        raise InputError("no configuration given; try baseline,oct+shift")
    return configurations


class BaselineCodec:
    """CompressAI's own compress and decompress, for images of any size.

    The image is padded as latentopt pads it (replicated, right and bottom), so that both code the
    same samples; its size is not part of the strings, here as there.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model: Any = model
        self._stride: Any = model.downsampling_factor  # pixels, as latentopt pads

    def compress(self, x: Tensor) -> dict[str, Any]:
        """``strings`` and ``shape`` of images (B, 3, H, W) in [0, 1]."""
        height, width = x.shape[-2:]
        padding = (0, -width % self._stride, 0, -height % self._stride)
        out = self._model.compress(F.pad(x, padding, mode="replicate"))
        return {"strings": out["strings"], "shape": (out["shape"], (height, width))}

    def decompress(self, strings: Strings, shape: Any) -> dict[str, Tensor]:
        """``x_hat`` (B, 3, H, W), cropped to the original size."""
        latent_shape, (height, width) = shape
        x_hat = self._model.decompress(strings, latent_shape)["x_hat"]
        return {"x_hat": x_hat[..., :height, :width]}
