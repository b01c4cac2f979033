"""Several processes of this machine."""

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import TypeVar

from latentopt.engine.station import Make, Work, perform
from latentopt.engine.window import AHEAD, flow
from latentopt.errors import InputError

T = TypeVar("T")
R = TypeVar("R")


class Processes:
    """Processes that start as there are tasks for them, and end with the block."""

    def __init__(self, count: int):
        """``count``: how many at most."""
        self.label = f"processes:{count}"
        self.threads = fair_threads(count)
        self._window = AHEAD * count
        spawn = multiprocessing.get_context("spawn")
        self._others = set(multiprocessing.active_children())
        self._pool = ProcessPoolExecutor(count, spawn, _start)

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - self._others:
                process.terminate()
        self._pool.shutdown()

    def run(self, make: Make[T, R], tasks: Iterable[T], /) -> Iterator[tuple[T, R]]:
        work = Work.of(make)
        try:
            yield from flow(
                lambda task: self._pool.submit(perform, work, task),
                lambda futures: [future.result() for future in futures],
                tasks,
                lambda: self._window,
            )
        except BrokenProcessPool as error:
            raise InputError(
                "one of the processes was ended, perhaps for want of memory, before all was done; "
                "give fewer --jobs"
            ) from error


def processors() -> int:
    """How many this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def fair_threads(count: int) -> int:
    """A fair share of the processors for each of so many processes."""
    return max(processors() // count, 1)


def _start() -> None:
    """What a process does first; from then on an interrupt ends it without a word, and so does the
    end of the process that started it, however that came."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if parent := multiprocessing.parent_process():
        Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
