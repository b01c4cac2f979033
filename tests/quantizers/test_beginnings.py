"""Principal components of latents, bits and maps for them, clusters."""

import pytest
import torch

from latentopt.quantizers.beginnings import clusters, components, shared_bits, shared_out

Y = torch.randn(3, 4, 20, 20, generator=torch.Generator().manual_seed(0))


def test_components_are_uncorrelated_and_invertible() -> None:
    weight, mixing = torch.tensor([1.0, 2, 3, 4]), torch.tensor([[1.0, 0.9, 0, 0]] * 4).triu()
    y = torch.einsum("ij,bjhw->bihw", mixing + torch.eye(4), Y) + 7
    own = components(y, weight)
    each = own.of(y)
    covariance = each.T.cov()
    torch.testing.assert_close(covariance, own.variance.diag(), atol=1e-3, rtol=0)
    assert own.variance.tolist() == sorted(own.variance.tolist(), reverse=True)
    back = each @ own.back.T + own.mean
    torch.testing.assert_close(back, y.movedim(1, -1).flatten(0, 2), atol=1e-4, rtol=0)
    errors = ((each * 0 - each) @ own.back.T * weight).square().sum()
    torch.testing.assert_close(errors, each.square().sum())


@pytest.mark.parametrize("groups", [1, 3, 8])
def test_every_map_gets_components(groups: int) -> None:
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        variance = (6 * torch.randn(8, generator=generator)).exp().sort(descending=True).values
        found = shared_out(variance, groups, most=4)
        assert found.unique().tolist() == list(range(groups))
        assert found.tolist() == sorted(found.tolist())
        bits = shared_bits(variance, 4.0 * groups, most=4)
        assert float(bits.sum()) == pytest.approx(4 * groups, abs=0.01)
        assert float(bits.max()) <= 4


def test_clusters_are_found() -> None:
    true = torch.tensor([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    points = torch.cat([true] * 100) + 0.1 * torch.randn(400, 2)
    found, cost = clusters(points, 4)
    order = (found[:, 0] + 2 * found[:, 1]).argsort()
    torch.testing.assert_close(found[order], true, atol=0.1, rtol=0)
    torch.testing.assert_close(cost, cost[:1].expand(4), rtol=0.01, atol=0)  # all as frequent
    for one, again in zip((found, cost), clusters(points, 4)):
        assert torch.equal(one, again)
    same, _ = clusters(torch.ones(5, 2), 3)  # fewer points than centres that differ
    assert torch.isfinite(same).all()


def test_rare_clusters_cost_more() -> None:
    points = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0)) ** 3
    found, cost = clusters(points, 32)
    squared = torch.cdist(points, found).square()
    numbers = (squared + cost).argmin(dim=1)
    counts = torch.bincount(numbers, minlength=32)
    used = counts > 20
    wanted = -(counts / 4000).log()[used]
    slope = float((cost[used] / wanted).mean())
    torch.testing.assert_close(
        cost[used] / wanted, torch.full_like(wanted, slope), rtol=0.1, atol=0
    )
    error = float(squared.gather(1, numbers[:, None]).mean())
    assert slope == pytest.approx(2 * error, rel=0.1)  # of D(R), which falls by 6 dB a bit
