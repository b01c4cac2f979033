"""Refinement on syntheses that are linear, where good points are known or can be compared."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.crossing import sent
from torch import Tensor

from latentopt.densities import GaussianDensity
from latentopt.encoder import Cheapest, Field, Objective, Prices, Schedule, refine
from latentopt.latents import Prior
from latentopt.latents.lattice import Latent, LatticeChannel, pack
from latentopt.lattices import RULES

SHAPE = (3, 16, 16)
N = int(np.prod(SHAPE))
DENSITY = GaussianDensity(np.array([0.3, 0.8, 2.0]))
PRICES = Prices(DENSITY)
CHANNELS = {name: LatticeChannel(DENSITY, RULES[name]) for name in RULES}
GAIN = 0.01  # keeps images within [0, 1], so that nothing is clipped


def prior_of(seed: int = 0) -> tuple[NDArray[np.float32], Prior]:
    rng = np.random.default_rng(seed)
    levels = np.repeat(np.arange(3, dtype=np.int16), N // 3)
    centres = rng.normal(0, 2, N).astype(np.float32)
    values = centres + DENSITY.scales[levels] * rng.standard_normal(N)
    return values.astype(np.float32), Prior(SHAPE, levels, centres)


def apart(y: Tensor) -> Tensor:
    """Each latent element is one sample of the image."""
    return GAIN * y + 0.5


def mixed(y: Tensor) -> Tensor:
    """Each latent element reaches 27 samples, which it shares with its neighbours."""
    generator = torch.Generator().manual_seed(0)
    kernels = torch.randn(3, 3, 3, 3, generator=generator).to(y)
    return GAIN * torch.nn.functional.conv2d(y, kernels, padding=1) / 27**0.5 + 0.5


def objective_of(synthesis, weight: float) -> tuple[Objective, Tensor, Prior]:
    """A target that the synthesis reproduces from the latent as it is."""
    values, prior = prior_of()
    y = torch.from_numpy(values)
    x = synthesis(y.reshape(1, *SHAPE))
    made = Objective(synthesis, x, weight / GAIN**2, torch.full((N,), weight))
    return made, y, prior


def cost_of(objective: Objective, latent: Latent) -> float:
    image = objective.synthesis(torch.from_numpy(latent.hat).float().reshape(1, *SHAPE))
    error = float((image - objective.x).square().sum(dtype=torch.float64))
    return float(latent.bits().sum()) + objective.trade * error


def quantized(name: str, values: NDArray, prior: Prior, weight: NDArray | None = None) -> Latent:
    choose = None if weight is None else Cheapest(PRICES, weight)
    return sent(CHANNELS[name], values, prior, choose=choose)


def field_of(name: str, objective: Objective, y: Tensor, prior: Prior) -> Field:
    lattices = CHANNELS[name].tables.lattices
    return Field(DENSITY.spreads, PRICES, pack(prior.levels, lattices), prior, y, objective.weight)


def refined(
    name: str, objective: Objective, y: Tensor, prior: Prior, schedule: Schedule
) -> NDArray[np.float32]:
    field = field_of(name, objective, y, prior)
    return refine(objective, y, SHAPE, lambda *_: field, schedule).numpy()


# -- the parts -------------------------------------------------------------------------------------


def test_schedules_run_geometrically_from_first_to_last() -> None:
    schedule = Schedule(5, (2.0, 0.125), (0.4, 0.1))
    found = [schedule.at(step) for step in range(5)]
    assert [t for t, _ in found] == pytest.approx([2, 1, 0.5, 0.25, 0.125])
    assert [p for _, p in found] == pytest.approx([0.4 * 4 ** (-k / 4) for k in range(5)])
    assert Schedule(1, (0.3, 0.7), (0.5, 0.9)).at(0) == (0.3, 0.5)


def test_the_pull_leads_back_to_the_target_where_elements_are_apart() -> None:
    """The error is exactly quadratic there, and its weight is its whole curvature."""
    objective, y, _ = objective_of(apart, 30.0)
    rng = np.random.default_rng(1)
    away = torch.from_numpy(rng.uniform(-1, 1, N)).float()
    pull = objective.pull(y + away, SHAPE)
    torch.testing.assert_close(pull, -away, atol=2e-3, rtol=0)
    assert float(objective.pull(y, SHAPE).abs().max()) == 0


def test_the_pull_is_bounded_and_follows_the_gradient() -> None:
    objective, y, _ = objective_of(mixed, 5.0)
    pull = objective.pull(y + 100, SHAPE)
    assert torch.isfinite(pull).all() and float(pull.abs().max()) <= 1.2 + 1e-6
    moved = y + 0.3 * torch.from_numpy(np.random.default_rng(2).standard_normal(N)).float()
    pull = objective.pull(moved, SHAPE)
    before, after = (
        (mixed(latent.reshape(1, *SHAPE)).clamp(0, 1) - objective.x).square().sum()
        for latent in (moved, moved + 1e-2 * pull)
    )
    assert after < before


def test_an_image_beyond_the_latents_own_part_does_not_count() -> None:
    """The synthesis gives padding, too; x is cropped."""
    objective, y, _ = objective_of(apart, 30.0)
    cropped = Objective(apart, objective.x[..., :10, :7], objective.trade, objective.weight)
    pull = cropped.pull(y + 0.5, SHAPE)
    inside = pull.reshape(SHAPE)[:, :10, :7]
    torch.testing.assert_close(inside, torch.full_like(inside, -0.5), atol=2e-3, rtol=0)
    assert float(pull.reshape(SHAPE)[:, 10:].abs().max()) == 0


# -- the annealing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["int", "hex", "oct"])
def test_where_elements_are_apart_annealing_finds_the_cheapest_points(name: str) -> None:
    weight = 12.0
    objective, y, prior = objective_of(apart, weight)
    target = refined(name, objective, y, prior, Schedule(40, (1.0, 0.02), (0.5, 0.5)))
    weights = np.full(N, weight, np.float32)
    direct = quantized(name, y.numpy(), prior, weights)
    near = quantized(name, target, prior)
    assert np.mean(np.isclose(near.hat, direct.hat, atol=1e-4)) > 0.97
    costs = [cost_of(objective, latent) for latent in (near, direct)]
    assert costs[0] == pytest.approx(costs[1], rel=0.002)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("steps", [2, 30])
def test_refined_points_cost_less_than_the_nearest(name: str, steps: int) -> None:
    weight = 12.0
    objective, y, prior = objective_of(mixed, weight)
    target = refined(name, objective, y, prior, Schedule(steps, (1.5, 0.2), (0.3, 0.1)))
    costs = [
        cost_of(objective, quantized(name, y.numpy(), prior)),
        cost_of(objective, quantized(name, target, prior, np.full(N, 60, np.float32))),
    ]
    assert costs[1] < (0.99 if steps == 2 else 0.97) * costs[0]


def test_a_stop_leaves_the_latent_as_far_as_it_got() -> None:
    objective, y, prior = objective_of(mixed, 12.0)
    field = field_of("oct", objective, y, prior)
    schedule = Schedule(10, (1.0, 0.3), (0.3, 0.3))
    asked: list[int] = []

    def until(last: int):
        def progress(step: int) -> bool:
            asked.append(step)
            return step < last

        return refine(objective, y, SHAPE, lambda *_: field, schedule, progress)

    none = until(0)
    assert torch.equal(none, y)
    three = until(3)
    assert asked == [0, 0, 1, 2, 3] and not torch.equal(three, y)
    assert torch.equal(until(3), three)


def test_each_step_may_have_a_field_of_its_own() -> None:
    objective, y, prior = objective_of(mixed, 12.0)
    seen: list[tuple[int, Tensor]] = []

    def field(step: int, mean: Tensor) -> Field:
        seen.append((step, mean))
        return field_of("int", objective, y, prior)

    made = refine(objective, y, SHAPE, field, Schedule(3, (1.0, 0.3), (0.3, 0.3)))
    assert [step for step, _ in seen] == [0, 1, 2]
    assert torch.equal(seen[0][1], y) and not torch.equal(seen[2][1], seen[1][1])
    assert made.shape == y.shape and not made.requires_grad
