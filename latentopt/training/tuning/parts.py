"""The parts of a decoder that can be trained, and what they make of decoded points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from latentopt.adapters import Adapter
from latentopt.adapters.factorized import FactorizedAdapter
from latentopt.adapters.hyperprior import ScaleAdapter
from latentopt.codec.image import Codec
from latentopt.codec.synthesis import Synthesis
from latentopt.errors import InputError, UnsupportedModelError
from latentopt.training.loop import Terms
from latentopt.training.losses import rate_distortion
from latentopt.training.tuning.sent import Points

SYNTHESIS, HYPER_SYNTHESIS, DENSITY = PARTS = ("synthesis", "hyper-synthesis", "density")
"""What can be trained: the first always is."""

_LEAST = 1e-9  # likelihood, as CompressAI bounds it


def places_of(adapter: Adapter, parts: Sequence[str]) -> dict[str, str]:
    """Where a model has its parts: dotted names.

    Raises:
        InputError: there is no such part, or the codec has none.
        UnsupportedModelError: it is not known where the model has its synthesis.
    """
    found = {}
    for part in dict.fromkeys((SYNTHESIS, *parts)):
        if part not in PARTS:
            raise InputError(f"unknown part {part!r}: choose of {', '.join(PARTS)}")
        found[part] = _place(adapter, part)
    return found


def _place(adapter: Adapter, part: str) -> str:
    name = type(adapter.model).__qualname__
    if part == SYNTHESIS:
        if adapter.feedable is None:
            raise UnsupportedModelError(f"{name} has no synthesis of a name that could be trained")
        return adapter.feedable.synthesis
    if part == HYPER_SYNTHESIS and isinstance(adapter, ScaleAdapter):
        return "h_s"
    if part == DENSITY and isinstance(adapter, ScaleAdapter | FactorizedAdapter):
        return "entropy_bottleneck"
    raise InputError(f"{name} has no {part} that could be trained: leave it out")


@dataclass(frozen=True)
class Reached:
    """What a decoder makes of images, and what they cost."""

    x_hat: Tensor  # (B, 3, H, W)
    bits: Tensor  # (), of all images; 0 where nothing that is trained changes them


class Tuned(nn.Module):
    """A codec's decoder in training: parts of its model, which it shares with the codec.

    In training it takes :class:`Points`; in evaluation images (1, 3, H, W), which the codec codes
    as it does for files.
    """

    def __init__(self, codec: Codec, parts: Sequence[str]):
        super().__init__()
        adapter = codec.assembly.adapter
        found = {
            part: adapter.model.get_submodule(place)
            for part, place in places_of(adapter, parts).items()
        }
        self.parts = nn.ModuleDict(found).requires_grad_()
        # In a tuple, so no submodules: state and parameters are those of the parts. The adapter is
        # kept, as codec.assembly is made anew after each step.
        self._held = codec, adapter

    def forward(self, batch: Points | Tensor) -> Reached:
        return self._decoded(batch) if isinstance(batch, Points) else self._coded(batch)

    def _decoded(self, points: Points) -> Reached:
        _, adapter = self._held
        bits = self._bits(points) if len(self.parts) > 1 else points.x.new_zeros(())
        return Reached(adapter.synthesis(points.moved[0]), bits)

    def _bits(self, points: Points) -> Tensor:
        """Of the points as they are, by the entropy models as they are in training."""
        _, adapter = self._held
        model: Any = adapter.model
        if isinstance(adapter, FactorizedAdapter):
            return _bits_of_channels(model, points.hats[0])
        assert isinstance(adapter, ScaleAdapter)
        describe = adapter.describing(points.hats[0])
        assert describe is not None
        scales, means = describe(points.moved[1])
        main = model.gaussian_conditional._likelihood(points.hats[0], scales, means)
        return _bits(main) + _bits_of_channels(model, points.hats[1])

    def _coded(self, x: Tensor) -> Reached:
        codec, _ = self._held
        coded = codec.encode(x)
        image = Synthesis(codec.assembly).pictures(coded["y"], x.shape[-2:])
        written = sum(len(one.string) for latent in coded.values() for one in latent)
        return Reached(image, torch.tensor(8.0 * written))


def _bits_of_channels(model: Any, hat: Tensor) -> Tensor:
    """Of a latent (B, C, h, w) with a factorized density."""
    values = hat.transpose(0, 1).flatten(1).unsqueeze(1)  # (C, 1, B h w)
    return _bits(model.entropy_bottleneck._likelihood(values)[0])


def _bits(likelihood: Tensor) -> Tensor:
    return -likelihood.clamp(min=_LEAST).log2().sum()


@dataclass(frozen=True)
class Cost:
    """lambda * 255^2 * MSE + bits per pixel. Shows bpp and psnr_db."""

    lmbda: float

    def __call__(self, out: Reached, batch: Points | Tensor) -> Terms:
        x = batch.x if isinstance(batch, Points) else batch
        mse = (out.x_hat - x).square().mean()
        bpp = out.bits.to(x) / (x.numel() / 3)
        return rate_distortion(self.lmbda, mse, bpp)
