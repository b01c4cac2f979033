"""One-hot max: symbols and what they stand for, gradients, masks, and its entropy model."""

import pytest
import torch
from support.one_hot import one_hot

from latentopt import InputError
from latentopt.quantizers import MapPrior, OneHotMax, components, is_kept, kept_maps

Y = torch.randn(2, 8, 3, 5, generator=torch.Generator().manual_seed(0))


def quantizer() -> OneHotMax:
    torch.manual_seed(1)
    return OneHotMax(8, maps=4, symbols=6)


def test_the_symbol_is_the_largest_of_the_rectified_negatives() -> None:
    own = quantizer()
    logits = own.logits(Y)
    assert logits.shape == (2, 4, 6, 3, 5) and bool((logits <= 0).all())
    by_hand = torch.conv2d(Y, own.before.weight, own.before.bias).reshape(2, 4, 6, 3, 5)
    torch.testing.assert_close(logits, -own.log_beta.exp() * by_hand.clamp(min=0))
    assert torch.equal(own.symbols_of(Y), logits.argmax(dim=2))


def test_training_and_evaluation_give_the_same() -> None:
    own = quantizer()
    torch.testing.assert_close(own.train()(Y), own.eval()(Y))
    torch.testing.assert_close(own(Y), own.restored(own.symbols_of(Y)))
    means = torch.randn(1, 8, 1, 1)
    torch.testing.assert_close(own(Y, means), own(Y - means) + means)


def test_gradients_are_those_of_softmax() -> None:
    own, y = quantizer().train(), Y.clone().requires_grad_(True)
    weight = torch.randn(2, 4, 6, 3, 5)
    [found] = torch.autograd.grad((own.hot(y) * weight).sum(), y)
    [expected] = torch.autograd.grad((own.logits(y).softmax(dim=2) * weight).sum(), y)
    torch.testing.assert_close(found, expected)
    hot = own.hot(Y)
    torch.testing.assert_close(hot.sum(dim=2), torch.ones(2, 4, 3, 5))
    assert own.log_beta.requires_grad and float(found.abs().sum()) > 0


def test_training_begins_where_all_symbols_occur() -> None:
    own, y = quantizer(), 20 * torch.randn(4, 8, 16, 16, generator=torch.Generator().manual_seed(1))
    own.begin(y)
    for symbols in own.symbols_of(y).unbind(dim=1):
        counts = torch.bincount(symbols.flatten(), minlength=6)
        assert int(counts.min()) > 0 and int(counts.max()) < 0.6 * symbols.numel()
    assert 0.5 < float(own.logits(y).std(dim=(0, 3, 4)).mean()) < 4


def test_training_begins_with_the_nearest_of_clusters() -> None:
    torch.manual_seed(2)
    own, mixing = OneHotMax(6, maps=2, symbols=16), torch.randn(6, 6)
    y = 5 + torch.einsum("ij,bjhw->bihw", mixing, torch.randn(4, 6, 16, 16))
    own.begin(y)
    error = (own(y) - y).square().mean() / y.var(dim=(0, 2, 3)).mean()
    assert float(error) < 0.3  # eight bits for six numbers; random weights: above 1
    weight = torch.tensor([10.0, 1, 1, 1, 1, 1])
    plain = (own(y) - y)[:, 0].square().mean()
    own.begin(y, components(y, weight))
    assert float((own(y) - y)[:, 0].square().mean()) < float(plain) / 2
    with pytest.raises(InputError, match="vary in 1 directions, too few for 2 maps"):
        OneHotMax(3, 2, 4).begin(
            torch.randn(1, 1, 8, 8) * torch.tensor([0.0, 1.0, 2.0])[:, None, None]
        )
    with pytest.raises(InputError, match="1 channels for 2 maps: too few"):
        OneHotMax(1, maps=2, symbols=4).begin(torch.randn(1, 1, 8, 8))
    for latents in (torch.full((1, 4, 8, 8), torch.nan), torch.zeros(0, 4, 8, 8)):
        with pytest.raises(InputError, match="no numbers"):
            OneHotMax(4, maps=2, symbols=4).begin(latents)


def test_the_prior_begins_with_frequencies() -> None:
    prior, symbols = MapPrior(maps=2, symbols=4), torch.randint(0, 3, (2, 2, 50, 50))
    prior.begin(symbols)
    counts = [torch.bincount(symbols[:, m].flatten(), minlength=4) + 1 for m in range(2)]
    expected = torch.stack([own / own.sum() for own in counts])
    torch.testing.assert_close(prior(5, 5).exp()[:, :, 2, 2], expected)


def test_an_absent_map_adds_nothing() -> None:
    own = quantizer()
    symbols = own.symbols_of(Y)
    parts = torch.zeros(2, 8, 3, 5)
    for i in range(4):
        alone = torch.full_like(symbols, -1)
        alone[:, i] = symbols[:, i]
        parts = parts + own.restored(alone) - own.restored(torch.full_like(symbols, -1))
    bias = own.restored(torch.full_like(symbols, -1))
    torch.testing.assert_close(bias, own.after.bias.reshape(1, -1, 1, 1).expand_as(bias))
    torch.testing.assert_close(own.restored(symbols), parts + bias)


def test_masks_are_of_the_papers_equations() -> None:
    q = torch.tensor([0.0, 0.01, 0.5, 1.0])
    assert kept_maps(q, maps=16, least=0).tolist() == [1, 1, 8, 16]
    assert kept_maps(q, maps=16, least=8).tolist() == [8, 9, 12, 16]
    assert is_kept(torch.tensor([1, 3]), 3).tolist() == [[1, 0, 0], [1, 1, 1]]


def test_maps_that_are_not_kept_make_no_difference() -> None:
    model, x = one_hot(), torch.rand(2, 3, 16, 24)
    kept = torch.tensor([2, 5])
    out = model(x, kept)
    symbols = model.quantizer.symbols_of(model.g_a(x))
    symbols[0, 2:] = -1
    torch.testing.assert_close(out["x_hat"], model.g_s(model.quantizer.restored(symbols)))
    log_p = model.prior(4, 6)  # (maps, symbols, h, w)
    nats = [-log_p.gather(1, s[:, None].clamp(min=0))[:, 0] for s in symbols]
    expected = torch.stack([own[:k].mean() for own, k in zip(nats, kept)])
    torch.testing.assert_close(out["nats"], expected)


def test_the_prior_differs_at_borders_only() -> None:
    prior = MapPrior(maps=2, symbols=5)
    large, small = prior(6, 7), prior(3, 3)
    torch.testing.assert_close(large.exp().sum(dim=1), torch.ones(2, 6, 7))
    rows, columns = torch.tensor([0, 1, 1, 1, 1, 2]), torch.tensor([0, 1, 1, 1, 1, 1, 2])
    torch.testing.assert_close(large, small[:, :, rows][:, :, :, columns])


def test_wrong_maps_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 map of 2 symbols"):
        OneHotMax(8, maps=3, symbols=1)
