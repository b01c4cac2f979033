"""What a process of an engine does: it makes what does tasks once, and does one at a time."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TypeVar

from latentopt import __version__
from latentopt.errors import InputError

T = TypeVar("T")
R = TypeVar("R")

Make = Callable[[], Callable[[T], R]]
"""Makes what does tasks, with all that it loads for them; it pickles where it goes elsewhere."""

_one_at_a_time = Lock()  # lest two tasks of a worker with threads share a model, or its time


@dataclass(frozen=True)
class Work:
    """What is done with each task, as data that any process can make it of."""

    version: str
    """latentopt's, which rows say and must not mix."""
    pickled: bytes
    """A :data:`Make`."""

    @classmethod
    def of(cls, make: Make[T, R]) -> "Work":
        """InputError where it does not pickle."""
        try:
            return cls(__version__, pickle.dumps(make))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InputError(f"other processes cannot do this ({error}): use --engine local") from (
                error
            )


def perform(work: Work, task: T) -> object:
    """The result of a task, in whatever process this is.

    Raises:
        InputError: the process has another version of latentopt.
    """
    with _one_at_a_time:
        return _made(work)(task)


@lru_cache(maxsize=1)
def _made(work: Work) -> Callable[[object], object]:
    if work.version != __version__:
        raise InputError(
            f"a worker has latentopt {__version__}, and the client {work.version}: install the same"
        )
    make: Make[object, object] = pickle.loads(work.pickled)
    return make()
