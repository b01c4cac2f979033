"""Threads and processes: a codec gives everywhere what it gives alone, and leaves no settings."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.codec_families import IMAGE_MODELS, VIDEO_CODECS
from support.models import FAMILIES, moving, photo, tiny, tiny_flow
from threadpoolctl import threadpool_info, threadpool_limits

import latentopt
from latentopt.adapters import base

CODECS: dict[str, Callable[[], Any]] = {
    **{
        name: lambda make=make: latentopt.wrap(make(0), "oct")
        for name, make in IMAGE_MODELS.items()
    },
    "searched": lambda: latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), preset="default"),
    "compat": lambda: latentopt.wrap(tiny(FAMILIES["bmshj2018-factorized"]), format="compressai"),
    **{f"video {name}": make for name, make in VIDEO_CODECS.items()},
    "video compat": lambda: latentopt.wrap(tiny_flow(), preset="fast", format="compressai"),
}
NATIVE = ("compat", "video compat")  # test_sharing has the threads of the others


def there_and_back(codec: Any) -> tuple[Any, list[torch.Tensor]]:
    """Strings and pictures of a small image or clip."""
    torch.set_num_threads(1)
    if isinstance(codec, latentopt.Codec):
        out = codec.compress(photo(64, 64))
        return out["strings"], [codec.decompress(out["strings"], out["shape"])["x_hat"]]
    strings, shapes = codec.compress(moving(2, 64, 64))
    return strings, codec.decompress(strings, shapes)


def in_a_worker(pickled: dict[str, bytes]) -> bytes:
    """As bytes: tensors would travel in shared memory, which a finished worker takes with it."""
    return pickle.dumps({k: there_and_back(pickle.loads(v)) for k, v in pickled.items()})


_SHARED: dict[str, Any] = {}


def in_a_fork(_: int) -> bytes:
    """With the parent's own objects, which it has used."""
    return pickle.dumps({name: there_and_back(codec) for name, codec in _SHARED.items()})


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    _SHARED.update({name: make() for name, make in CODECS.items()})
    return {name: there_and_back(codec) for name, codec in _SHARED.items()}


@pytest.fixture(scope="module")
def spawned(alone: dict[str, Any]) -> dict[str, Any]:
    pickled = {name: pickle.dumps(codec) for name, codec in _SHARED.items()}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found: dict[str, Any] = pickle.loads(pool.submit(in_a_worker, pickled).result())
    return found


@pytest.fixture(scope="module")
def forked(alone: dict[str, Any]) -> dict[str, Any]:
    """Of a parent in which another thread holds our lock, as happens while it derives."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    with base._DERIVING, ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        found: dict[str, Any] = pickle.loads(pool.submit(in_a_fork, 0).result(timeout=300))
    return found


@pytest.fixture(scope="module")
def threaded(alone: dict[str, Any]) -> dict[str, list[Any]]:
    def eight(codec: Any) -> list[Any]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(there_and_back, [codec] * 8))

    return {name: eight(_SHARED[name]) for name in NATIVE}


def same(found: Any, expected: Any) -> bool:
    """Of strings and pictures."""
    pictures = zip(found[1], expected[1], strict=True)
    return found[0] == expected[0] and all(torch.equal(a, b) for a, b in pictures)


# Of all codecs at once: pytest-xdist's processes would each start workers for their share.


def test_a_spawned_worker_gives_the_same(alone: Any, spawned: Any) -> None:
    assert [name for name in CODECS if not same(spawned[name], alone[name])] == []


def test_a_forked_worker_gives_the_same(alone: Any, forked: Any) -> None:
    assert [name for name in CODECS if not same(forked[name], alone[name])] == []


FORKING = """
import os, sys, torch
torch.set_num_threads(2)
import latentopt
from support.models import FAMILIES, photo, tiny

codec = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), preset="default")
x = photo(192, 256)  # enough for several threads of OpenMP, and gradients
before = codec.compress(x)["strings"]
child = os.fork()
if not child:
    os._exit(0 if codec.compress(x)["strings"] == before else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_of_a_process_with_threads_does_not_wait_for_them() -> None:
    """OpenMP's do not come along; the same bytes, as a small image's gradients are summed alike."""
    places = [str(Path(latentopt.__file__).parents[1]), str(Path(__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "2"}
    argv = [sys.executable, "-c", FORKING]
    assert subprocess.run(argv, env=environment, timeout=120).returncode == 0


@pytest.mark.parametrize("name", NATIVE)
def test_eight_threads_give_the_same(name: str, alone: Any, threaded: Any) -> None:
    assert all(same(found, alone[name]) for found in threaded[name])


# -- settings of the process -----------------------------------------------------------------------


def settings() -> dict[str, Any]:
    """What a library may change for everyone."""
    return {
        "blas": [pool["num_threads"] for pool in threadpool_info()],
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "torch's generator": torch.get_rng_state().tolist(),
        "numpy's generator": np.random.get_state()[1].tolist(),  # type: ignore[index]
        "numpy's errors": np.geterr(),
        "warnings": list(warnings.filters),
    }


@pytest.mark.parametrize("name", CODECS)
def test_no_setting_outlives_calls(name: str) -> None:
    """Overlapping ones, too: each would put back what another had set."""
    codec = CODECS[name]()
    with threadpool_limits(2):
        before = settings()
        with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(2,)) as pool:
            for _ in pool.map(there_and_back, [codec] * 2):
                pass
        torch.set_num_threads(before["threads"])
        assert settings() == before


@pytest.mark.parametrize("family", IMAGE_MODELS)
def test_wrapping_draws_from_nobodys_generator(family: str) -> None:
    model, before = IMAGE_MODELS[family](0), torch.get_rng_state()
    latentopt.wrap(model)
    assert torch.equal(torch.get_rng_state(), before)


def test_blas_is_released_where_calls_overlap() -> None:
    """One begins in the main thread and ends last in another, and the reverse."""
    from latentopt.adapters.alone import on_one_thread

    def blas() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    inside, leave = threading.Event(), threading.Event()

    @on_one_thread
    def waiting() -> None:
        inside.set()
        leave.wait(10)

    @on_one_thread
    def starting(thread: threading.Thread) -> set[int]:
        thread.start()
        inside.wait(10)
        return blas()

    with threadpool_limits(2, user_api="blas"):
        thread = threading.Thread(target=waiting)
        assert starting(thread) == {1}
        assert blas() == {2}
        leave.set()
        thread.join()
        assert blas() == {2}
