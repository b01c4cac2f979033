"""What errors cost: measured on syntheses whose answer is known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from compressai.models import MeanScaleHyperprior
from numpy.typing import NDArray
from support.models import tiny
from support.toy import Toy
from torch import Tensor, nn

import latentopt
from latentopt import zoo
from latentopt.adapters import with_step
from latentopt.adapters.hyperprior import MeanScaleAdapter
from latentopt.densities import GaussianDensity
from latentopt.encoder import measure, sensitivity_of
from latentopt.errors import InputError
from latentopt.latents import Prior

Synthesis = Callable[[Tensor], Tensor]

PLAIN = 6 / np.log(2)  # of wide levels: a rate of -log2(step) bits, an error of step^2 / 12


def toy(scales: tuple[float, ...], synthesis: Synthesis) -> Any:
    """Gaussian latents of the given scales, one channel each, of 40 elements a side."""
    levels = np.repeat(np.arange(len(scales), dtype=np.int16), 40**2)
    prior = Prior((len(scales), 40, 40), levels, np.zeros(len(levels)))
    return Toy(GaussianDensity(np.array(scales), tails=()), prior, synthesis)


def linear(gains: tuple[float, ...]) -> tuple[Synthesis, NDArray]:
    """A synthesis that mixes all channels into three, and |J e_c|^2 far from the borders."""
    generator = torch.Generator().manual_seed(0)
    kernels = torch.randn(len(gains), 3, 4, 4, generator=generator)
    kernels *= torch.tensor(gains)[:, None, None, None]
    squared = kernels.double().square().sum(dim=(1, 2, 3)).numpy()

    def synthesis(y: Tensor) -> Tensor:
        return nn.functional.conv_transpose2d(y, kernels.to(y), stride=2, padding=1) + 0.5

    return synthesis, squared


def test_a_linear_synthesis_is_recovered() -> None:
    gains = (0.01, 0.1, 0.3, 2.0, 0.5)
    synthesis, squared = linear(gains)
    found = measure(toy((1.0, 2.0, 3.0, 2.0, 1.0), synthesis))
    np.testing.assert_allclose(found.squared, squared, rtol=0.06)  # border elements lack a part


def test_a_real_adapter_draws_the_latent() -> None:
    """The latent's shape and levels come from the model, the synthesis from here."""
    synthesis, squared = linear(tuple(np.linspace(0.1, 1, 12)))
    model = tiny(MeanScaleHyperprior)
    found = measure(MeanScaleAdapter(model, synthesis=lambda _, y_hat: synthesis(y_hat)))
    assert found.squared.shape == (12,)
    np.testing.assert_allclose(found.squared, squared, rtol=0.12)
    assert found.trade > 0


def test_elements_that_change_nothing_are_worth_nothing() -> None:
    synthesis, _ = linear((0.0, 1.0))
    found = measure(toy((2.0, 2.0), synthesis))
    assert found.squared[0] == 0 < found.squared[1]
    nothing, _ = linear((0.0, 0.0))
    assert np.isfinite(measure(toy((2.0, 2.0), nothing)).trade)


@pytest.mark.parametrize("scale", [3.0, 8.0])
def test_the_trade_of_wide_levels_is_that_of_high_resolution_theory(scale: float) -> None:
    """-dR/dD = 6 / (step^2 ln 2), divided by the image's error per latent error."""
    synthesis, _ = linear((0.2, 0.5))
    found = measure(toy((scale, scale), synthesis))
    assert found.trade == pytest.approx(PLAIN / found.squared.mean(), rel=0.03)


def test_narrow_levels_have_their_say_too() -> None:
    """Where most is rounded to zero, a smaller step costs few bits, and saves little error."""
    synthesis, _ = linear((0.5, 0.5))
    wide, narrow = (measure(toy((s, s), synthesis)).trade for s in (5.0, 0.3))
    assert 0.1 * wide < narrow < 3 * wide


def test_twice_the_gain_is_a_quarter_of_the_trade() -> None:
    trades = [measure(toy((2.0, 1.0), linear((g, 2 * g))[0])).trade for g in (0.2, 0.4)]
    assert trades[0] == pytest.approx(4 * trades[1], rel=1e-4)


def test_measuring_twice_gives_the_same(tiny_model: nn.Module) -> None:
    first, second = (
        sensitivity_of(latentopt.wrap(tiny_model, "int", shift=False).assembly.adapter)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.squared, second.squared)
    assert first.trade == second.trade > 0
    assert np.isfinite(first.squared).all() and (first.squared >= 0).all()


def test_the_trade_of_a_trained_codec_is_near_its_lambda(real_mean: nn.Module) -> None:
    """lab-mean-2 was trained for 0.0035 * 255^2 * MSE + bits per pixel."""
    codec = latentopt.wrap(real_mean, "int", shift=False)
    found = measure(codec.assembly.adapter)
    assert found.trade == pytest.approx(0.0035 * 255**2 / 3, rel=0.3)


def test_the_zoo_says_what_it_was_trained_for() -> None:
    model = zoo.load("tiny-mbt2018-mean", 2)
    assert model.lmbda == zoo.lmbda("tiny-mbt2018-mean", 2) == 0.0045
    codec = latentopt.wrap(model, preset="fast")
    assert codec.trade == pytest.approx(0.0045 * 255**2 / 3)
    assert latentopt.wrap(with_step(model, 2.0), preset="fast").recipe.lmbda == 0.0045 / 4
    assert latentopt.wrap(model, preset="fast", lmbda=0.01).recipe.lmbda == 0.01
    with pytest.raises(InputError, match="positive"):
        latentopt.wrap(model, preset="fast", lmbda=0.0)
