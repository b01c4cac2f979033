"""The training loop: a stopped run equals one that was not, the best is kept, and all is logged."""

import csv
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from compressai.models import MeanScaleHyperprior
from support.models import photo
from torch import Tensor, nn

from latentopt.errors import TrainingError
from latentopt.quantizers import Noise, install
from latentopt.training import (
    Loop,
    Options,
    RateDistortion,
    Task,
    Terms,
    TimedCosine,
    WarmCosine,
    fit_quantiles,
    in_float32,
    soap,
)


class Killed(Exception):
    """As if the process were gone."""


@dataclass(frozen=True)
class Photos:
    """Other synthetic photographs at each step; may end the process at one."""

    killed_at: int = -1

    def batch(self, step: int) -> Tensor:
        if step == self.killed_at:
            raise Killed
        return photo(64, 64, batch=2, seed=step)


def codec_task(data: Photos, optimizer: Callable[[nn.Module], torch.optim.Optimizer]) -> Task:
    """A real codec and loss: noise of CompressAI's own for z, ours for y."""
    torch.manual_seed(5)
    model = MeanScaleHyperprior(8, 12)
    install(Noise(torch.Generator().manual_seed(9)), model.gaussian_conditional)
    in_float32(model)
    return Task(
        model,
        RateDistortion(0.01),
        data,
        held_out=[photo(64, 128, seed=99)],
        optimizer=optimizer,
        schedule=WarmCosine(1e-3, warmup=2, steps=9),
        before_check=lambda m: fit_quantiles(m, steps=5),
    )


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(p for n, p in model.named_parameters() if "quantiles" not in n)


@pytest.mark.parametrize("name", ["adam", "soap"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
    name: str, layout: torch.memory_format, tmp_path: Path
) -> None:
    if name == "soap":
        pytest.importorskip("pytorch_optimizer", reason="pip install 'latentopt[train]'")
    optimizer = {"adam": adam, "soap": soap}[name]
    options = Options(seed=3, memory_format=layout)
    whole = Loop(codec_task(Photos(), optimizer), tmp_path / "whole.pt", options)
    whole.train(9, check_every=2)

    for killed_at in (1, 5, 8):  # before the first check, between checks, after the last but one
        stopped = codec_task(Photos(killed_at), optimizer)
        with pytest.raises(Killed):
            Loop(stopped, tmp_path / "stopped.pt", options).train(9, check_every=2)
        torch.rand(7)  # whatever else draws random numbers
    resumed = Loop(codec_task(Photos(), optimizer), tmp_path / "stopped.pt", options)
    assert resumed.step == 8
    resumed.train(9, check_every=2)

    assert resumed.best == whole.best
    theirs = resumed.model.state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in whole.model.state_dict().items())
    logs = [[{**row, "seconds": 0} for row in loop.rows] for loop in (whole, resumed)]
    assert logs[0] == logs[1] and [row["step"] for row in logs[0]] == [2, 4, 6, 8, 9]
    best = [torch.load(tmp_path / f"{k}.best.pt", weights_only=True) for k in ("whole", "stopped")]
    assert best[0]["step"] == best[1]["step"]
    assert all(torch.equal(v, best[1]["model"][k]) for k, v in best[0]["model"].items())


def test_a_loop_leaves_torchs_random_numbers_alone(tmp_path: Path) -> None:
    loop = Loop(codec_task(Photos(), adam), tmp_path / "x.pt")
    before = torch.get_rng_state()
    loop.train(1, check_every=1)
    assert torch.equal(torch.get_rng_state(), before)


@dataclass
class Script:
    """A loss that follows a script in validation: what is best is known."""

    losses: list[float]
    seen: list[float] = field(default_factory=list)

    def __call__(self, out: Tensor, batch: Tensor) -> Terms:
        if out.requires_grad:
            return Terms(out.sum(), {})
        loss = torch.tensor(self.losses[len(self.seen)])
        self.seen.append(float(out.sum()))
        return Terms(loss, {"output": out.sum()})


class Ones:
    def batch(self, step: int) -> Tensor:
        return torch.ones(1, 1)


def toy_task(losses: list[float]) -> Task:
    return Task(
        nn.Linear(1, 1),
        Script(losses),
        Ones(),
        held_out=[torch.ones(1, 1)],
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=1.0),
        schedule=lambda step: 0.1,
    )


