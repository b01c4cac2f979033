"""DCVC (Li et al. 2021): ``DCVC_net``, a codec of predicted frames with an autoregressive prior.

    x, reference ─► opticFlow ─► mvEncoder ─► motion latent ─► mvDecoder ─► flow
                                                                              │
    reference ─► feature_extract ─► warp ◄────────────────────────────────────┘
                                     │
                              context_refine ─► context ─┬─► temporalPriorEncoder ─► scales, means
                                                         │                               │
    x ──────────────────────────► contextualEncoder ◄────┼───────► residual latent ◄─────┘
                                                         │                │
                                                         └──────► contextualDecoder ─► x_hat

Both latents are Laplace given a side latent and a masked 5 x 5 context, and the residual's tables
depend on the frame before, too. So where portable, all that the decoder computes is float64 on the
CPU, its reconstructions as well. The class is known by its structure; none of its code is here.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters.base import Adapter, Networks, as_numpy
from latentopt.adapters.context import WalkedAdapter, Wavefront, swapped
from latentopt.adapters.dcvc import bit_estimator_density
from latentopt.adapters.predicted import KeyedAdapter, Knowing, MakeAdapter, texture, with_key
from latentopt.adapters.reference import Reference
from latentopt.adapters.side import Parameters
from latentopt.densities import FactorizedDensity, LaplaceDensity, ScaleDensity

SCALES = np.geomspace(0.01, 16, 64)
"""DCVC's table; a scale gets the first entry that is not below it, there and here."""

_STRIDE = 64  # pixels per element of a side latent
_MAIN_STRIDE = 16

ENCODERS = ("opticFlow", "mvEncoder", "mvpriorEncoder", "contextualEncoder", "priorEncoder")
"""What only the encoder computes."""

_WARPED = ("mvDecoder_part1", "mvDecoder_part2")
_PRIOR = ("auto_regressive", "entropy_parameters", "bitEstimator_z")
_MOTION = ("opticFlow", "mvEncoder", "mvpriorEncoder", "mvpriorDecoder", *_WARPED)
_RESIDUAL = (
    *("feature_extract", "context_refine", "temporalPriorEncoder", "contextualEncoder"),
    *("priorEncoder", "priorDecoder", "contextualDecoder_part1", "contextualDecoder_part2"),
    *_WARPED,
)
_NAMES = {
    "motion": (*_MOTION, *(f"{name}_mv" for name in _PRIOR)),
    "residual": (*_RESIDUAL, *_PRIOR),
}


