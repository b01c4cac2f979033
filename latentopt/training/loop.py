"""The training loop: what is resumed after any stop equals a run that was never stopped.

            ┌── data.batch(step) ─► model ─► loss ─► optimizer, at schedule(step) ──┐
            └──────────────── check_every times ◄──────────────────────────────────┘
                                      │
    held-out batches ─► model.eval() ─► mean of the loss's terms ─► RUN.csv
                                      ├─► the best weights so far ─► RUN.best.pt
                                      └─► the whole state ─► RUN.pt, which a new loop goes on from

Whatever is random in a step (data, noise) follows from the seed and the step's number.
"""

import csv
import io
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from latentopt.atomic import write_whole
from latentopt.errors import TrainingError
from latentopt.quantizers import Quantizer
from latentopt.training.runs import (
    BEST,
    State,
    best_of,
    fitting,
    read_state,
    unusable,
    write_state,
)

Batch = TypeVar("Batch")
Output = TypeVar("Output")
_Made = TypeVar("_Made", covariant=True)
_Out = TypeVar("_Out", contravariant=True)
_In = TypeVar("_In", contravariant=True)


class Source(Protocol[_Made]):
    """What batches come from."""

    def batch(self, step: int) -> _Made:
        """The batch of a step: a tensor, or a list or tuple of them; the same in every run."""
        ...


@dataclass(frozen=True)
class Terms:
    """What a loss says of a batch, scalars all."""

    loss: Tensor
    """What is minimized, and by which the best weights are chosen."""
    shown: Mapping[str, Tensor]
    """What else the log shows, by name: bpp, psnr_db, …"""


class Loss(Protocol[_Out, _In]):
    """What is minimized."""

    def __call__(self, out: _Out, batch: _In) -> Terms:
        """Of what a model gave for a batch."""
        ...


@dataclass(frozen=True)
class Task(Generic[Output, Batch]):
    """What to train, on what, for what, and how."""

    model: nn.Module
    """Called with a batch."""
    loss: Loss[Output, Batch]
    data: Source[Batch]
    held_out: Sequence[Batch]
    """Batches for validation, each of equal weight."""
    optimizer: Callable[[nn.Module], torch.optim.Optimizer]
    """Makes the model's. A parameter group's ``factor``, if it has one, multiplies the rate."""
    schedule: Callable[[int], float]
    """Learning rate of a step."""
    before_step: Callable[[int], None] | None = None
    """For what changes in the course of training, such as a temperature."""
    before_check: Callable[[nn.Module], None] | None = None
    """What a model in training needs before it can be evaluated."""


@dataclass(frozen=True)
class Options:
    """Where and in what arithmetic."""

    seed: int = 0
    device: str = "cpu"
    memory_format: torch.memory_format = torch.contiguous_format
    autocast: torch.dtype | None = torch.bfloat16
    """Of the model's forward pass in training; None: float32. Validation is in float32."""
    max_norm: float = 1.0
    """Gradients are clipped to it."""
    check_first: bool = False
    """Check before the first step, too: where training betters nothing, the best weights are those
    that it began with."""
    title: str = ""
    """What progress and errors call the run; empty: as RUN.pt."""


