"""CompressAI's video codec in other widths: what `tiny-ssf2020` is an instance of."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

import torch
from compressai.models.video import ScaleSpaceFlow
from torch import Tensor, nn

from latentopt.errors import InputError


@dataclass(frozen=True)
class Widths:
    """Channels of a scale-space-flow codec."""

    hidden: int
    """Of the layers inside the six transforms."""
    latent: int
    """Of the key frame's and of the residual's latent."""
    motion: int
    """Of the motion latent."""
    hyper: int
    """Of the side latents, and of the layers inside the hyper-networks."""

    @staticmethod
    def of(state: Mapping[str, Tensor]) -> "Widths":
        """Those of a state dict; KeyError where it is not one of such a codec."""
        latent, hidden = state["img_encoder.6.weight"].shape[:2]
        motion = state["motion_encoder.6.weight"].shape[0]
        hyper = state["img_hyperprior.hyper_encoder.4.weight"].shape[0]
        return Widths(hidden, latent, motion, hyper)


PUBLISHED = Widths(hidden=128, latent=192, motion=192, hyper=192)
"""The only ones that CompressAI's class has."""


class PixelFlow(nn.Module):
    """Flow in pixels to the flow that CompressAI warps by, in units of half the frame.

    In those units the same motion is another number in a larger frame, so that a codec trained on
    crops misplaces everything in whole frames (CompressAI issue 307).
    """

    def forward(self, motion: Tensor) -> Tensor:
        """(B, 3, H, W) -> the same: right and down, in pixels -> in half frames; scale field."""
        height, width = motion.shape[-2:]
        units = motion.new_tensor([2 / width, 2 / height, 1.0])
        return motion * units.reshape(3, 1, 1)


class SmallScaleSpaceFlow(ScaleSpaceFlow):
    """ScaleSpaceFlow (Agustsson et al., CVPR 2020) with few channels, for training on a CPU.

    Everything but the widths and `PixelFlow` is CompressAI's: its forward, compress and decompress
    run unchanged on lists of frames (B, 3, H, W), H and W multiples of 128.

    >>> model = SmallScaleSpaceFlow(hidden=8, latent=12, motion=10, hyper=6)
    >>> model.res_decoder[0].in_channels, model.img_hyperprior.entropy_bottleneck.channels
    (22, 6)
    """

    def __init__(
        self, hidden: int = 48, latent: int = 80, motion: int = 32, hyper: int = 32
    ) -> None:
        if Widths(hidden, latent, motion, hyper) == PUBLISHED:
            raise InputError(
                f"{PUBLISHED}: use CompressAI's ScaleSpaceFlow, whose widths these are"
            )
        with torch.device("meta"):  # where the published widths cost nothing
            super().__init__()
        # The classes are local to CompressAI's __init__: its networks tell them.
        published: Any = self
        encoder, decoder = type(published.img_encoder), type(published.img_decoder)
        prior = published.img_hyperprior
        self.img_encoder = encoder(3, hidden, latent)
        self.img_decoder = decoder(3, latent, hidden)
        self.img_hyperprior = _hyperprior(prior, latent, hyper)
        self.res_encoder = encoder(3, hidden, latent)
        self.res_decoder = decoder(3, latent + motion, hidden)
        self.res_hyperprior = _hyperprior(prior, latent, hyper)
        self.motion_encoder = encoder(2 * 3, hidden, motion)
        self.motion_decoder = decoder(2 + 1, motion, hidden)
        self.motion_hyperprior = _hyperprior(prior, motion, hyper)
        _start_still(self.motion_decoder[-1])
        self.motion_decoder.append(PixelFlow())

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Tensor]) -> ScaleSpaceFlow:
        """A model of the widths in ``state_dict``: CompressAI's own class where they are its own.

        Raises:
            KeyError: it is not the state dict of a scale-space-flow codec.
            RuntimeError: tensors in it are missing, or don't fit its widths.
        """
        widths = Widths.of(state_dict)
        if widths == PUBLISHED:
            return ScaleSpaceFlow.from_state_dict(state_dict)
        model = cls(*astuple(widths))
        model.load_state_dict(state_dict)
        return model


def _hyperprior(published: nn.Module, latent: int, hyper: int) -> nn.Module:
    """One of CompressAI's, of which the published instance tells the classes."""
    coder, mean, scale = (
        type(getattr(published, f"hyper_{name}"))
        for name in ("encoder", "decoder_mean", "decoder_scale")
    )
    model: nn.Module = type(published)(latent, hyper)
    # CompressAI's gives the side latent as many channels as the latent has.
    model.hyper_encoder = coder(latent, hyper, hyper)
    model.hyper_decoder_mean = mean(hyper, hyper, latent)
    model.hyper_decoder_scale = scale(hyper, hyper, latent)
    return model


def _start_still(last: nn.ConvTranspose2d) -> None:
    """Start with hardly any motion, and near the sharpest level of the scale space.

    A depth of 0 is the middle of the blurred volume, and at -1 and below its gradient is zero.
    """
    assert last.bias is not None
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.copy_(torch.tensor([0.0, 0.0, -0.8]))