class PartAdapter(WalkedAdapter):
    """What the motion and the residual latent have in common.

    Args:
        model: the networks of the part, see :class:`Networks`.
    """

    suffix: str
    """Of the names of a part's networks."""

    @property
    def stride(self) -> int:
        return _STRIDE

    def _network(self, name: str) -> Any:
        return getattr(self.model, name + self.suffix)

    @property
    def walked(self) -> tuple[nn.Conv2d, nn.Module]:
        return self._network("auto_regressive"), self._network("entropy_parameters")

    def head(self, head: nn.Module) -> nn.Module:
        return swapped(head)  # DCVC's says means first

    def split_head(self, output: NDArray) -> Parameters:
        means, scales = output
        return Parameters(scales, means)

    def make_densities(self) -> tuple[ScaleDensity, FactorizedDensity]:
        return LaplaceDensity(SCALES), bit_estimator_density(self._network("bitEstimator_z"))

    def refresh(self) -> None:
        super().refresh()
        Wavefront.of(self.walked[0])  # refuse what cannot be walked

    def decoder_parts(self) -> list[nn.Module]:
        return [module for name, module in self.model.named_children() if name not in ENCODERS]

    @property
    def _decoder(self) -> Any:
        """The networks that encoder and decoder must agree on."""
        return self.exact_model if self.portable else self.model

    @abstractmethod
    def _given(self, networks: Any, z_hat: Tensor) -> Tensor:
        """What is known of each position of the main latent (1, C, h, w), given the side latent."""

    def features(self, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        return self._run(self._decoder, side, shape)

    def draft_features(self, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        return self._run(self.model, side, shape)

    def _run(self, networks: Any, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        z_hat = torch.from_numpy(side).reshape(1, *shape)
        return as_numpy(self._given(networks, z_hat.to(next(networks.parameters())))[0])


class MotionAdapter(Knowing[Tensor], PartAdapter):
    """Motion; its synthesis is the frame before, warped."""

    suffix = "_mv"

    def knowledge(self, reference: Reference, decoded: Mapping[str, Tensor]) -> Tensor:
        return reference.image.clamp(0, 1)  # as DCVC does

    def _reference(self, like: Tensor) -> Tensor:
        """The frame before, or what stands for it; ``like`` a latent (B, M, h, w)."""
        if self.known is None:
            size = [_MAIN_STRIDE * side for side in like.shape[-2:]]
            return texture(size, like)
        return self.known.to(like).expand(len(like), -1, -1, -1)

    def analysis(self, x: Tensor) -> Tensor:
        return self.model.mvEncoder(self.model.opticFlow(x, self.sure.to(x)))

    def synthesis(self, y_hat: Tensor) -> Tensor:
        reference = self._reference(y_hat)
        return warp(reference, _motion(self.model, y_hat, reference))

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.mvpriorEncoder(y)

    def _given(self, networks: Any, z_hat: Tensor) -> Tensor:
        return networks.mvpriorDecoder(z_hat)


class ResidualAdapter(Knowing["_Seen"], PartAdapter):
    """The frame itself, given a context that is made of the frame before and the motion."""

    suffix = ""

    @torch.no_grad()
    def knowledge(self, reference: Reference, decoded: Mapping[str, Tensor]) -> "_Seen":
        networks = self._decoder
        like = next(networks.parameters())
        frame = reference.image.clamp(0, 1).to(like)
        motion = _motion(networks, decoded["motion"].to(like), frame)
        return _Seen.of(networks, warp(networks.feature_extract(frame), motion))

    def _seen(self, like: Tensor, stride: int) -> "_Seen":
        """What is known, or what stands for it; ``like`` a latent of that stride."""
        if self.known is not None:
            return self.known
        frame = texture([stride * side for side in like.shape[-2:]], next(self.model.parameters()))
        return _Seen.of(self.model, self.model.feature_extract(frame[:1]))

    def analysis(self, x: Tensor) -> Tensor:
        return self.model.contextualEncoder(torch.cat([x, self.sure.context.to(x)], dim=1))

    def synthesis(self, y_hat: Tensor) -> Tensor:
        context = self._seen(y_hat, _MAIN_STRIDE).context.to(y_hat)
        context = context.expand(len(y_hat), -1, -1, -1)
        feature = self.model.contextualDecoder_part1(y_hat)
        return self.model.contextualDecoder_part2(torch.cat([feature, context], dim=1))

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.priorEncoder(y)

    def _given(self, networks: Any, z_hat: Tensor) -> Tensor:
        temporal = self._seen(z_hat, _STRIDE).temporal.to(z_hat)
        return torch.cat([temporal, networks.priorDecoder(z_hat)], dim=1)


@dataclass(frozen=True)
class _Seen:
    """What the residual's networks see of the frame before."""

    context: Tensor  # (1, C, H, W)
    temporal: Tensor  # (1, M, H/16, W/16) for the prior

    @staticmethod
    def of(networks: Networks, feature: Tensor) -> "_Seen":
        """From the features of the frame before, warped."""
        context: Tensor = networks.get("context_refine")(feature)
        return _Seen(context, networks.get("temporalPriorEncoder")(context))


def is_dcvc_net(model: nn.Module) -> bool:
    """Whether a model is ``DCVC_net``, or built like it."""
    return all(hasattr(model, name) for names in _NAMES.values() for name in names)


class DCVCAdapter(KeyedAdapter):
    """``DCVC_net``, with an image codec for key frames.

    Args:
        key: adapter of the codec of key frames, whose side latent has a stride of 64.

    Raises:
        UnsupportedModelError: the key frames' codec has another stride.
    """

    def __init__(self, model: nn.Module, portable: bool, key: Adapter):
        predicted = {
            "motion": MotionAdapter(Networks(model, _NAMES["motion"]), portable),
            "residual": ResidualAdapter(Networks(model, _NAMES["residual"]), portable),
        }
        super().__init__(key, predicted, portable)


def video(key: nn.Module, adapter: MakeAdapter) -> Callable[[nn.Module, bool], DCVCAdapter]:
    """For ``latentopt.wrap(dcvc_net, adapter=video(key, adapter))``.

    Args:
        key: the codec of key frames, with a hyperprior.
        adapter: its adapter, for example ``latentopt.adapters.adapter_class(key)``.
    """
    return with_key(DCVCAdapter, key, adapter)


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Sample an ``image`` (B, C, H, W) at each pixel plus its ``flow`` (B, 2, H, W), x first.

    Bilinear; beyond the border, what is at the border.
    """
    height, width = image.shape[-2:]
    dtype = torch.promote_types(flow.dtype, torch.float32)  # half is too coarse for positions
    x = torch.linspace(-1, 1, width, dtype=dtype, device=flow.device)[None, None, :]
    y = torch.linspace(-1, 1, height, dtype=dtype, device=flow.device)[None, :, None]
    moved = [x + flow[:, 0] * (2 / (width - 1)), y + flow[:, 1] * (2 / (height - 1))]
    return nn.functional.grid_sample(
        image.to(dtype),
        torch.stack(moved, dim=-1),
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )


def _motion(networks: Any, y_hat: Tensor, reference: Tensor) -> Tensor:
    """Refined flow (B, 2, H, W) of a decoded motion latent."""
    flow = networks.mvDecoder_part1(y_hat)
    return networks.mvDecoder_part2(torch.cat([flow, reference], dim=1)) + flow
