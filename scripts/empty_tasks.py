"""Where an archive's first bottleneck is: 10^5 empty tasks through each part of the way.

Run: python scripts/empty_tasks.py [--tasks 100000] [--seconds 20]
CPU time is that of this process, of the scheduler too, where there is one; what it allows is how
many workers it keeps busy with tasks of so many seconds.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from latentopt.archive import storage
from latentopt.archive.filing import Archive, Made, file_all
from latentopt.archive.manifest import Manifest, Row, Settings
from latentopt.engine import LOCAL, Engine
from latentopt.engine.cluster import Dask
from latentopt.engine.processes import Processes

_A_FOLDER = 1000  # files in each
_SETTINGS = Settings("weights", "config", "version")
_NOTHING = partial(partial, abs)
"""Makes what does an empty task."""


def main() -> None:
    args = _arguments()
    print(f"{'':>28} {'tasks':>7} {'µs CPU':>7} {'a second':>9} {'workers':>8}")
    with tempfile.TemporaryDirectory() as folder:
        _of_archive(args, Path(folder))
    engines: list[tuple[str, AbstractContextManager[Engine]]] = [("one process", LOCAL)]
    engines += [(f"{n} processes", Processes(n)) for n in args.workers]
    engines += [(f"Dask, {n} workers", Dask(None, n)) for n in args.workers]
    for name, engine in engines:
        with engine as running:
            list(running.run(_NOTHING, range(len(args.workers))))  # started
            tasks = args.tasks if running is LOCAL else args.engine_tasks
            _report(args, name, tasks, lambda: _drain(running.run(_NOTHING, range(tasks))))  # noqa: B023


def _of_archive(args: argparse.Namespace, folder: Path) -> None:
    """Files listed; then read, written, and told in a manifest; then found to be done."""
    for number in range(args.tasks):
        path = folder / "in" / f"{number // _A_FOLDER:04}" / f"{number:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    sources, out = [str(folder / "in")], str(folder / "out")
    archive = Archive(sources, out, (".png",), ".lo", _SETTINGS)
    url = str(folder / "manifest.parquet")
    _report(args, "listing", args.tasks, lambda: _drain(archive.entries()))
    with Manifest(str(folder / "alone.parquet")) as manifest:
        rows = (Row(f"{i}", f"{i}", "", "", "", "", "") for i in range(args.tasks))
        _report(args, "manifest", args.tasks, lambda: _drain(map(manifest.add, rows)))

    def archived() -> None:
        file_all(archive, Manifest(url), coder, LOCAL, lambda _: None)

    before = _mebibytes()
    _report(args, "whole, with empty outputs", args.tasks, archived)
    _report(args, "the same, all done", args.tasks, archived)
    grown = (_mebibytes() - before) * 2**20 / args.tasks
    print(f"{'memory':>28} {grown:.0f} bytes a file; {storage.local(url)}")


def coder() -> Callable[[str, bytes], Made]:
    """Makes what codes nothing."""
    return lambda name, content: Made(b"", "", 1, 1, 0.0, 0.0, 0.0, "")


def _report(args: argparse.Namespace, name: str, tasks: int, work: Callable[[], object]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    workers = args.seconds * tasks / max(cpu, wall if "worker" in name else cpu)
    line = f"{name:>28} {tasks:7} {1e6 * cpu / tasks:7.0f} {tasks / wall:9.0f} {workers:8.0f}"
    print(line, flush=True)


def _drain(things: Iterable[object]) -> None:
    for _ in things:
        pass


def _mebibytes() -> float:
    """Largest resident set so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--engine-tasks", type=int, default=100_000, help="with several processes")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=20.0, help="of a task that is not empty")
    return parser.parse_args()


if __name__ == "__main__":
    from common import run  # with PyTorch, which other processes are spared

    run(main)
