"""Tasks on an executor of any kind, a bounded number of them at a time."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""Tasks for each process: one that it does, and one that waits there."""


def flow(
    submit: Callable[[T], "Future[R]"], tasks: Iterable[T], window: Callable[[], int]
) -> Iterator[tuple[T, R]]:
    """Each task with its result, as they come; of neither more than a window is held at once."""
    done: SimpleQueue[Future[R]] = SimpleQueue()
    waiting: dict[Future[R], T] = {}

    def next_one() -> tuple[T, R]:
        future = done.get()
        return waiting.pop(future), future.result()

    for task in tasks:
        future = submit(task)
        waiting[future] = task
        future.add_done_callback(done.put)
        while len(waiting) >= window():
            yield next_one()
    while waiting:
        yield next_one()
