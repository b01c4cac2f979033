"""Entropy models in training: likelihoods in float32, every parameter in one group, quantiles."""

import copy

import pytest
import torch
from support.models import FAMILIES, photo, tiny

from latentopt.errors import InputError
from latentopt.training import fit_densities, fit_quantiles, in_float32, parameter_groups


def test_likelihoods_stay_wide_under_autocast() -> None:
    model, x = tiny(FAMILIES["mbt2018-mean"]).train(), photo(64, 64)
    in_float32(model)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(x)
    assert all(p.dtype == torch.float32 for p in out["likelihoods"].values())


def test_a_copy_uses_its_own_density() -> None:
    model, x = tiny(FAMILIES["bmshj2018-factorized"]), photo(64, 64)
    in_float32(model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        before = other(x)["likelihoods"]["y"]
        model.entropy_bottleneck.matrices[0] += 1
        assert torch.equal(other(x)["likelihoods"]["y"], before)


def test_groups_hold_all_parameters_but_quantiles_once() -> None:
    model = tiny(FAMILIES["mbt2018-mean"])
    networks, densities = parameter_groups(model)
    names = {id(p): name for name, p in model.named_parameters()}
    found = [[names[id(p)] for p in group["params"]] for group in (networks, densities)]
    assert all(name.startswith("entropy_bottleneck.") for name in found[1])
    assert sorted([*found[0], *found[1], "entropy_bottleneck.quantiles"]) == sorted(names.values())


def test_densities_are_learned_and_nothing_else() -> None:
    model, x = tiny(FAMILIES["bmshj2018-factorized"]).train(), photo(64, 64)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def rate() -> float:
        with torch.no_grad():
            return -float(model.eval()(x)["likelihoods"]["y"].log2().mean())

    untrained = rate()
    fit_densities(model.train(), x, steps=200)
    assert rate() < 0.6 * untrained
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed and all(name.startswith("entropy_bottleneck.") for name in changed)
    assert "entropy_bottleneck.quantiles" not in changed


def test_densities_and_quantiles_are_learned_where_gradients_are_off() -> None:
    model, x = tiny(FAMILIES["bmshj2018-factorized"]), photo(64, 64)
    density = model.entropy_bottleneck
    for off in (torch.inference_mode, torch.no_grad):
        before = [p.detach().clone() for p in density.parameters()]
        with off():
            fit_densities(model, x, steps=2)
            fit_quantiles(model, steps=2)
        assert not any(map(torch.equal, before, density.parameters()))


def test_learning_densities_leaves_no_gradients() -> None:
    model = tiny(FAMILIES["bmshj2018-factorized"])
    fit_densities(model, photo(64, 64), steps=2)
    assert all(p.grad is None for p in model.parameters())


def test_densities_learn_from_no_latent_that_is_not_finite() -> None:
    model, x = tiny(FAMILIES["bmshj2018-factorized"]).train(), photo(64, 64)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for images in (x * float("nan"), x[:0]):
        with pytest.raises(InputError, match="empty or not finite"):
            fit_densities(model, images)
    assert all(torch.equal(value, before[n]) for n, value in model.state_dict().items())


def test_quantiles_find_the_density() -> None:
    model = tiny(FAMILIES["bmshj2018-factorized"])
    density = model.entropy_bottleneck
    with torch.no_grad():
        density.quantiles += 3
    before = float(density.loss().detach())
    fit_quantiles(model)
    assert float(density.loss().detach()) < 0.1 * before
