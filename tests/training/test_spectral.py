"""Spectral normalization: the same function at first, and norms that stay."""

import copy

import pytest
import torch
from compressai.models import FactorizedPrior
from support.models import photo, tiny
from torch import Tensor

from latentopt.training import hold_norms, release_norms

X = photo(64, 64)


def norms(model: FactorizedPrior) -> list[float]:
    weights = [layer.weight for layer in model.g_a if hasattr(layer, "weight")]
    return [float(torch.linalg.matrix_norm(w.flatten(1), ord=2)) for w in weights]


def test_it_begins_with_the_same_function_and_leaves_plain_weights() -> None:
    model = tiny(FactorizedPrior)
    names, first = set(model.state_dict()), model.g_a(X)
    hold_norms(model.g_a)
    model.eval()
    held = copy.deepcopy(model)
    torch.testing.assert_close(model.g_a(X), first, atol=1e-3, rtol=1e-3)
    release_norms(model.g_a)
    assert set(model.state_dict()) == names
    torch.testing.assert_close(model.g_a(X), held.g_a(X))
    release_norms(model.g_a)  # which changes nothing
    assert set(model.state_dict()) == names


@pytest.mark.parametrize("norm", [None, 1.0])
def test_norms_stay_in_training(norm: float | None) -> None:
    model = tiny(FactorizedPrior)
    before = norms(model) if norm is None else [norm] * len(norms(model))
    hold_norms(model.g_a, norm)
    adam = torch.optim.Adam(model.g_a.parameters(), lr=5e-4)
    for _ in range(10):
        adam.zero_grad()
        loss: Tensor = -model.g_a(X).square().mean()  # which makes weights grow
        loss.backward()
        adam.step()
    release_norms(model.g_a.eval())
    assert norms(model) == pytest.approx(before, rel=0.03)
