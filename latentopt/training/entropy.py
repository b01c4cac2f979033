"""What CompressAI's entropy models need in training: wide arithmetic, larger steps, quantiles."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar, cast

import torch
from compressai.entropy_models import EntropyBottleneck, EntropyModel
from torch import Tensor, nn

from latentopt.errors import InputError

_Kind = TypeVar("_Kind", bound=nn.Module)

DENSITY_FACTOR = 10.0
"""Of the learning rate of factorized densities: they are of the order of 1, and must move so."""


def in_float32(model: nn.Module) -> None:
    """Keep likelihoods out of autocast: bf16 has too few digits for differences of CDFs."""
    for module in _all(model, EntropyModel):
        own = type(module).forward.__get__(module)
        module.forward = partial(_widely, own)


def _widely(
    forward: Callable[..., tuple[Tensor, Tensor]], *args: object, **kwargs: object
) -> tuple[Tensor, Tensor]:
    wide = [_float(a) for a in args]
    named = {name: _float(a) for name, a in kwargs.items()}
    with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
        return forward(*wide, **named)


def _float(argument: object) -> object:
    return argument.float() if isinstance(argument, Tensor) else argument


def parameter_groups(model: nn.Module) -> list[dict[str, object]]:
    """A model's parameters as groups for a :class:`Loop`, but for quantiles.

    Those have a loss of their own: see :func:`fit_quantiles`.
    """
    densities = {id(p) for d in _all(model, EntropyBottleneck) for p in d.parameters()}
    quantiles = {id(d.quantiles) for d in _all(model, EntropyBottleneck)}
    trained = [p for p in model.parameters() if id(p) not in quantiles]
    return [
        {"params": [p for p in trained if id(p) not in densities], "factor": 1.0},
        {"params": [p for p in trained if id(p) in densities], "factor": DENSITY_FACTOR},
    ]


@torch.inference_mode(False)  # in which nothing could be learned
def fit_densities(model: nn.Module, images: Tensor, steps: int = 600) -> None:
    """Learn the factorized densities of the latents that a model has for (B, 3, H, W) images.

    Without the transforms a step takes milliseconds; and transforms that are trained along with
    densities that are still far off would adapt to these. The rest of the model stays as it is.

    Raises:
        InputError: there is no latent, or it is not finite.
    """
    for density, latent in _inputs(model, images):
        if not (latent.numel() and latent.isfinite().all()):
            raise InputError("densities cannot learn from a latent that is empty or not finite")
        parameters = [p for p in density.parameters() if p is not density.quantiles]
        adam = torch.optim.Adam(parameters, lr=0.1)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        for _ in range(steps):
            _, likelihoods = density(latent, training=True)
            adam.zero_grad()
            (-likelihoods.log2().mean()).backward()
            adam.step()
            falling.step()
        adam.zero_grad()


@torch.no_grad()
def _inputs(model: nn.Module, images: Tensor) -> list[tuple[EntropyBottleneck, Tensor]]:
    """Each factorized density, with the latent that it is of."""
    found: list[tuple[EntropyBottleneck, Tensor]] = []
    densities = list(_all(model, EntropyBottleneck))

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.append((cast(EntropyBottleneck, module), inputs[0]))

    hooks = [density.register_forward_pre_hook(note) for density in densities]
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found


@torch.inference_mode(False)
def fit_quantiles(model: nn.Module, steps: int = 400) -> None:
    """Medians and tails of the factorized densities, which tables are centred and cut by."""
    densities = list(_all(model, EntropyBottleneck))
    adam = torch.optim.Adam([density.quantiles for density in densities], lr=0.05)
    for step in range(steps):
        adam.param_groups[0]["lr"] = 0.05 * (1 - step / steps) + 1e-4
        adam.zero_grad()
        torch.stack([density.loss() for density in densities]).sum().backward()
        adam.step()


def _all(model: nn.Module, kind: type[_Kind]) -> Iterator[_Kind]:
    return (module for module in model.modules() if isinstance(module, kind))
