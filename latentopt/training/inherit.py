"""Where training starts: from random weights, or from those of another codec."""

from typing import cast

import torch
from torch import Tensor, nn

_DENSITY = tuple(
    f"entropy_bottleneck.{name}" for name in ("matrices", "biases", "factors", "quantiles")
)
_LATENT = ("g_a.6.weight", "g_a.6.bias", "g_s.0.weight")  # one slice per latent channel


def inherit(model: nn.Module, donor: nn.Module, batch: Tensor) -> None:
    """Start from another codec's weights: whatever has the same shape, and latent channels.

    A donor with more of them gives those that vary most on ``batch``, images (B, 3, H, W); one with
    fewer gives all. (Of the GDN transforms, whose last layer is ``g_a.6``.)
    """
    own, theirs = model.state_dict(), donor.state_dict()
    same = {k: v for k, v in theirs.items() if k in own and own[k].shape == v.shape}
    if "g_a.6.weight" not in same and "g_a.6.weight" in own:
        with torch.no_grad():
            activity = cast(nn.Module, donor.g_a)(batch).std(dim=(0, 2, 3))
        keep = activity.argsort(descending=True)[: own["g_s.0.weight"].shape[0]]
        for name, value in theirs.items():
            # Also the factorized density of this latent, if it has one.
            density = name.startswith(_DENSITY) and len(value) == len(activity)
            if density or name in _LATENT:
                own[name][: len(keep)] = value[keep]
    model.load_state_dict(own | same)
