"""Training one stream for all rates: rates, their lambda, the loss."""

from pathlib import Path

import pytest
import torch
from support.one_hot import one_hot

from latentopt import InputError
from latentopt.training import Loop, Options, RateAdaptive, Rates, Task, adaptive_loss
from latentopt.training.rate_adaptation import VALIDATED

RATES = Rates(maps=5, least=1, lmbda=(0.9, 0.99))


def test_lambda_and_maps_rise_with_the_rate() -> None:
    q = torch.tensor([0.0, 0.5, 1.0])
    torch.testing.assert_close(RATES.lambdas(q), torch.tensor([0.9, 0.945, 0.99]))
    assert RATES.kept(q).tolist() == [1, 3, 5]


def test_rates_are_drawn_with_density_2q() -> None:
    model = RateAdaptive(_Echo(), RATES).train()
    torch.manual_seed(0)
    lmbda = model(torch.zeros(20_000, 3, 1, 1))["lmbda"]
    q = (lmbda - 0.9) / 0.09
    assert float(q.mean()) == pytest.approx(2 / 3, abs=0.01)
    assert float((q < 0.5).float().mean()) == pytest.approx(0.25, abs=0.02)


class _Echo(torch.nn.Module):
    def forward(self, x, kept):
        return {"x_hat": x + 0.1, "nats": kept.float()}


def test_the_loss_is_equation_9() -> None:
    x = torch.rand(3, 3, 4, 4)
    out = {
        "x_hat": x + 0.1,
        "nats": torch.tensor([1.0, 2.0, 3.0]),
        "x": x,
        "lmbda": torch.tensor([0.9, 0.95, 1.0]),
    }
    terms = adaptive_loss(out, x)
    expected = (0.95 * 0.01 + (0.1 * 1 + 0.05 * 2) / 3) / 1
    assert float(terms.loss) == pytest.approx(expected, rel=1e-4)
    assert float(terms.shown["psnr_db"]) == pytest.approx(20, rel=1e-4)


def test_validation_sees_each_rate_once() -> None:
    model = RateAdaptive(one_hot(), RATES).eval()
    x = torch.rand(2, 3, 8, 8)
    out = model(x)
    assert len(out["x_hat"]) == 2 * len(VALIDATED)
    assert torch.equal(out["x"][:2], x) and torch.equal(out["x"][-2:], x)
    torch.testing.assert_close(out["lmbda"][-1], torch.tensor(0.99))


def test_a_codec_learns_and_is_resumed(tmp_path: Path) -> None:
    class Data:
        def batch(self, step: int) -> torch.Tensor:
            return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(step))

    def loop(path: Path) -> Loop:
        model = RateAdaptive(one_hot(), RATES)
        task = Task(
            model,
            adaptive_loss,
            Data(),
            [Data().batch(99)],
            lambda m: torch.optim.Adam(m.parameters()),
            lambda step: 2e-3,
        )
        return Loop(task, path, Options(autocast=None))

    whole = loop(tmp_path / "a.pt")
    whole.train(8, 4)
    assert whole.rows[-1]["loss"] < whole.rows[0]["loss"]
    loop(tmp_path / "b.pt").train(4, 4)
    again = loop(tmp_path / "b.pt")
    again.train(8, 4)
    torch.testing.assert_close(again.rows[-1]["loss"], whole.rows[-1]["loss"])


def test_wrong_rates_are_refused() -> None:
    with pytest.raises(InputError, match="6 of 5 maps always kept"):
        Rates(5, 6, (0.9, 1.0))
    with pytest.raises(InputError, match=r"lambda from 0\.99 to 0\.9:"):
        Rates(5, 1, (0.99, 0.9))
