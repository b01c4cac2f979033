"""Laws of soft rounding: its limits, its inverse, and the gradients of an expectation."""

import math

import pytest
import torch

from latentopt import InputError
from latentopt.quantizers import (
    SoftRound,
    soft_reconstruction,
    soft_round,
    soft_round_inverse,
)

ALPHAS = (0.0, 1e-4, 2e-3, 0.1, 0.99, 1.0, 4.0, 16.0, 40.0, 64.0)
Y = torch.linspace(-3, 3, 2401)  # with all halves of integers


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_what_it_keeps(alpha: float) -> None:
    """Integers and their halves, the order, and the distance to the next cell."""
    s = soft_round(Y, alpha)
    assert s.dtype == torch.float32 and torch.isfinite(s).all()
    kept = torch.arange(-3, 3.5, 0.5)
    torch.testing.assert_close(soft_round(kept, alpha), kept, atol=1e-6, rtol=0)
    assert (s.diff() >= -1e-6).all()
    torch.testing.assert_close(soft_round(Y + 1, alpha), s + 1, atol=2e-6 * (1 + alpha), rtol=0)


def test_limits() -> None:
    torch.testing.assert_close(soft_round(Y, 0.0), Y, atol=0, rtol=0)
    torch.testing.assert_close(soft_round(Y, 2e-3), Y, atol=1e-6, rtol=0)
    away = Y[((Y - Y.floor()) - 0.5).abs() > 0.15]
    torch.testing.assert_close(soft_round(away, 64.0), torch.round(away), atol=1e-6, rtol=0)
    middle = soft_reconstruction(away, 64.0)
    torch.testing.assert_close(middle, torch.round(away), atol=0.02, rtol=0)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_inverse(alpha: float) -> None:
    z = soft_round_inverse(Y, alpha)
    assert torch.isfinite(z).all() and (z.diff() >= -1e-6).all()
    torch.testing.assert_close(soft_round(z, alpha), Y, atol=3e-6 * (1 + alpha), rtol=0)
    there = soft_round_inverse(soft_round(Y.double(), alpha), alpha)
    if alpha <= 16:  # beyond, float64 has no digits for what the forward pass lost
        torch.testing.assert_close(there, Y.double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_gradients_are_those_of_differences(alpha: float) -> None:
    # Not at integers and their halves, where a cell ends.
    y = torch.linspace(-1.31, 1.33, 132, dtype=torch.float64).requires_grad_()
    for function in (soft_round, soft_reconstruction):
        [gradient] = torch.autograd.grad(function(y, alpha).sum(), y)
        assert torch.isfinite(gradient).all()
        with torch.no_grad():
            step = 1e-7
            numeric = (function(y + step, alpha) - function(y - step, alpha)) / (2 * step)
        torch.testing.assert_close(gradient, numeric, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("alpha", [1.0, 4.0, 16.0])
def test_the_reconstruction_is_the_mean_of_what_was_there(alpha: float) -> None:
    """Of a y that is uniform over many cells, given s(y) + u within a narrow range."""
    draw = generator()
    y = torch.rand(1_000_000, generator=draw, dtype=torch.float64) * 4 - 2
    z = soft_round(y, alpha) + torch.rand(len(y), generator=draw, dtype=torch.float64) - 0.5
    for at in (-0.4, 0.1, 0.45):
        near = (z - at).abs() < 0.01
        deviation = float(y[near].std()) / math.sqrt(int(near.sum()))
        # r is the middle of the y whose s is within a half of z
        low, high = (soft_round_inverse(torch.tensor(at + d), alpha) for d in (-0.5, 0.5))
        assert float(y[near].mean()) == pytest.approx(
            float(low + high) / 2, abs=5 * deviation + 5e-3
        )
        assert float(low + high) / 2 == pytest.approx(
            float(soft_reconstruction(torch.tensor(at), alpha)), abs=1e-5
        )


@pytest.mark.parametrize("alpha", [0.5, 4.0, 16.0])
def test_expected_gradients_are_those_of_the_expectation(alpha: float) -> None:
    """Against the slope of the mean over a million draws of the noise."""
    y = torch.tensor([-0.3, 0.05, 0.49], dtype=torch.float64)
    noise = torch.rand(1_000_000, 1, generator=generator(), dtype=torch.float64) - 0.5
    step = 0.02

    def mean(y: torch.Tensor) -> torch.Tensor:
        return soft_reconstruction(soft_round(y, alpha) + noise, alpha).mean(dim=0)

    slope = (mean(y + step) - mean(y - step)) / (2 * step)
    inside = [soft_round(y + d, alpha) for d in (-step, step)]
    expected = (inside[1] - inside[0]) / (2 * step)
    torch.testing.assert_close(slope, expected, atol=0.02, rtol=0.02)
    leaf = y.float().requires_grad_()
    SoftRound(generator(), alpha, expected=True)(leaf).sum().backward()
    [exact] = torch.autograd.grad(
        soft_round(again := y.clone().requires_grad_(), alpha).sum(), again
    )
    torch.testing.assert_close(leaf.grad, exact.float(), atol=1e-4, rtol=1e-4)


def test_the_module_in_training_and_evaluation() -> None:
    y, means = torch.randn(2, 3, 4, 4, generator=generator()), torch.full((1, 3, 1, 1), 0.3)
    for expected in (False, True):
        quantizer = SoftRound(generator(), 4.0, expected)
        made = quantizer(y, means)
        assert made.shape == y.shape and (made - y).abs().max() < 1
        quantizer.reseed(0)
        assert torch.equal(quantizer(y, means), made)
        assert torch.equal(quantizer.eval()(y, means), torch.round(y - means) + means)
    noisy = y + (torch.rand(y.shape, generator=generator()) - 0.5)
    torch.testing.assert_close(SoftRound(generator(), 0.0)(y), noisy, atol=1e-6, rtol=0)


@pytest.mark.parametrize("alpha", [-0.1, 65.0, math.nan, math.inf])
def test_sharpness_that_there_is_not(alpha: float) -> None:
    with pytest.raises(InputError, match="soft rounding takes 0 to 64"):
        soft_round(Y, alpha)
    quantizer = SoftRound(generator(), 1.0)
    with pytest.raises(InputError, match="soft rounding takes 0 to 64"):
        quantizer.alpha = alpha
    assert quantizer.alpha == 1.0
