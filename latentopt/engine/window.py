"""Tasks on an executor of any kind, a bounded number of them at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""Tasks for each process: one that it does, and one that waits there."""


class Future(Protocol):
    """What stands for a result, in this process or in the scheduler of a cluster."""

    def add_done_callback(self, fn: "Callable[[Future], object]", /) -> object:
        """Have a function called with this, once there is a result."""


F = TypeVar("F", bound=Future)


def flow(
    submit: Callable[[T], F],
    collect: Callable[[Sequence[F]], Iterable[R]],
    tasks: Iterable[T],
    window: Callable[[], int],
) -> Iterator[tuple[T, R]]:
    """Each task with its result, as they come; of neither more than a window is held at once.

    Args:
        submit: begins a task.
        collect: the results of futures that are done, or what went wrong, raised.
        tasks: taken as there is room for them.
        window: how many may be under way, at that time.
    """
    done: SimpleQueue[Any] = SimpleQueue()  # of F
    waiting: dict[F, T] = {}

    def come() -> Iterator[tuple[T, R]]:
        futures = [done.get()]
        while not done.empty():
            futures.append(done.get())
        yield from zip([waiting.pop(future) for future in futures], collect(futures))

    for task in tasks:
        future = submit(task)
        waiting[future] = task
        future.add_done_callback(done.put)
        while len(waiting) >= window():
            yield from come()
    while waiting:
        yield from come()