def test_the_best_weights_are_kept_and_every_check_is_logged(tmp_path: Path) -> None:
    task = toy_task([3.0, 1.0, 2.0, 1.5])
    loop = Loop(task, tmp_path / "x.pt", Options(autocast=None))
    loop.train(8, check_every=2)
    assert loop.best == 1.0
    best = torch.load(tmp_path / "x.best.pt", weights_only=True)
    assert best["step"] == 4
    kept = best["model"]["weight"] + best["model"]["bias"]
    assert isinstance(task.loss, Script) and float(kept) == pytest.approx(task.loss.seen[1])
    with open(tmp_path / "x.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4", "6", "8"]
    assert [float(row["loss"]) for row in rows] == [3.0, 1.0, 2.0, 1.5]
    assert list(rows[0]) == ["step", "seconds", "output", "loss"]

    again = Loop(toy_task([1.2, 0.5]), tmp_path / "x.pt", Options(autocast=None))
    again.train(12, check_every=2)  # the first is no better than what was best before
    assert torch.load(tmp_path / "x.best.pt", weights_only=True)["step"] == 12


def test_a_run_ends_by_the_clock_and_checks_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    class Slow(Ones):
        """A batch takes a second."""

        def batch(self, step: int) -> Tensor:
            nonlocal now
            now += 1
            return super().batch(step)

    rate = TimedCosine(1.0, warmup=2, seconds=7, clock=lambda: now)
    rates: list[float] = []

    def noted(step: int) -> float:
        rates.append(rate(step))
        return 0.1

    task = replace(toy_task([4.0, 3.0, 2.0]), data=Slow(), schedule=noted)
    loop = Loop(task, tmp_path / "x.pt", Options(autocast=None))
    loop.train(math.inf, check_every=3, seconds=7)
    assert [row["step"] for row in loop.rows] == [3, 6, 7]
    assert torch.load(tmp_path / "x.pt", weights_only=True)["step"] == 7
    cosine = WarmCosine(1.0, warmup=2, steps=7)
    assert rates == pytest.approx([cosine(step) for step in range(7)])
    loop.train(math.inf, check_every=3, seconds=0)
    assert loop.step == 7


def test_rates_follow_the_schedule_and_each_groups_factor(tmp_path: Path) -> None:
    steps: list[int] = []
    model = nn.Linear(1, 1)
    groups = [{"params": [model.weight], "factor": 10.0}, {"params": [model.bias]}]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    task = replace(
        toy_task([1.0]),
        model=model,
        optimizer=lambda _: optimizer,
        schedule=lambda step: 0.01 * (step + 1),
        before_step=steps.append,
    )
    weight, bias = model.weight.item(), model.bias.item()
    Loop(task, tmp_path / "x.pt", Options(autocast=None, max_norm=math.inf)).train(3, 3)
    assert steps == [0, 1, 2]
    assert bias - model.bias.item() == pytest.approx(0.01 + 0.02 + 0.03)  # gradients are 1
    assert weight - model.weight.item() == pytest.approx(0.1 + 0.2 + 0.3)


def test_gradients_are_clipped(tmp_path: Path) -> None:
    task = replace(toy_task([1.0]), model=nn.Linear(1, 1, bias=False), schedule=lambda _: 1.0)
    weight = task.model.weight.item()
    Loop(task, tmp_path / "x.pt", Options(autocast=None, max_norm=0.25)).train(1, 1)
    assert weight - task.model.weight.item() == pytest.approx(0.25, rel=1e-4)


def test_a_broken_loss_ends_training_in_one_line(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Broken:
        def __call__(self, out: Tensor, batch: Tensor) -> Terms:
            return Terms(out.sum() * math.nan, {})

    loop = Loop(replace(toy_task([]), loss=Broken()), tmp_path / "x.pt")
    with pytest.raises(TrainingError, match="x: the loss is nan at step 2"):
        loop.train(4, check_every=2)
    assert not any(tmp_path.iterdir())


def test_batches_of_several_tensors_reach_the_model(tmp_path: Path) -> None:
    class Pairs:
        def batch(self, step: int) -> tuple[Tensor, Tensor]:
            return torch.ones(2, 1), torch.tensor([0, 1])  # images and labels, say

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, batch: tuple[Tensor, Tensor]) -> Tensor:
            x, label = batch
            return self.scale * (x.sum() + label.sum())

    model = Sum()
    task = replace(toy_task([1.0]), model=model, data=Pairs(), held_out=[Pairs().batch(0)])
    Loop(task, tmp_path / "x.pt", Options(autocast=None)).train(1, 1)
    assert model.scale.item() == pytest.approx(0.9)  # the gradient is 3, clipped to 1


