"""What a configuration name such as `oct+shift+grid` means, and the codec it builds.

name     = "baseline" | preset | part {"+" part}
preset   = "paper" | "fast" | "default" | "slow" | "best"
part     = lattice (at most one, first; else it is "int") | "shift" | "grid" (search the step size
           as the paper does) | "sign" or "split" (shift direction) | "scales" (corrected)
           | "rdo" (rate and distortion) | "refine" (tens of steps) | "paper" (the paper's tables)
lattice  = "int" | "hex" | "oct" | "d4" | "e8" | "auto"
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch.nn.functional as F
from torch import Tensor, nn

import latentopt
from latentopt.codec.recipe import PRESETS
from latentopt.encoder import Effort, Schedule
from latentopt.errors import InputError
from latentopt.lattices import RULES

_OPTIONS = ("shift", "grid", "sign", "split", "scales", "rdo", "refine", "paper")
_DIRECTIONS = ("sign", "split")
_RDO = Effort(Schedule(0, (1, 1), (1, 1)), strengths=(0.1, 0.3, 0.6), draft=False)
_REFINE = replace(PRESETS["slow"].effort or _RDO, refits=0)

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
    """None: CompressAI's own quantizer and coder, or a preset's."""
    options: frozenset[str] = frozenset()
    preset: str | None = None

    @property
    def name(self) -> str:
        """The canonical spelling."""
        if self.lattice is None:
            return self.preset or "baseline"
        options = [option for option in _OPTIONS if option in self.options]
        short = "+".join(options) if self.lattice == "int" else ""
        return short if short and short not in PRESETS else "+".join([self.lattice, *options])

    @property
    def is_baseline(self) -> bool:
        """Whether it is CompressAI's own quantizer and coder."""
        return self.lattice is None and self.preset is None

    def build(self, model: nn.Module) -> Codec:
        """The codec of this configuration around a pretrained CompressAI image model."""
        return BaselineCodec(model) if self.is_baseline else self.wrap(model)

    def wrap(self, model: nn.Module, **more: Any) -> Any:
        """The model as `latentopt.wrap` makes it, with ``more`` arguments than the name tells."""
        if self.preset:
            return latentopt.wrap(model, preset=self.preset, **more)
        has = self.options.__contains__
        return latentopt.wrap(
            model,
            quant=self.lattice,
            shift="grid" if has("grid") else has("shift"),
            direction=next(filter(has, _DIRECTIONS), "density"),
            scales=has("scales"),
            effort=_REFINE if has("refine") else _RDO if has("rdo") else None,
            pmf="paper" if has("paper") else "exact",
            **more,
        )


def parse(name: str) -> Configuration:
    """The configuration called ``name``; InputError with the grammar where there is none."""
    tokens = name.strip().lower().split("+")
    if tokens == ["baseline"]:
        return Configuration(None)
    if len(tokens) == 1 and tokens[0] in PRESETS:
        return Configuration(None, preset=tokens[0])
    lattice, options = (tokens[0], tokens[1:]) if tokens[0] in RULES else ("int", tokens)
    unknown = [t for t in options if t not in _OPTIONS]
    if unknown or len(set(options)) != len(options):
        wrong = f"unknown part {unknown[0]!r}" if unknown else "a part is repeated"
        raise InputError(
            f"configuration {name!r}: {wrong}; known: baseline, {', '.join(PRESETS)}, or one of "
            f"{', '.join(RULES)} and any of +{', +'.join(_OPTIONS)} ('shift' alone: int+shift)"
        )
    if "shift" not in options and {"grid", *_DIRECTIONS} & set(options):
        raise InputError(f"configuration {name!r}: grid, sign and split qualify +shift: add it")
    if {"sign", "split"} <= set(options) or {"rdo", "refine"} <= set(options):
        raise InputError(f"configuration {name!r}: two parts exclude each other")
    return Configuration(lattice, frozenset(options))


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
        out = self._model.compress(padded(x, self._stride))
        return {"strings": out["strings"], "shape": (out["shape"], x.shape[-2:])}

    def decompress(self, strings: Strings, shape: Any) -> dict[str, Tensor]:
        """``x_hat`` (B, 3, H, W), cropped to the original size."""
        latent_shape, (height, width) = shape
        x_hat = self._model.decompress(strings, latent_shape)["x_hat"]
        return {"x_hat": x_hat[..., :height, :width]}


def padded(x: Tensor, stride: int) -> Tensor:
    """Images (B, 3, H, W), right column and last row repeated up to a multiple of ``stride``."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % stride, 0, -height % stride), mode="replicate")
