"""Processes of a Dask cluster: one that runs already, or one of this machine for the time being."""

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from latentopt.engine.processes import fair_threads
from latentopt.engine.station import Make, Work, perform
from latentopt.engine.window import AHEAD, flow
from latentopt.errors import InputError
from latentopt.extras import need

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

T = TypeVar("T")
R = TypeVar("R")

_PATIENCE_S = 60.0  # for a scheduler, and for its first worker
_RESTART_S = 300  # for a worker that died
_GIVES_UP = ("distributed.deploy.lost-worker-timeout", "distributed.comm.timeouts.connect")
_FRESH_S = 2.0  # how long a count of workers is believed


class Dask:
    """A cluster, whose scheduler does the tasks of workers that are lost elsewhere.

    Workers have one thread for tasks each: several would share a model's time.
    """

    def __init__(self, scheduler: str | None, count: int):
        """``count``: workers to start here, where there is no address of a scheduler."""
        need("cluster", "distributed")
        self.threads = 1 if scheduler else fair_threads(count)
        self._scheduler, self._count = scheduler, count
        self._workers, self._counted_at = 0, -_FRESH_S
        self._open = ExitStack()
        self._client: Client | None = None

    @property
    def label(self) -> str:
        return f"dask:{self._workers}"

    def __enter__(self) -> "Dask":
        with ExitStack() as opened:  # closed again where what follows fails
            address = self._scheduler or opened.enter_context(local_cluster(self._count))
            self._client = opened.enter_context(_connected(address))
            self._check()
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def run(self, make: Make[T, R], tasks: Iterable[T], /) -> Iterator[tuple[T, R]]:
        from distributed.scheduler import KilledWorker

        assert self._client, "not before the block"
        client, work = self._client, Work.of(make)
        try:
            yield from flow(
                lambda task: client.submit(perform, work, task, pure=False),
                client.gather,
                tasks,
                self._window,
            )
        except KilledWorker as error:
            raise InputError(f"a task ended the workers that did it: {error}") from error
        except CancelledError as error:
            raise InputError("the cluster is gone, or lost the tasks; run this again") from error

    def _window(self) -> int:
        """What keeps the workers busy that there are now, who may come and go."""
        if monotonic() > self._counted_at + _FRESH_S:
            assert self._client
            self._workers = len(self._client.nthreads())
            self._counted_at = monotonic()
        return AHEAD * max(self._workers, 1)

    def _check(self) -> None:
        """InputError where nobody is there to work, or not as timings need it."""
        assert self._client
        try:
            self._client.wait_for_workers(1, timeout=_PATIENCE_S)
        except TimeoutError as error:
            raise InputError(
                f"{self._scheduler}: has no workers; start some: dask worker {self._scheduler} "
                "--nthreads 1 --nworkers 4"
            ) from error
        for worker, threads in self._client.nthreads().items():
            if threads != 1:
                raise InputError(
                    f"worker {worker} has {threads} threads, which would share a model's time: "
                    "start it with --nthreads 1, and --nworkers for more processes"
                )
        self._window()


@contextmanager
def local_cluster(count: int) -> "Iterator[LocalCluster]":
    """So many workers of one thread on this machine; one that dies is started again.

    A busy machine takes longer to do so than the seconds after which Dask gives up on it for good.
    """
    import dask
    from distributed import LocalCluster

    patience = dict.fromkeys(_GIVES_UP, f"{_RESTART_S}s")
    with (
        dask.config.set(patience),
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=0,  # photographs differ in size: none is a reason to end a worker
            dashboard_address=None,
            silence_logs=logging.CRITICAL + 1,  # what goes wrong is raised, in one line
        ) as running,
    ):
        yield running


def _connected(address: "str | LocalCluster") -> "Client":
    from distributed import Client

    try:
        return Client(address, timeout=_PATIENCE_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(f"no scheduler at {address}: {error}") from error
