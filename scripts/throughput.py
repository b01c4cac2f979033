"""Images a second with one process and with two, of this machine's own and of a Dask cluster.

Run: python scripts/throughput.py [--images 24] [--rounds 3]
Engines take turns, so that what else the machine does falls on all; models are loaded before. CPU
time, of all processes, says what an engine costs whatever else the machine does.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
import torch
from common import run

import latentopt
from latentopt import zoo
from latentopt.bench import datasets
from latentopt.engine import LOCAL, Engine
from latentopt.engine.cluster import Dask
from latentopt.engine.processes import Processes
from latentopt.media.images import read_image

Task = tuple[Path, int]
"""An image, and where its crop begins."""


def coding(codec: str, quality: int, preset: str, side: int) -> Callable[[Task], int]:
    """Makes what encodes crops: bytes of each."""
    torch.set_num_threads(1)
    made = latentopt.wrap(zoo.load(codec, quality), preset=preset)

    def encode(task: Task) -> int:
        path, top = task
        return len(made.save_bytes(read_image(path)[..., top : top + side, :side]))

    return encode


def main() -> None:
    args = _arguments()
    make = partial(coding, args.codec, args.quality, args.preset, args.side)
    paths = datasets.resolve(args.data).paths
    tasks = [(paths[i % len(paths)], 8 * (i // len(paths))) for i in range(args.images)]
    engines: dict[str, AbstractContextManager[Engine]] = {"one process": LOCAL}
    for count in (1, 2):
        engines |= {f"processes:{count}": Processes(count), f"dask:{count}": Dask(None, count)}
    with ExitStack() as opened:
        running = {name: opened.enter_context(engine) for name, engine in engines.items()}
        rates = _rates(running, make, tasks, args.rounds)
    for name, found in rates.items():
        cost = statistics.median(found.cpu_s)
        each = ", ".join(f"{rate:.2f}" for rate in found.a_second)
        print(f"{name:>12} {each} images a second; {cost:.3f} CPU s an image")
    for count in (1, 2):
        own, dask = rates[f"processes:{count}"], rates[f"dask:{count}"]
        time_ = statistics.median(100 * (a / b - 1) for a, b in zip(own.a_second, dask.a_second))
        cpu = 100 * (statistics.median(dask.cpu_s) / statistics.median(own.cpu_s) - 1)
        print(f"dask:{count} against processes:{count}: {time_:+.1f} % time, {cpu:+.1f} % CPU time")


@dataclass
class Rates:
    """Of an engine, round by round."""

    a_second: list[float] = field(default_factory=list)
    """Images."""
    cpu_s: list[float] = field(default_factory=list)
    """For each image, of this process and of all that it started."""


def _rates(
    running: dict[str, Engine],
    make: Callable[[], Callable[[Task], int]],
    tasks: Sequence[Task],
    rounds: int,
) -> dict[str, Rates]:
    """What each engine takes for the same tasks."""
    rates = {name: Rates() for name in running}
    totals = set()
    for engine in running.values():
        list(engine.run(make, tasks[:4]))
    for _ in range(rounds):
        for name, engine in running.items():
            began, used = time.perf_counter(), _cpu_s()
            totals.add(sum(size for _, size in engine.run(make, tasks)))
            rates[name].a_second.append(len(tasks) / (time.perf_counter() - began))
            rates[name].cpu_s.append((_cpu_s() - used) / len(tasks))
    assert len(totals) == 1, "engines differ in what they write"
    return rates


def _cpu_s() -> float:
    """Of this process and of all below it."""
    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return float(sum(spent.user + spent.system for spent in times))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codec", default="tiny-mbt2018-mean")
    parser.add_argument("--quality", type=int, default=3)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=384, help="of the crops, in pixels")
    parser.add_argument("--data", default="clic2020", help="photographs (default: clic2020)")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