@pytest.mark.parametrize("steps", [1, 7, 100])
def test_warm_cosine_rises_then_falls_to_a_hundredth(steps: int) -> None:
    rate = WarmCosine(2.0, warmup=3, steps=steps)
    rates = [rate(step) for step in range(steps + 1)]
    assert rate(0) <= 2.0 / 3 * 1.0001 and max(rates) <= 2.0
    if steps > 3:
        assert rates[-1] == pytest.approx(0.02)
        assert all(a > b for a, b in itertools.pairwise(rates[3:]))


DAMAGES = {
    "empty": lambda data: b"",
    "halved": lambda data: data[: len(data) // 2],
    "cut": lambda data: data[:-10],
    "junk": lambda data: b"junk" * 50,
    "zeros": lambda data: bytes(len(data)),
}
"""What may become of a file, whose readers raise something else for each."""


@pytest.mark.parametrize("name", ["x.pt", "x.best.pt"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_refused_in_one_line(damage: str, name: str, tmp_path: Path) -> None:
    Loop(toy_task([1.0]), tmp_path / "x.pt", Options(autocast=None)).train(1, 1)
    file = tmp_path / name
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    with pytest.raises(TrainingError) as caught:
        Loop(toy_task([]), tmp_path / "x.pt")
    assert str(caught.value) == f"{file}: damaged; move {tmp_path / 'x.pt'} away to train anew"
    (tmp_path / "x.pt").unlink()  # as it says
    again = Loop(toy_task([2.0]), tmp_path / "x.pt", Options(autocast=None))
    again.train(1, 1)
    assert again.take_best()["loss"] == 2.0


def test_a_run_lacking_its_best_weights_is_refused(tmp_path: Path) -> None:
    loop = Loop(toy_task([1.0]), tmp_path / "x.pt", Options(autocast=None))
    loop.train(1, 1)
    best = tmp_path / "x.best.pt"
    content = best.read_bytes()
    best.unlink()
    with pytest.raises(
        TrainingError, match=r"x\.best\.pt: missing; move .*x\.pt away to train anew"
    ):
        Loop(toy_task([]), tmp_path / "x.pt")
    torch.save([1], best)
    with pytest.raises(TrainingError, match=r"x\.best\.pt: no state with model, step, seconds"):
        Loop(toy_task([]), tmp_path / "x.pt")
    best.write_bytes(content)
    assert Loop(toy_task([]), tmp_path / "x.pt").take_best() == loop.rows[0]


def test_a_state_of_another_training_is_refused(tmp_path: Path) -> None:
    task = toy_task([1.0, 1.0])
    loop = Loop(task, tmp_path / "x.pt", Options(autocast=None))
    loop.train(1, 1)
    wide = replace(task, model=nn.Linear(2, 1))
    with pytest.raises(TrainingError, match=r"x\.pt: of another training; move"):
        Loop(wide, tmp_path / "x.pt")
    more = replace(
        task, optimizer=lambda m: torch.optim.SGD([{"params": [p]} for p in m.parameters()])
    )
    with pytest.raises(TrainingError, match=r"x\.pt: of another training; move"):
        Loop(more, tmp_path / "x.pt")
    Loop(replace(task, model=nn.Linear(1, 1)), tmp_path / "y.pt", Options(autocast=None)).train(
        2, 2
    )
    (tmp_path / "y.best.pt").rename(tmp_path / "x.best.pt")
    with pytest.raises(TrainingError, match=r"x\.best\.pt: of another run; move"):
        loop.take_best()


def test_progress_and_errors_name_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for title, said in (("", "x"), ("mine", "mine")):
        path = tmp_path / f"run{title}" / "x.pt"
        path.parent.mkdir()
        Loop(toy_task([1.0]), path, Options(autocast=None, title=title)).train(1, 1)
        assert f"{said}: 100%" in capsys.readouterr().err
