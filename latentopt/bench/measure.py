"""Measure one task: real bytes, and the quality of what they decode to.

::

    rate point ─► model ─► step ─► configuration ─► coder
                                                      │
    group of frames ─► code (timed) ─► strings ─► decode (timed) ─► 8 bit
              │                           │                           │
              └───────────────────────────┴─► bytes, PSNR, …  ◄───────┘

An image is one group of one frame. A clip has several groups: its row holds the sum of bytes and
means over frames.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from latentopt.adapters import with_step
from latentopt.bench.codecs import Coder, coded_bytes
from latentopt.bench.items import Item, Medium
from latentopt.bench.provenance import source, weights_hash
from latentopt.bench.store import Measurement
from latentopt.bench.task import Cell, RatePoint, Task
from latentopt.errors import BitstreamError
from latentopt.media.images import to_uint8
from latentopt.media.quality import ms_ssim, psnr_db

_WARM_UP_SIDE = 192  # pixels
_T = TypeVar("_T")


def measure(task: Task) -> list[Measurement]:
    """Code and decode the items of a task: a row for each, in their order.

    The rows depend on the task alone, but for their times. A process keeps the model and the coder
    of its last task, so tasks of one cell are best measured one after another.

    Raises:
        BitstreamError: the codec does not restore an item's size.
    """
    torch.set_num_threads(task.cell.settings.threads)  # the rows say so, whatever process this is
    coder, medium = _coder(task.cell), task.cell.medium
    tallies = [_Tally() for _ in task.items]
    for frames in medium.groups([item.path for item in task.items]):
        _measure_group(coder, tallies, frames, task)
    return [_row(task.cell, item, tally) for item, tally in zip(task.items, tallies)]


@dataclass(frozen=True)
class Loaded:
    """A rate point's model, and the hash of its weights."""

    model: nn.Module
    weights: str


@lru_cache(maxsize=1)
def loaded(point: RatePoint) -> Loaded:
    """The model of a rate point; the last one is kept."""
    model = point.load()
    return Loaded(model, weights_hash(model))


def measuring() -> Callable[[Task], list[Measurement]]:
    """What an engine has its processes make: they keep a model of their own."""
    return measure


@lru_cache(maxsize=1)
def _coder(cell: Cell) -> Coder:
    device = cell.settings.device
    model = stepped(loaded(cell.point).model, cell.step).to(device)
    coder = cell.medium.coder(cell.config, model)
    _warm_up(coder, cell.medium, device)
    return coder


def stepped(model: nn.Module, step: float) -> nn.Module:
    """A model with its step multiplied; those without an adapter can be measured as they are."""
    return model if step == 1.0 else with_step(model, step)


def _warm_up(coder: Coder, medium: Medium, device: str) -> None:
    """Code a small group untimed, so that one-off set-up is not charged to the first item."""
    shape = (1, 3, _WARM_UP_SIDE, _WARM_UP_SIDE)
    noise = torch.rand(*shape, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad():
        coder([noise] * medium.kinds).decode()


@dataclass
class _Tally:
    """What is known of an item so far, frame by frame."""

    bytes: int = 0
    encode_s: float = 0.0
    decode_s: float = 0.0
    psnr_db: list[float] = field(default_factory=list)
    ms_ssim: list[float] = field(default_factory=list)

    def compare(self, x: Tensor, x_hat: Tensor) -> None:
        """Count a frame (3, H, W) and what it was decoded to."""
        original, restored = to_uint8(x), to_uint8(x_hat)
        self.psnr_db.append(psnr_db(original, restored))
        self.ms_ssim.append(ms_ssim(original, restored))


def _measure_group(
    coder: Coder, tallies: Sequence[_Tally], frames: Sequence[Tensor], task: Task
) -> None:
    """Code a group of frames (B, 3, H, W), of one item per tally."""
    device = task.cell.settings.device
    on_device = [x.to(device) for x in frames]
    with torch.no_grad():
        coded, encode_s = _timed(lambda: coder(on_device), device)
        # From the strings alone: what the encoder believes it will be decoded to is not measured.
        decoded, decode_s = _timed(coded.decode, device)
    restored = [x_hat.cpu() for x_hat in decoded]
    for i, (item, tally) in enumerate(zip(task.items, tallies)):
        tally.bytes += coded_bytes(coded.strings, i)
        tally.encode_s += encode_s / len(tallies)
        tally.decode_s += decode_s / len(tallies)
        for x, x_hat in zip(frames, restored, strict=True):
            _check_shape(item.name, x, x_hat)
            tally.compare(x[i], x_hat[i])


def _check_shape(name: str, x: Tensor, x_hat: Tensor) -> None:
    if x_hat.shape != x.shape:
        raise BitstreamError(
            f"{name}: decoded to shape {tuple(x_hat.shape)} from {tuple(x.shape)}: "
            "the codec does not restore the size"
        )


def _timed(work: Callable[[], _T], device: str) -> tuple[_T, float]:
    """The result of ``work`` and its seconds; GPU kernels run on after the call returns."""
    _synchronize(device)
    start = time.perf_counter()
    result = work()
    _synchronize(device)
    return result, time.perf_counter() - start


def _synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _row(cell: Cell, item: Item, tally: _Tally) -> Measurement:
    (width, height), frames = item.size, len(tally.psnr_db)
    codec, point, step, config, image = cell.key(item)
    return Measurement(
        codec=codec,
        point=point,
        step=step,
        config=config,
        data=cell.settings.data,
        image=image,
        width=width,
        height=height,
        bytes=tally.bytes,
        bpp=8.0 * tally.bytes / (width * height * frames),
        psnr_db=sum(tally.psnr_db) / frames,
        ms_ssim=sum(tally.ms_ssim) / frames,
        encode_s=tally.encode_s / frames,
        decode_s=tally.decode_s / frames,
        batch_size=cell.settings.batch_size,
        device=cell.settings.device,
        threads=cell.settings.threads,
        weights=loaded(cell.point).weights,
        latentopt=source(),
        sha256=item.sha256,
        load=_load(),
    )


def _load() -> float:
    """Of the machine's last minute, per processor; 0 where the system does not tell."""
    minute = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return round(minute / (os.cpu_count() or 1), 2)
