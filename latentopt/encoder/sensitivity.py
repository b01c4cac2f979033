"""What a codec's latent is worth: image error per latent error, and bits per image error.

Both follow from the model alone. Random latents are drawn from its own prior; random vectors v give
E (J^T v)_i^2 = |J e_i|^2, the squared error that a unit error of element i makes (Hutchinson); and
the trade of bits against error is the one at which the codec's own quantization step is the best.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor

from latentopt.adapters import Adapter
from latentopt.encoder.draft import Draft
from latentopt.latents import Prior

_SIZE = 6  # elements of the last latent; the image has 96 to 384 pixels a side
_PROBES = 4


@dataclass(frozen=True)
class Sensitivity:
    """What errors cost, in a codec's main latent."""

    squared: NDArray[np.float64]
    """(M,) squared error of the image, summed over its samples, per squared unit of an element."""
    trade: float
    """Bits that a squared error of 1 is worth to the codec: lambda * 255^2 / 3, were it trained
    for lambda * MSE, with an MSE of 8-bit samples, + bits per pixel."""


@contextmanager
def gradients() -> Iterator[None]:
    """Gradients, whatever mode the caller is in."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def sensitivity_of(adapter: Adapter, lmbda: float | None = None) -> Sensitivity:
    """That of a codec; measured once.

    Args:
        lmbda: of lambda * 255^2 * MSE + bits per pixel, which the model was trained for; None:
            estimated.
    """
    measured = adapter.keep("sensitivity", lambda: measure(adapter.alone()))
    if lmbda is None:
        return measured
    return replace(measured, trade=lmbda * 255**2 / 3)  # three samples per pixel


@torch.no_grad()
def measure(adapter: Adapter) -> Sensitivity:
    """Probe a codec's synthesis; the same model gives the same answer."""
    rng = np.random.default_rng(0)
    latent, prior = draw(adapter, rng, _SIZE)
    like = next(adapter.model.parameters())
    y = torch.from_numpy(latent).to(like).reshape(1, *prior.shape)
    squared = probe(Draft(adapter), y, _PROBES, rng)
    less_rate, more_error = _price_of_a_step(adapter.densities[0].spreads)
    plane = len(prior.levels) // prior.shape[0]
    errors = prior.scaled(np.repeat(squared, plane), power=2) @ more_error[prior.levels]
    trade = float(less_rate[prior.levels].sum() / max(errors, 1e-30))
    return Sensitivity(squared, trade)


def draw(
    adapter: Adapter, rng: np.random.Generator, size: int
) -> tuple[NDArray[np.floating], Prior]:
    """A main latent (n,) at random from the codec's own prior, and its entropy parameters.

    The deepest latent is of ``size`` elements a side.
    """
    grid, above = (size, size), list[NDArray]()
    main, *below = adapter.densities
    for density in reversed(below):
        prior = adapter.walk(above, grid).estimate(np.zeros(0, np.float32))
        above.append(np.rint(density.draw(prior.levels, rng)) + prior.centres)
    walk = adapter.walk(above, grid)
    prior = walk.estimate(np.zeros(int(np.prod(walk.shape)), np.float32))
    return prior.values(main.draw(prior.levels, rng)), prior


@torch.no_grad()
def probe(
    synthesis: Callable[[Tensor], Tensor], y: Tensor, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(M,) squared error of the image per squared unit of an element of ``y`` (1, M, h, w)."""
    with gradients():
        total = torch.zeros(y.shape[1], dtype=torch.float64)
        leaf = y.clone().requires_grad_(True)
        image = synthesis(leaf).float()
        for left in reversed(range(count)):
            v = torch.from_numpy(rng.choice([-1.0, 1.0], image.shape)).to(image)
            [gradient] = torch.autograd.grad((image * v).sum(), leaf, retain_graph=left > 0)
            gradient = gradient.double().nan_to_num(0.0, 0.0, 0.0)  # where float16 overflows
            total += gradient.square().mean(dim=(0, 2, 3)).cpu()
    return total.numpy() / count


def _price_of_a_step(spreads: NDArray[np.float64]) -> NDArray[np.float64]:
    """How rate (bits) falls and error grows from step 0.95 to 1.05, for Gaussians: (2, levels)."""
    t = np.linspace(-6, 6, 2001)  # in spreads
    spreads = np.clip(spreads, 0.02, 10)  # wider ones behave alike
    density = np.exp(-0.5 * t**2) / np.exp(-0.5 * t**2).sum()
    at = []
    for step in (0.95, 1.05):
        k = np.arange(-64, 65)[:, None] * step / spreads  # (129, levels)
        half = step / 2 / spreads
        p = np.maximum(ndtr(k + half) - ndtr(k - half), 1e-300)
        values = t[:, None] * spreads
        error = density @ np.square(values - step * np.rint(values / step))
        at.append((-(p * np.log2(p)).sum(axis=0), error))
    return np.array([at[0][0] - at[1][0], at[1][1] - at[0][1]])
