"""Engines: each task is done once, whatever is killed, with a bounded number under way."""

import argparse
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.dask import cluster
from support.tasks import Deadly, Squaring, failing

from latentopt import engine
from latentopt.engine import LOCAL, station
from latentopt.engine.processes import Processes, fair_threads, processors
from latentopt.engine.window import AHEAD
from latentopt.errors import InputError

__all__ = ["cluster"]

NUMBERS = range(1, 25)
SQUARES = sorted((n, n * n) for n in NUMBERS)


@pytest.fixture(params=["local", "processes:2", "dask:2"])
def running(request: pytest.FixtureRequest) -> Iterator[engine.Engine]:
    if request.param == "local":
        yield LOCAL
    elif request.param == "processes:2":
        with Processes(2) as found:
            yield found
    else:
        from latentopt.engine.cluster import Dask

        with Dask(request.getfixturevalue("cluster"), 2) as found:
            yield found
    if request.param != "local":
        assert found.label == request.param


def test_every_task_is_done_once_by_what_is_made_once(
    running: engine.Engine, tmp_path: Path
) -> None:
    assert sorted(running.run(Squaring(tmp_path), iter(NUMBERS))) == SQUARES
    makers = [path.name.split("-")[0] for path in tmp_path.iterdir()]
    assert len(makers) == len(set(makers)) <= 2  # once in each process
    assert list(running.run(Squaring(tmp_path), [])) == []
    assert running.threads in (None, 1, fair_threads(2))


def test_what_is_under_way_is_bounded(running: engine.Engine, tmp_path: Path) -> None:
    """A million tasks are not taken before there is room for them."""
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        while taken < 1_000_000:
            taken += 1
            yield taken

    results = running.run(Squaring(tmp_path), tasks())
    for done in range(1, 11):
        next(results)
        assert taken <= done + AHEAD * 2


def test_what_a_task_raises_is_raised(running: engine.Engine) -> None:
    with pytest.raises(ValueError, match="three"):
        list(running.run(failing, range(10)))


def test_a_worker_that_is_killed_costs_no_task(cluster: str, tmp_path: Path) -> None:
    from latentopt.engine.cluster import Dask

    with Dask(cluster, 2) as running:
        assert sorted(running.run(Deadly(tmp_path, 7), NUMBERS)) == SQUARES
    assert (tmp_path / "dead").exists()


def test_a_task_that_kills_all_workers_is_said(tmp_path: Path) -> None:
    dask = pytest.importorskip("dask", reason="needs the extra [cluster]")
    from latentopt.engine.cluster import Dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        Dask(None, 1) as running,
        pytest.raises(InputError, match="a task ended the workers that did it"),
    ):
        list(running.run(Deadly(tmp_path, 7, always=True), NUMBERS))


def test_a_process_that_is_killed_is_said(tmp_path: Path) -> None:
    with Processes(2) as running, pytest.raises(InputError, match=r"was ended.*fewer --jobs"):
        list(running.run(Deadly(tmp_path, 7), NUMBERS))


_KILLED = """
import time
from pathlib import Path
from latentopt.engine.processes import Processes
from support.tasks import Squaring
if __name__ == "__main__":
    with Processes(1) as engine:
        print(list(engine.run(Squaring(Path({folder!r})), [1])), flush=True)
        time.sleep(60)
"""


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    """It may have been killed, and have had no time to say so."""
    script = tmp_path / "main.py"
    (tmp_path / "made").mkdir()
    script.write_text(_KILLED.format(folder=str(tmp_path / "made")))
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, env={**os.environ, **path}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGKILL)
    assert children
    for _ in range(200):
        if not any(_is_running(int(pid)) for pid in children):
            break
        time.sleep(0.05)
    assert not any(_is_running(int(pid)) for pid in children)


def _is_running(pid: int) -> bool:
    """Whether it is there, and not only waited for by nobody."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- what is refused -------------------------------------------------------------------------------


def test_workers_of_another_version_are_refused() -> None:
    work = station.Work.of(failing)
    assert station.perform(work, 1) == 1
    with pytest.raises(InputError, match=r"a worker has latentopt .*, and the client 0\.0"):
        station.perform(station.Work("0.0", work.pickled), 1)


def test_what_does_not_pickle_is_refused() -> None:
    with pytest.raises(InputError, match=r"other processes cannot do this .* --engine local"):
        station.Work.of(lambda: pickle.dumps)


def test_schedulers_that_are_not_there_and_workers_with_threads_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    distributed = pytest.importorskip("distributed", reason="needs the extra [cluster]")
    from latentopt.engine import cluster as module

    monkeypatch.setattr(module, "_PATIENCE_S", 0.5)
    with pytest.raises(InputError, match="no scheduler at tcp://127"), module.Dask(GONE, 2):
        pass
    threads = {"n_workers": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(threads_per_worker=2, **threads) as running:
        address = running.scheduler_address
        with pytest.raises(InputError, match=r"has 2 threads.*--nthreads 1"):
            module.Dask(address, 2).__enter__()
    with (
        distributed.LocalCluster(**{**threads, "n_workers": 0}) as running,
        pytest.raises(InputError, match="has no workers; start some"),
    ):
        module.Dask(running.scheduler_address, 2).__enter__()


GONE = "tcp://127.0.0.1:9"


def options(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    engine.add_arguments(parser)
    return parser.parse_args(argv)


def test_options() -> None:
    assert engine.engine_of(options()) is LOCAL
    assert engine.engine_of(options("--jobs", "1")) is LOCAL
    assert engine.engine_of(options("--jobs", "4"), most=1) is LOCAL
    found = [options("--jobs", "3"), options("--engine", "processes", "--jobs", "3")]
    assert {engine.engine_of(args).label for args in found} == {"processes:3"}
    every = engine.engine_of(options("--engine", "processes"))
    assert every.label == f"processes:{processors()}"
    for argv, message in (
        (["--scheduler", "x"], "--scheduler is of a Dask cluster"),
        (["--engine", "dask", "--scheduler", "x", "--jobs", "2"], "has its own workers"),
        (["--engine", "local", "--jobs", "2"], "--jobs 2: --engine local is one process"),
    ):
        with pytest.raises(InputError, match=message):
            engine.engine_of(options(*argv))
