"""Images a second with one process and with two, of this machine's own and of a Dask cluster.

Run: python scripts/throughput.py [--images 24] [--rounds 3]
Engines take turns, so that what else the machine does falls on all; models are loaded before.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

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
        each = ", ".join(f"{rate:.2f}" for rate in found)
        print(f"{name:>12} {statistics.median(found):6.2f} images a second ({each})")
    for count in (1, 2):
        pairs = zip(rates[f"processes:{count}"], rates[f"dask:{count}"])
        overhead = statistics.median(100 * (own / dask - 1) for own, dask in pairs)
        print(f"dask:{count} takes {overhead:+.1f} % of the time of processes:{count} more")


def _rates(
    running: dict[str, Engine],
    make: Callable[[], Callable[[Task], int]],
    tasks: Sequence[Task],
    rounds: int,
) -> dict[str, list[float]]:
    """Images a second of each engine, round by round."""
    rates: dict[str, list[float]] = {name: [] for name in running}
    totals = set()
    for engine in running.values():
        list(engine.run(make, tasks[:4]))
    for _ in range(rounds):
        for name, engine in running.items():
            began = time.perf_counter()
            totals.add(sum(size for _, size in engine.run(make, tasks)))
            rates[name].append(len(tasks) / (time.perf_counter() - began))
    assert len(totals) == 1, "engines differ in what they write"
    return rates


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
