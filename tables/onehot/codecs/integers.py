"""The baseline of one-hot max: feature maps of integers, trained and cut in the same way."""

from typing import cast

import numpy as np
import torch
from compressai.entropy_models import EntropyBottleneck
from compressai.models import FactorizedPrior
from torch import Tensor, nn

from latentopt.adapters.factorized import FactorizedAdapter
from latentopt.densities import FactorizedDensity, Floats
from latentopt.quantizers import Components, components, is_kept
from latentopt.quantizers.beginnings import shared_bits
from latentopt.training import fit_quantiles
from latentopt.training.rate_adaptation import Mapped
from latentopt.zoo.one_hot_codec import analysis, synthesis

_BITS = 3
"""Of a map, in the mean, as training begins."""
_STEPS, _RATE, _FITTED = 300, 0.02, 16
"""In which their density is fitted, then, and to how many latents."""


class IntegerCodec(FactorizedPrior):
    """`OneHotCodec` with integers in place of symbols, which a factorized prior codes.

        x ─► g_a ─► 1x1 ─► round ─► maps, the first ones kept, the others 0 ─► 1x1 ─► g_s ─► x_hat

    Args:
        N, M: channels of the transforms, and of the latent around the maps.
        maps: how many.
        layers: of each transform.
    """

    def __init__(self, N: int, M: int, maps: int, layers: int = 4):
        super().__init__(N, maps)
        self.g_a = nn.Sequential(*analysis(N, M, layers), nn.Conv2d(M, maps, 1))
        self.g_s = nn.Sequential(nn.Conv2d(maps, M, 1), *synthesis(N, M, layers))
        self.layers = layers

    @property
    def downsampling_factor(self) -> int:
        return 2**self.layers

    @property
    def transforms(self) -> tuple[nn.Sequential, nn.Sequential]:
        """Analysis and synthesis, without what makes integers."""
        return nn.Sequential(*self.g_a[:-1]), nn.Sequential(*self.g_s[1:])

    @property
    def convolutions(self) -> tuple[nn.Conv2d, nn.Conv2d]:
        """What makes maps, and latents of them again."""
        return cast(nn.Conv2d, self.g_a[-1]), cast(nn.Conv2d, self.g_s[0])

    @torch.no_grad()
    def begin(self, y: Tensor, found: Components | None = None) -> None:
        """Begin training with components of latents ``y`` (B, M, h, w), as one-hot max does.

        Those that vary most, with one step for all, by which a map has a few bits in the mean.
        """
        found = found or components(y)
        before, after = self.convolutions
        variance = found.variance[: self.M]
        bits = shared_bits(variance, _BITS * self.M, most=2 * _BITS)
        step = float((12 * variance / 4**bits)[bits > 0].min().sqrt())
        before.weight.copy_((found.forth[: self.M] / step)[:, :, None, None])
        assert before.bias is not None and after.bias is not None
        before.bias.copy_(-found.forth[: self.M] @ found.mean / step)
        after.weight.copy_((found.back[:, : self.M] * step)[:, :, None, None])
        after.bias.copy_(found.centre)
        _fit(self.entropy_bottleneck, before(y[:_FITTED]))
        with torch.enable_grad():
            fit_quantiles(self)

    @torch.no_grad()
    def components(self, y: Tensor) -> Components:
        """Of latents ``y`` (B, M, h, w): those of its maps, for a codec with its transforms."""
        before, after = self.convolutions
        assert after.bias is not None
        forth, back = before.weight[:, :, 0, 0], after.weight[:, :, 0, 0]
        own = components(before(y))
        centre = back @ own.mean + after.bias
        mean = y.mean(dim=(0, 2, 3))
        return Components(mean, own.forth @ forth, back @ own.back, centre, own.variance)

    def forward(self, x: Tensor, kept: Tensor | None = None) -> Mapped:
        """See :meth:`latentopt.zoo.one_hot_codec.OneHotCodec.forward`."""
        if kept is None:
            kept = torch.full((len(x),), self.M, device=x.device)
        y_hat, nats = self.through(self.g_a[:-1](x), kept)
        return {"x_hat": self.g_s[1:](y_hat), "nats": nats}

    def through(self, y: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`latentopt.zoo.one_hot_codec.OneHotCodec.through`."""
        maps, p = self.entropy_bottleneck(self.g_a[-1](y))
        mask = is_kept(kept, self.M).to(y)
        nats = -p.log().mean(dim=(2, 3))  # (B, maps)
        y_hat = self.g_s[0](maps * mask[:, :, None, None])
        return y_hat, (nats * mask).sum(dim=1) / mask.sum(dim=1)


@torch.enable_grad()
def _fit(density: EntropyBottleneck, maps: Tensor) -> None:
    """Let a density begin with that of maps (B, C, h, w), as one-hot max's with frequencies."""
    shape = [p for name, p in density.named_parameters() if name != "quantiles"]
    adam = torch.optim.Adam(shape, lr=_RATE)
    for _ in range(_STEPS):
        _, p = density(maps, training=True)
        adam.zero_grad()
        (-p.log().mean()).backward()
        adam.step()


class _Zeroed(FactorizedDensity):
    """Of maps that are 0 where they did not arrive, as in training."""

    @property
    def absent(self) -> Floats:
        return np.negative(self.medians)


class IntegerAdapter(FactorizedAdapter):
    """Maps in the order of their training."""

    in_order = True

    def make_densities(self) -> tuple[FactorizedDensity]:
        return (_Zeroed(self.model.entropy_bottleneck),)
