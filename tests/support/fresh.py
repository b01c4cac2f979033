"""Processes that know of latentopt, and of nothing that a test did before."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess
from typing import ParamSpec, TypeVar

import pytest
import torch
from torch import Tensor

from latentopt import VideoCodec

P = ParamSpec("P")
T = TypeVar("T")


def elsewhere(work: Callable[P, T], *args: P.args, **words: P.kwargs) -> T:
    """What ``work``, a function of some module, returns in a process of its own.

    All are children of one process that has imported PyTorch, which takes seconds, and waits. What
    comes back must pickle; tensors do as files, as shared memory ends with the process.
    """
    with ProcessPoolExecutor(1, _server()) as pool:
        return pool.submit(work, *args, **words).result(timeout=300)


def started(work: Callable[P, object], *args: P.args, **words: P.kwargs) -> BaseProcess:
    """Such a process that has begun with ``work``, for tests that end it before it is done."""
    process = _server().Process(target=work, args=args, kwargs=words)
    process.start()
    return process


def run_script(
    command: Sequence[object], check: bool = False, env: Mapping[str, str] | None = None
) -> "CompletedProcess[str]":
    """What ``subprocess.run`` does with a script of ours, by a process as above.

    Of the environment it can be told the number of threads.
    """
    python, script, *words = map(str, command)
    told = dict((env or os.environ).items() - os.environ.items())
    assert python == sys.executable and told.keys() <= {"OMP_NUM_THREADS"}
    threads = int(told.get("OMP_NUM_THREADS", torch.get_num_threads()))
    done = CompletedProcess[str](command, elsewhere(_main, Path(script).stem, words, threads) or 0)
    if check:
        done.check_returncode()
    return done


def _main(script: str, words: Sequence[str], threads: int) -> int | None:
    torch.set_num_threads(threads)
    code: int | None = import_module(script).main(words)
    return code


def workers_from_the_server(patch: pytest.MonkeyPatch) -> None:
    """An engine's processes are such, too."""
    server = _server()
    patch.setattr("multiprocessing.get_context", lambda method: server)


def _server() -> multiprocessing.context.BaseContext:
    """Of forks where the system has them; else each process imports for itself."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["latentopt.codec.wrap", "compressai.models", "compressai.zoo"])
    return server


def assert_decodes_elsewhere(
    decode: Callable[[Path], None], codec: VideoCodec, frames: Sequence[Tensor], folder: Path
) -> None:
    """A clip's file means the same in a fresh process, where ``decode`` makes x.pt of x.lo."""
    codec.save(folder / "x.lo", frames)
    expected = list(codec.load(folder / "x.lo"))
    elsewhere(decode, folder)
    found = torch.load(folder / "x.pt", weights_only=True)
    for image, right in zip(found, expected, strict=True):
        torch.testing.assert_close(image, right, atol=1e-7, rtol=0)
