"""Where training starts: from random weights, or from those of another codec."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from latentopt.errors import InputError

_DENSITY = tuple(
    f"entropy_bottleneck.{name}" for name in ("matrices", "biases", "factors", "quantiles")
)
_LAST, _FIRST = "g_a.6.weight", "g_s.0.weight"
_LATENT = (_LAST, "g_a.6.bias", _FIRST)  # one slice per latent channel


def inherit(model: nn.Module, donor: nn.Module, batch: Tensor) -> None:
    """Start from another codec's weights: whatever has the same shape, and transforms of its kind.

    Of GDN transforms with more latent channels than the model has, those are kept that vary most on
    ``batch``, images (B, 3, H, W). Transforms that are wider than the donor's, or have more latent
    channels, start as the same functions of an image, with new channels beside: nothing old hears
    these, and what they hear is random, so that no two learn the same. (As in Chen, Goodfellow and
    Shlens, Net2Net, ICLR 2016, but nothing is doubled.)

    Raises:
        InputError: the donor's transforms are wider than the model's.
    """
    own = model.state_dict()
    theirs = _loudest(donor, len(own[_FIRST]), batch) if _FIRST in own else donor.state_dict()
    between = transforms(own).keys()
    is_alike = between == transforms(theirs).keys()
    for name in own.keys() & theirs.keys():
        old = theirs[name]
        if own[name].shape == old.shape:
            own[name] = old
        elif is_alike and (name in between or _is_density(name, theirs)):
            layer = model.get_submodule(name.rpartition(".")[0])
            own[name] = _grown(name, own[name], old, isinstance(layer, nn.ConvTranspose2d))
    model.load_state_dict(own)


def transforms(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights between image and latent, of all weights of a codec by name."""
    return {name: value for name, value in state.items() if name.startswith(("g_a.", "g_s."))}


def _is_density(name: str, state: Mapping[str, Tensor]) -> bool:
    """Whether it is the main latent's, with an entry for each of its channels."""
    return name.startswith(_DENSITY) and not any(key.startswith("h_a.") for key in state)


def _loudest(donor: nn.Module, count: int, batch: Tensor) -> dict[str, Tensor]:
    """A donor's weights, with no more than so many latent channels."""
    state = donor.state_dict()
    if _LAST not in state or len(state[_LAST]) <= count:
        return state
    with torch.no_grad():
        activity = cast(nn.Module, donor.g_a)(batch).std(dim=(0, 2, 3))
    keep = activity.argsort(descending=True)[:count]
    sliced = [name for name in state if name in _LATENT or _is_density(name, state)]
    return state | {name: state[name][keep] for name in sliced}


def _grown(name: str, fresh: Tensor, old: Tensor, is_transposed: bool) -> Tensor:
    """Old weights among fresh ones, from whose inputs nothing goes to old outputs."""
    if fresh.dim() != old.dim() or any(a < b for a, b in zip(fresh.shape, old.shape)):
        raise InputError(
            f"{name}: {tuple(old.shape)} does not fit into {tuple(fresh.shape)}: "
            "start from a codec whose transforms are no wider"
        )
    made = fresh.clone()
    if made.dim() == 4:  # a convolution's
        by_output = made.transpose(0, 1) if is_transposed else made
        outputs, inputs = old.shape[1::-1] if is_transposed else old.shape[:2]
        by_output[:outputs, inputs:] = 0
    made[tuple(map(slice, old.shape))] = old
    return made
