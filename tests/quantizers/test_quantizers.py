"""Laws of the quantizers: what they do to a latent, what gradients they pass, how they plug in."""

import copy

import pytest
import torch
from compressai.entropy_models import EntropyModel
from hypothesis import given
from hypothesis import strategies as st
from support.models import FAMILIES, photo, tiny
from torch import Tensor

import latentopt
from latentopt.errors import UnsupportedModelError
from latentopt.quantizers import (
    Noise,
    Quantizer,
    SoftStraightThrough,
    StraightThrough,
    install,
    remove,
)

seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
centred = st.booleans()


def made(kind: type[Quantizer], seed: int = 0) -> Quantizer:
    return Noise(torch.Generator().manual_seed(seed)) if kind is Noise else kind()


def latent(seed: int, shape: tuple[int, ...], centred: bool) -> tuple[Tensor, Tensor | None]:
    """A latent and its means, or none."""
    generator = torch.Generator().manual_seed(seed)
    y = 20 * torch.randn(shape, generator=generator)
    return y, 5 * torch.randn(shape, generator=generator) if centred else None


@pytest.mark.parametrize("kind", [Noise, StraightThrough])
@given(seed=seeds, shape=shapes, centred=centred)
def test_evaluation_rounds_about_the_means(
    kind: type[Quantizer], seed: int, shape: tuple[int, ...], centred: bool
) -> None:
    y, means = latent(seed, shape, centred)
    y_hat = made(kind).eval()(y, means)
    own = EntropyModel().quantize(y, "dequantize", means)
    assert torch.equal(y_hat, own) and y_hat.dtype == y.dtype
    residual = y_hat if means is None else y_hat - means
    assert torch.allclose(residual, residual.round(), atol=1e-5)
    assert (y_hat - y).abs().max() <= 0.5 + 1e-5


@pytest.mark.parametrize("kind", [Noise, StraightThrough])
@given(seed=seeds, shape=shapes, centred=centred)
def test_training_passes_gradients_as_they_are(
    kind: type[Quantizer], seed: int, shape: tuple[int, ...], centred: bool
) -> None:
    y, means = latent(seed, shape, centred)
    y.requires_grad_()
    upstream = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    made(kind)(y, means).backward(upstream)
    assert y.grad is not None and torch.equal(y.grad, upstream)


@given(seed=seeds, shape=shapes, centred=centred)
def test_straight_through_trains_on_what_evaluation_gives(
    seed: int, shape: tuple[int, ...], centred: bool
) -> None:
    y, means = latent(seed, shape, centred)
    quantizer = StraightThrough()
    assert torch.allclose(quantizer(y, means), quantizer.rounded(y, means), atol=1e-5)


@given(seed=seeds, shape=shapes, centred=centred)
def test_noise_is_within_half_a_step_and_repeats_with_its_seed(
    seed: int, shape: tuple[int, ...], centred: bool
) -> None:
    y, means = latent(seed, shape, centred)
    noise = made(Noise, seed)
    first, second = noise(y, means), noise(y, means)
    assert (first - y).abs().max() <= 0.5 + 1e-5
    assert not torch.equal(first, second)
    noise.reseed(seed)
    assert torch.equal(noise(y, means), first)


def test_noise_is_uniform() -> None:
    drawn = made(Noise)(torch.zeros(100_000))
    assert abs(float(drawn.mean())) < 0.004 and abs(float(drawn.var()) - 1 / 12) < 0.001
    counts = torch.histc(drawn, 10, -0.5, 0.5)
    assert (counts - 10_000).abs().max() < 500  # 5 standard deviations


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_quantizer_takes_the_place_of_a_codecs_noise(family: str) -> None:
    model, x = tiny(FAMILIES[family]), photo(64, 64)
    names = set(model.state_dict())
    with torch.no_grad():
        rounded = model(x)
        install(StraightThrough(), model)
        assert torch.equal(model(x)["x_hat"], rounded["x_hat"])
        in_training = model.train()(x)
    assert set(model.state_dict()) == names
    assert torch.allclose(in_training["x_hat"], rounded["x_hat"], atol=1e-4)
    for name, likelihoods in rounded["likelihoods"].items():
        assert torch.allclose(in_training["likelihoods"][name], likelihoods, atol=1e-4)


def test_a_copy_has_a_quantizer_of_its_own() -> None:
    model, x = tiny(FAMILIES["mbt2018-mean"]).train(), photo(64, 64)
    install(made(Noise), model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        first = model(x)["x_hat"]
        assert torch.equal(other(x)["x_hat"], first)  # has not drawn yet
        for parameter in other.parameters():
            parameter.zero_()
        model.gaussian_conditional.quantizer.reseed(0)
        assert torch.equal(model(x)["x_hat"], first)
        assert not torch.equal(other(x)["x_hat"], first)


# -- the rate beside the point ---------------------------------------------------------------------


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_soft_straight_through_rate_is_that_of_the_dearer_neighbour(family: str) -> None:
    model, x = tiny(FAMILIES[family]), photo(64, 64)
    with torch.no_grad():
        rounded = model(x)
        install(SoftStraightThrough(), model)
        assert torch.equal(model(x)["x_hat"], rounded["x_hat"])  # evaluation is as it was
        beside = model.train()(x)
    assert torch.allclose(beside["x_hat"], rounded["x_hat"], atol=1e-4)
    for name, likelihoods in rounded["likelihoods"].items():
        dearer = -beside["likelihoods"][name].log() >= -likelihoods.log() - 1e-4
        assert dearer.float().mean() > 0.95, name  # but where a density has two slopes nearby
        assert not torch.allclose(beside["likelihoods"][name], likelihoods)


def test_the_rates_gradient_is_that_at_the_neighbour() -> None:
    y = torch.tensor([0.4, 1.7, -2.2], requires_grad=True)
    quantizer = SoftStraightThrough(epsilon=0.25)

    def likelihood(at: Tensor) -> Tensor:
        return torch.exp(-at.square())

    y_hat = quantizer(y)
    (-likelihood(quantizer.priced(y_hat, likelihood)).log()).sum().backward()
    assert torch.equal(y_hat.detach(), torch.tensor([0.0, 2.0, -2.0]))
    assert y.grad is not None  # 2 y at y_hat ± epsilon; there is no slope at 0
    torch.testing.assert_close(y.grad, torch.tensor([0.0, 4.5, -4.5]))


def test_training_by_it_reaches_every_part_and_tables_stay() -> None:
    model, x = tiny(FAMILIES["mbt2018-mean"]), photo(64, 64)
    install(SoftStraightThrough(), model)
    model.train()
    tables = model.entropy_bottleneck._quantized_cdf.clone()
    model.entropy_bottleneck.update(force=True)
    assert torch.equal(model.entropy_bottleneck._quantized_cdf, tables)
    out = model(x)
    loss = (out["x_hat"] - x).square().mean()
    (loss - sum(p.log().mean() for p in out["likelihoods"].values())).backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert missing == ["entropy_bottleneck.quantiles"]


@pytest.mark.parametrize("kind", [StraightThrough, SoftStraightThrough])
def test_what_was_installed_is_removed(kind: type[Quantizer]) -> None:
    model, x = tiny(FAMILIES["mbt2018-mean"]), photo(64, 64)
    names = [set(vars(module)) for module in model.modules()]
    install(kind(), model)
    with pytest.raises(UnsupportedModelError):
        latentopt.wrap(model)
    remove(model)
    remove(model)  # which changes nothing
    assert [set(vars(module)) for module in model.modules()] == names
    assert latentopt.wrap(model, "int", False)(x)["x_hat"].shape == x.shape