class Loop(Generic[Output, Batch]):
    """One model in training. Goes on from ``path``, where there is such a file.

    Args:
        task: the model is moved to the device, and trained in place.
        path: RUN.pt, for the state; RUN.csv and RUN.best.pt are written beside it.
        options: a run must be resumed with the same ones.

    Raises:
        TrainingError: ``path`` or RUN.best.pt is damaged or of another training, or one of the two
            is missing.
    """

    def __init__(self, task: Task[Output, Batch], path: Path, options: Options | None = None):
        self.task, self.path, self.options = task, path, options or Options()
        model = task.model.to(self._device).to(memory_format=self.options.memory_format)
        self.model = model.train()
        self.optimizer = task.optimizer(self.model)
        self.step, self.seconds, self.best = 0, 0.0, math.inf
        self.rows: list[dict[str, float]] = []
        """Of each check: step, seconds, the loss's terms, loss."""
        if path.is_file():
            self._load()

    def train(self, steps: float, check_every: int, seconds: float = math.inf) -> None:
        """Go on until ``steps`` are done in all, or ``seconds`` have passed; then check and save.

        Raises:
            TrainingError: the loss is no longer a finite number.
        """
        if self.options.check_first and not self.rows:
            self._check()
        end = time.monotonic() + seconds
        with tqdm(total=steps, initial=self.step, desc=self._title, mininterval=5) as bar:
            while self.step < steps and time.monotonic() < end:
                start = time.monotonic()
                last = min(self.step - self.step % check_every + check_every, steps)
                while self.step < last:
                    loss = self._update()
                    bar.update()
                    if time.monotonic() >= end:
                        break
                if not torch.isfinite(loss):
                    raise TrainingError(
                        f"{self._title}: the loss is {float(loss)} at step {self.step}; "
                        "train again from an earlier state, at a lower learning rate"
                    )
                self.seconds += time.monotonic() - start
                bar.set_postfix(self._check())
                self._save()

    def take_best(self) -> Mapping[str, float]:
        """Give the model its best weights so far; returns the row of the check that they are of.

        Raises:
            TrainingError: RUN.best.pt is missing, damaged, or of another run.
        """
        path = best_of(self.path)
        best = read_state(path, *BEST)
        rows = [row for row in self.rows if row["step"] == best["step"]]
        if not rows:
            raise unusable(path, "of another run")
        with fitting(path):
            self.model.load_state_dict(best["model"])
        return rows[0]

    @property
    def _title(self) -> str:
        return self.options.title or self.path.stem

    @property
    def _device(self) -> torch.device:
        return torch.device(self.options.device)

    def _update(self) -> Tensor:
        """One step; returns its loss."""
        task, optimizer = self.task, self.optimizer
        rate = task.schedule(self.step)
        for group in optimizer.param_groups:
            group["lr"] = group.get("factor", 1.0) * rate
        if task.before_step:
            task.before_step(self.step)
        batch = self._placed(task.data.batch(self.step))
        with self._seeded():
            with self._autocast():
                out = self.model(batch)
            loss = task.loss(out, batch).loss
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            trained = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(trained, self.options.max_norm)
            optimizer.step()
        self.step += 1
        return loss.detach()

    @contextmanager
    def _seeded(self) -> Iterator[None]:
        """Random numbers that follow from the seed and the step; afterwards all is as before."""
        seed = int(np.random.default_rng([self.options.seed, self.step]).integers(2**62))
        with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(seed)
            for module in self.model.modules():
                if isinstance(module, Quantizer):
                    module.reseed(seed)
            yield

    def _autocast(self) -> torch.autocast:
        dtype = self.options.autocast
        return torch.autocast(self._device.type, dtype=dtype, enabled=dtype is not None)

    def _placed(self, batch: Batch) -> Batch:
        return _moved(batch, self._device, self.options.memory_format)

    @torch.no_grad()
    def _terms(self) -> dict[str, float]:
        """Means over the held-out batches."""
        self.model.eval()
        found = []
        for batch in map(self._placed, self.task.held_out):
            terms = self.task.loss(self.model(batch), batch)
            found.append({**terms.shown, "loss": terms.loss})
        self.model.train()
        return {name: float(torch.stack([t[name] for t in found]).mean()) for name in found[0]}

    def _check(self) -> dict[str, str]:
        """Validate, note, keep the weights if they are the best; returns what to show."""
        if self.task.before_check and self.step:
            self.task.before_check(self.model)
        terms = self._terms()
        self.rows.append({"step": self.step, "seconds": round(self.seconds), **terms})
        if terms["loss"] < self.best:
            self.best = terms["loss"]
            write_state(
                best_of(self.path),
                {"model": self.model.state_dict(), "step": self.step, "seconds": self.seconds},
            )
        return {name: f"{value:.4g}" for name, value in terms.items()}

    def _save(self) -> None:
        """The state, then the log, which is part of it."""
        state: State = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "rows": self.rows,
        }
        write_state(self.path, state)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.7g}" for k, v in row.items()} for row in self.rows)
        write_whole(self.path.with_suffix(".csv"), text.getvalue().encode())

    def _load(self) -> None:
        state = read_state(self.path, *State.__annotations__)
        if state["best"] != math.inf:  # else hours of training may end without weights
            read_state(best_of(self.path), *BEST)
        with fitting(self.path):
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]
        self.rows = state["rows"]


def _moved(batch: Batch, device: torch.device, layout: torch.memory_format) -> Batch:
    """A tensor, or each of a list or tuple, on a device; images in a memory format."""
    if isinstance(batch, Tensor):
        kept = layout if batch.dim() == 4 else torch.preserve_format
        return cast(Batch, batch.to(device, memory_format=kept))
    if isinstance(batch, (list, tuple)):
        return cast(Batch, type(batch)(_moved(part, device, layout) for part in batch))
    return batch
