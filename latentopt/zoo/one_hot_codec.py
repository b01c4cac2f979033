"""The codec of one-hot maps: what `tiny-ohm` is an instance of (Löhdefink et al. 2022)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import torch
from compressai.layers import GDN
from compressai.models import CompressionModel
from compressai.models.utils import conv, deconv
from torch import Tensor, nn

from latentopt.quantizers import Components, MapPrior, OneHotMax, is_kept

if TYPE_CHECKING:  # what a codec is loaded for is no training
    from latentopt.training.rate_adaptation import Mapped


class OneHotCodec(CompressionModel):
    """Convolutions and GDN around one-hot maps, one stream for all rates.

        x ─► g_a ─► one-hot max ─► maps, the first ones kept ─► 1x1 ─► g_s ─► x_hat
                                    ▲ prior: convolutions on ones

    Args:
        N, M: channels of the transforms, and of the latent.
        maps, symbols: see :class:`latentopt.quantizers.OneHotMax`.
        layers: of each transform; each halves or doubles the sides.
    """

    def __init__(self, N: int, M: int, maps: int = 16, symbols: int = 32, layers: int = 4):
        super().__init__()
        self.g_a, self.g_s = analysis(N, M, layers), synthesis(N, M, layers)
        self.quantizer = OneHotMax(M, maps, symbols)
        self.prior = MapPrior(maps, symbols)
        self.downsampling = 2**layers

    @property
    def downsampling_factor(self) -> int:
        """Pixels per element of a map, as CompressAI's models say it."""
        return self.downsampling

    def begin(self, y: Tensor, found: Components | None = None) -> None:
        """Begin training from latents ``y`` (B, M, h, w), see :meth:`OneHotMax.begin`."""
        self.quantizer.begin(y, found)
        self.prior.begin(self.quantizer.symbols_of(y))

    def forward(self, x: Tensor, kept: Tensor | None = None) -> "Mapped":
        """Images (B, 3, H, W) through the first ``kept`` (B,) maps; None: through all."""
        if kept is None:
            kept = torch.full((len(x),), self.quantizer.maps, device=x.device)
        y_hat, nats = self.through(self.g_a(x), kept)
        return {"x_hat": self.g_s(y_hat), "nats": nats}

    def through(self, y: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """What is between the transforms: ``y_hat`` like ``y`` (B, M, h, w), and nats (B,)."""
        hot = self.quantizer.hot(y)  # (B, maps, symbols, h, w)
        mask = is_kept(kept, self.quantizer.maps).to(hot)
        kept_hot = hot * mask[:, :, None, None, None]
        log_p = self.prior(*hot.shape[-2:]).movedim((0, 1), (2, 3)).contiguous()  # laid out as hot
        nats = -torch.einsum("bmshw,hwms->b", kept_hot, log_p) / hot[0, 0, 0].numel()
        return self.quantizer.spread_out(kept_hot), nats / mask.sum(dim=1)

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Tensor]) -> Self:
        """A codec of the widths that the tensors have."""
        layers = sum(name.startswith("g_a.") and name.endswith(".weight") for name in state_dict)
        hidden = state_dict["g_a.0.weight"].shape[0] if layers > 1 else 1
        maps, symbols = state_dict["quantizer.shape"].tolist()
        latent = state_dict["quantizer.before.weight"].shape[1]
        model = cls(hidden, latent, maps, symbols, layers)
        model.load_state_dict(dict(state_dict))
        return model


def analysis(N: int, M: int, layers: int) -> nn.Sequential:
    """(B, 3, H, W) to (B, M, h, w), as bmshj2018-factorized has it."""
    found: list[nn.Module] = [conv(3, N if layers > 1 else M)]
    for left in reversed(range(layers - 1)):
        found += [GDN(N), conv(N, N if left else M)]
    return nn.Sequential(*found)


def synthesis(N: int, M: int, layers: int) -> nn.Sequential:
    """The mirror of :func:`analysis`."""
    found: list[nn.Module] = [deconv(M, N if layers > 1 else 3)]
    for left in reversed(range(layers - 1)):
        found += [GDN(N, inverse=True), deconv(N, N if left else 3)]
    return nn.Sequential(*found)
