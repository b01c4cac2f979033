"""Small matrix products on one thread: more would wait for each other more than they work."""

import threading
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
T = TypeVar("T")


def on_one_thread(function: Callable[P, T]) -> Callable[P, T]:
    """The function with BLAS on one thread, where the main thread calls it.

    How many threads BLAS has is a setting of the process: calls that overlap, each putting back
    what it had found, would leave it at one for ever. So only one thread may change it; and
    OpenBLAS ignores what others than the main one say, limits and their end.
    """

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> T:
        if threading.current_thread() is not threading.main_thread():
            return function(*args, **kwargs)
        with threadpool_limits(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited
