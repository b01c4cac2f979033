"""What an engine is, and the one that needs no other process."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from latentopt.engine.station import Make

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """Does tasks, each of them once; made for use in a `with` block."""

    @property
    def label(self) -> str:
        """What rows say of it: its name, and how many processes it has."""

    @property
    def threads(self) -> int | None:
        """CPU threads of each of its processes; None: as many as this one has."""

    def run(self, make: Make[T, R], tasks: Iterable[T], /) -> Iterator[tuple[T, R]]:
        """Each task with its result, in the order in which they come.

        Tasks are taken as there is room for them: what is under way is bounded, however many there
        are. What a task raises is raised here, and what was not begun is then left.

        Raises:
            InputError: a process was ended, or the cluster is gone.
        """


class Local:
    """One task after the other, in this process."""

    label = "local"
    threads = None

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, make: Make[T, R], tasks: Iterable[T], /) -> Iterator[tuple[T, R]]:
        work = None
        for task in tasks:
            work = work or make()  # not before there is something to do
            yield task, work(task)


LOCAL = Local()
Opened = AbstractContextManager[Engine]
