"""What the method rests on: second moments of the cells, and codecs at the optimum of rate and
distortion (the paper's Theorem 2)."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from latentopt import zoo
from latentopt.bench.datasets import resolve
from latentopt.lattices import LATTICES
from latentopt.media.images import read_image


@pytest.mark.parametrize("name", LATTICES)
def test_second_moment_of_the_cell_by_sampling(name: str) -> None:
    """Points drawn over many cells are as far from the lattice as kappa says: see pmf.md."""
    lattice, count = LATTICES[name], 400_000
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.uniform(-50, 50, (count // lattice.dim, lattice.dim)))
    squared = (x - lattice.points(lattice.nearest(x).double())).square().mean(dim=1)
    error = float(squared.std()) / len(squared) ** 0.5
    assert abs(float(squared.mean()) - lattice.second_moment) < 4 * error
    assert error < 0.003 * lattice.second_moment


@pytest.mark.parametrize("name", list(LATTICES)[1:])
def test_a_cell_is_centred_and_white(name: str) -> None:
    """The quantization error has mean 0 and the covariance kappa times the identity."""
    lattice, count = LATTICES[name], 50_000
    x = torch.from_numpy(np.random.default_rng(1).uniform(-50, 50, (count, lattice.dim)))
    error = x - lattice.points(lattice.nearest(x).double())
    covariance = torch.cov(error.T)
    white = lattice.second_moment * torch.eye(lattice.dim, dtype=torch.float64)
    assert float(error.mean(dim=0).abs().max()) < 0.006
    assert float((covariance - white).abs().max()) < 0.0015


@dataclass(frozen=True)
class Gradients:
    """Of both terms of the training loss by a latent, with the noise that a codec was trained with.

    All are (M, n): channels, and places of all photographs.
    """

    latent: Tensor
    rate: Tensor
    distortion: Tensor

    def along_the_latent(self, term: str) -> float:
        """How a term changes where all latents grow by the same factor, per place."""
        return float((getattr(self, term) * self.latent).sum(dim=0).mean())


def gradients(codec: str, quality: int, images: Iterable[Tensor]) -> Gradients:
    """Of an embedded codec on images (1, 3, H, W)."""
    model = zoo.load(codec, quality)
    torch.manual_seed(0)
    found = []
    for x in images:
        y = model.g_a(x).detach().requires_grad_(True)
        noisy, likelihoods = with_noise(model, y)
        rate = -likelihoods.log2().sum() / x[0, 0].numel()
        distortion = model.lmbda * 255**2 * (model.g_s(noisy) - x).square().mean()
        terms = [torch.autograd.grad(term, y, retain_graph=True)[0] for term in (rate, distortion)]
        found.append([t.detach().flatten(2)[0] for t in (y, *terms)])
    return Gradients(*(torch.cat(parts, dim=1) for parts in zip(*found)))


def with_noise(model: Any, y: Tensor) -> tuple[Tensor, Tensor]:
    """The latent as in training, and the likelihoods of all latents, flattened."""
    if not hasattr(model, "h_a"):
        noisy, likelihoods = model.entropy_bottleneck(y, training=True)
        return noisy, likelihoods.flatten()
    z_hat, z_likelihoods = model.entropy_bottleneck(model.h_a(y), training=True)
    scales, means = model.h_s(z_hat).chunk(2, 1)
    noisy, likelihoods = model.gaussian_conditional(y, scales, means, training=True)
    return noisy, torch.cat([likelihoods.flatten(), z_likelihoods.flatten()])


@pytest.mark.parametrize("codec", ["tiny-bmshj2018-factorized", "tiny-mbt2018-mean"])
@pytest.mark.parametrize("quality", [1, 3])
def test_mean_gradients_nearly_vanish(codec: str, quality: int) -> None:
    """Theorem 2 (KKT): moving all latents of a channel alike does not lower the loss.

    Such a move is a bias of the analysis. Single gradients are ten times as large and more.
    """
    images = [read_image(path)[..., :256, :384].contiguous() for path in resolve("sample").paths]
    found = gradients(codec, quality, images)
    total = found.rate + found.distortion
    assert total.mean(dim=1).norm() < 0.12 * total.norm(dim=0).square().mean().sqrt()
    assert found.along_the_latent("distortion") < 0 < found.along_the_latent("rate")


@pytest.mark.parametrize("quality", [1, 3])
def test_gradients_of_rate_and_distortion_cancel_along_the_latent(
    quality: int, shared: Path
) -> None:
    """Theorem 2 (KKT) where neither term's mean is 0: a common factor, one of the last weights.

    On photographs that the codec was trained on, at half size: there it is at its optimum.
    """
    paths = sorted((shared / "data/clic").glob("*.png"))
    training = [path for i, path in enumerate(paths) if i % 7][:10]
    halves = (avg_pool2d(read_image(path), 2) for path in training)
    images = [x[..., :512, :512].contiguous() for x in halves if min(x.shape[-2:]) >= 512]
    found = gradients("tiny-bmshj2018-factorized", quality, images)
    rate, distortion = (found.along_the_latent(term) for term in ("rate", "distortion"))
    assert distortion < 0 < rate
    assert abs(rate + distortion) < 0.15 * rate
