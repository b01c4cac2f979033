"""Where training starts: from random weights, or from those of another codec."""

from typing import cast

import torch
from torch import Tensor, nn

_DENSITY = tuple(
    f"entropy_bottleneck.{name}" for name in ("matrices", "biases", "factors", "quantiles")
)
_LATENT = ("g_a.6.weight", "g_a.6.bias", "g_s.0.weight")  # one slice per latent channel
_TRANSFORMS = ("g_a", "g_s")


def inherit(model: nn.Module, donor: nn.Module, batch: Tensor) -> None:
    """Start from another codec's weights: whatever has the same shape, and latent channels.

    A donor with more of them gives those that vary most on ``batch``, images (B, 3, H, W); one with
    fewer gives all. (Of the GDN transforms, whose last layer is ``g_a.6``.) Transforms that are
    wider than the donor's start as the same functions of an image, with new channels beside.
    """
    own, theirs = model.state_dict(), donor.state_dict()
    same = {k: v for k, v in theirs.items() if k in own and own[k].shape == v.shape}
    if _is_wider(own, theirs):
        same |= _widened(model, theirs)
    elif "g_a.6.weight" not in same and "g_a.6.weight" in own:
        with torch.no_grad():
            activity = cast(nn.Module, donor.g_a)(batch).std(dim=(0, 2, 3))
        keep = activity.argsort(descending=True)[: own["g_s.0.weight"].shape[0]]
        for name, value in theirs.items():
            # Also the factorized density of this latent, if it has one.
            density = name.startswith(_DENSITY) and len(value) == len(activity)
            if density or name in _LATENT:
                own[name][: len(keep)] = value[keep]
    model.load_state_dict(own | same)


def _is_wider(own: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    """Whether the transforms have more channels inside."""
    first = "g_a.0.weight"
    return first in own and first in theirs and len(own[first]) > len(theirs[first])


def _widened(model: nn.Module, theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the transforms: the donor's channels come first, and hear nothing of new ones.

    What new channels hear is random, so that no two of them learn the same. (As in Chen, Goodfellow
    and Shlens, Net2Net, ICLR 2016, but nothing is doubled.)
    """
    made = {}
    for path, module in model.named_modules():
        if not path.startswith(_TRANSFORMS):
            continue
        for name, fresh in module.state_dict().items():
            old = theirs.get(key := f"{path}.{name}")
            if "." in name or old is None or old.dim() != fresh.dim():
                continue
            made[key] = fresh.clone()
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and name == "weight":
                _silence(made[key], old.shape, isinstance(module, nn.ConvTranspose2d))
            made[key][tuple(map(slice, old.shape))] = old
    return made


def _silence(weight: Tensor, old: torch.Size, is_transposed: bool) -> None:
    """No way from new inputs to old outputs."""
    by_output = weight.transpose(0, 1) if is_transposed else weight
    outputs, inputs = (old[1], old[0]) if is_transposed else (old[0], old[1])
    by_output[:outputs, inputs:] = 0
