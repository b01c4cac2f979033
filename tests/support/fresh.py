"""Processes that know of latentopt, and of nothing that a test did before."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def elsewhere(work: Callable[P, T], *args: P.args, **words: P.kwargs) -> T:
    """What ``work``, a function of some module, returns in a process of its own.

    All are children of one process that has imported PyTorch, which takes seconds, and waits. What
    comes back must pickle; tensors do as files, as shared memory ends with the process.
    """
    with ProcessPoolExecutor(1, _server()) as pool:
        return pool.submit(work, *args, **words).result(timeout=300)


def _server() -> multiprocessing.context.BaseContext:
    """Of forks where the system has them; else each process imports for itself."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["latentopt.codec.wrap", "compressai.models", "compressai.zoo"])
    return server
