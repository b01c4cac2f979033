"""Measure configurations of a codec: real bytes, and the quality of what they decode to.

::

    rate point ─► model ─► step ─► configuration ─► codec
                                                      │
    group of frames ─► compress (timed) ─► strings ─► decompress (timed) ─► 8 bit
              │                               │                               │
              └───────────────────────────────┴─► bytes, PSNR, …  ◄───────────┘

An image is one group of one frame. A clip has several groups: its row holds the sum of bytes and
means over frames.
"""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from latentopt import __version__, zoo
from latentopt.adapters import with_step
from latentopt.bench.configs import Configuration
from latentopt.bench.datasets import Dataset
from latentopt.bench.media import Images, Medium, coded_bytes
from latentopt.bench.metrics import ms_ssim, psnr_db
from latentopt.bench.results import Measurement, ResultsFile, Settings, read_rows
from latentopt.errors import BitstreamError, InputError
from latentopt.media.images import to_uint8

_WARM_UP_SIDE = 192  # pixels
_T = TypeVar("_T")


@dataclass(frozen=True)
class RatePoint:
    """A named set of weights: one point of the codec's rate-distortion curve (per step)."""

    name: str
    load: Callable[[], nn.Module]


def quality_points(codec: str, qualities: Iterable[int], metric: str = "mse") -> list[RatePoint]:
    """Rate points from the zoo's qualities, named "q1", "q2", …, or "q1-ms-ssim", …"""
    codec = zoo.canonical(codec)
    suffix = "" if metric == "mse" else f"-{metric}"
    return [
        RatePoint(f"q{q}{suffix}", partial(zoo.load, codec, q, metric=metric))
        for q in dict.fromkeys(qualities)
    ]


def checkpoint_points(codec: str, paths: Iterable[str | Path]) -> list[RatePoint]:
    """Rate points from checkpoint files, folders and globs, named after the files."""
    codec = zoo.canonical(codec)
    files = zoo.checkpoints(paths)
    stems = [Path(f.name.removesuffix(".tar")).stem for f in files]
    names = [s if stems.count(s) == 1 else str(f) for s, f in zip(stems, files)]
    return [
        RatePoint(name, partial(zoo.load, codec, weights=file)) for name, file in zip(names, files)
    ]


@dataclass(frozen=True)
class Plan:
    """Everything to be measured: points × steps × configurations × items of the data set."""

    codec: str
    points: Sequence[RatePoint]
    configs: Sequence[Configuration]
    dataset: Dataset
    steps: Sequence[float] = (1.0,)
    device: str = "cpu"
    batch_size: int = 1
    """Images of equal size coded together."""
    medium: Medium = field(default_factory=Images)
    """What the items are."""

    def __post_init__(self) -> None:
        if not self.points or not self.configs or not self.steps:
            raise InputError("nothing to measure: give a rate point, a configuration and a step")
        for step in self.steps:
            if not 0 < step < float("inf"):
                raise InputError(
                    f"step {step:g}: a step is a positive multiplier, 1 is the codec's"
                )
        if self.batch_size < 1:
            raise InputError(f"batch size {self.batch_size}: must be at least 1")
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise InputError(f"device {self.device}: PyTorch sees no GPU here; use cpu")


def evaluate(plan: Plan, csv_path: Path, progress: bool = True) -> pd.DataFrame:
    """Measure what ``csv_path`` does not hold yet; return the rows of this plan."""
    label = plan.medium.label(plan.dataset.name)
    settings = Settings(label, plan.device, torch.get_num_threads(), plan.batch_size, __version__)
    sizes = {name: plan.medium.size(p) for name, p in zip(plan.dataset.names, plan.dataset.paths)}
    total = len(plan.points) * len(plan.steps) * len(plan.configs) * len(sizes)
    with (
        ResultsFile(csv_path, settings) as results,
        tqdm(
            total=total, unit=plan.medium.unit, disable=not progress, mininterval=_refresh_s()
        ) as bar,
    ):
        for point in plan.points:
            _measure_point(plan, point, sizes, settings, results, bar)
    return _rows_of(plan, read_rows(csv_path))


def _refresh_s() -> float:
    """Seconds between updates of the progress bar: a log file would fill with them."""
    return 0.1 if sys.stderr.isatty() else 15.0


def _measure_point(
    plan: Plan,
    point: RatePoint,
    sizes: dict[str, tuple[int, int]],
    settings: Settings,
    results: ResultsFile,
    bar: "tqdm[Any]",
) -> None:
    base = point.load()
    shared = _shared_columns(settings, weights_hash(base))
    results.check_weights(plan.codec, point.name, shared["weights"])
    for step in dict.fromkeys(float(s) for s in plan.steps):
        model = _stepped(base, step).to(plan.device)
        for config in plan.configs:
            bar.set_description(f"{point.name} step {step:g} {config.name}", refresh=False)
            cell = (plan.codec, point.name, step, config.name)
            key: dict[str, Any] = dict(zip(("codec", "point", "step", "config"), cell))
            pending = [name for name in sizes if (*cell, name) not in results]
            bar.update(len(sizes) - len(pending))
            for item in _measure_items(config, model, plan, pending, sizes):
                results.append(Measurement(**key, **asdict(item), **shared))
                bar.update()


def _shared_columns(settings: Settings, weights: str) -> dict[str, Any]:
    head = commit()
    return {
        "data": settings.data,
        "batch_size": settings.batch_size,
        "device": settings.device,
        "threads": settings.threads,
        "weights": weights,
        "latentopt": f"{settings.version}+{head}" if head else settings.version,
    }


@dataclass(frozen=True)
class _CodedItem:
    """The columns of `Measurement` that come from coding the item."""

    image: str
    width: int
    height: int
    bytes: int
    bpp: float
    psnr_db: float
    ms_ssim: float
    encode_s: float
    decode_s: float


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

    def item(self, name: str, size: tuple[int, int]) -> _CodedItem:
        (width, height), frames = size, len(self.psnr_db)
        return _CodedItem(
            image=name,
            width=width,
            height=height,
            bytes=self.bytes,
            bpp=8.0 * self.bytes / (width * height * frames),
            psnr_db=sum(self.psnr_db) / frames,
            ms_ssim=sum(self.ms_ssim) / frames,
            encode_s=self.encode_s / frames,
            decode_s=self.decode_s / frames,
        )


def _measure_items(
    config: Configuration,
    model: nn.Module,
    plan: Plan,
    names: Sequence[str],
    sizes: dict[str, tuple[int, int]],
) -> Iterator[_CodedItem]:
    if not names:
        return
    codec = plan.medium.build(config, model)
    _warm_up(codec, plan.medium, plan.device)
    paths = dict(zip(plan.dataset.names, plan.dataset.paths))
    for batch in _batches(names, sizes, plan.batch_size):
        tallies = {name: _Tally() for name in batch}
        for frames in plan.medium.groups([paths[name] for name in batch]):
            _measure_group(codec, tallies, frames, plan)
        yield from (tally.item(name, sizes[name]) for name, tally in tallies.items())


def _measure_group(
    codec: Any, tallies: dict[str, _Tally], frames: list[Tensor], plan: Plan
) -> None:
    """Code a group of frames (B, 3, H, W), of one item per tally."""
    medium, device = plan.medium, plan.device
    on_device = [x.to(device) for x in frames]
    with torch.no_grad():
        coded, encode_s = _timed(lambda: medium.compress(codec, on_device), device)
        # From the strings alone: what the encoder believes it will be decoded to is not measured.
        decoded, decode_s = _timed(lambda: medium.decompress(codec, *coded), device)
    restored = [x_hat.cpu() for x_hat in decoded]
    for i, (name, tally) in enumerate(tallies.items()):
        tally.bytes += coded_bytes(coded[0], i)
        tally.encode_s += encode_s / len(tallies)
        tally.decode_s += decode_s / len(tallies)
        for x, x_hat in zip(frames, restored, strict=True):
            _check_shape(name, x, x_hat)
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


def _warm_up(codec: Any, medium: Medium, device: str) -> None:
    """Code a small group untimed, so that one-off set-up is not charged to the first item."""
    shape = (1, 3, _WARM_UP_SIDE, _WARM_UP_SIDE)
    noise = torch.rand(*shape, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad():
        medium.decompress(codec, *medium.compress(codec, [noise] * medium.kinds))


def _batches(
    names: Sequence[str], sizes: dict[str, tuple[int, int]], batch_size: int
) -> Iterator[list[str]]:
    """Images of equal size, up to ``batch_size`` together."""
    by_size: dict[tuple[int, int], list[str]] = {}
    for name in names:
        by_size.setdefault(sizes[name], []).append(name)
    for group in by_size.values():
        for start in range(0, len(group), batch_size):
            yield group[start : start + batch_size]


def _stepped(model: nn.Module, step: float) -> nn.Module:
    """Codecs without an adapter can still be measured as they are."""
    return model if step == 1.0 else with_step(model, step)


def _rows_of(plan: Plan, rows: pd.DataFrame) -> pd.DataFrame:
    """The file may hold more points, configurations or images than were asked for this time."""
    wanted = (
        (rows["codec"] == plan.codec)
        & rows["point"].isin([p.name for p in plan.points])
        & rows["step"].isin([float(s) for s in plan.steps])
        & rows["config"].isin([c.name for c in plan.configs])
        & rows["image"].isin(plan.dataset.names)
    )
    return rows[wanted].reset_index(drop=True)


def weights_hash(model: nn.Module) -> str:
    """First 12 digits of the SHA-256 of a model's tensors: names, shapes and values."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        tensor: Tensor = value.detach().cpu().contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:12]


def commit() -> str:
    """Short hash of the last commit of the package, "-dirty" if edited since.

    Outside git it is what $LATENTOPT_COMMIT says, for copies on other machines, else "".
    """
    package = Path(__file__).resolve().parents[1]
    head = _git(package, "log", "-1", "--format=%h", "--", ".")
    if not head:
        return os.environ.get("LATENTOPT_COMMIT", "")
    return f"{head}-dirty" if _git(package, "status", "--porcelain", "--", ".") else head


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
