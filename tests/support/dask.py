"""A cluster of two workers on this machine, which the tests of a process share."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Address of its scheduler."""
    distributed = pytest.importorskip("distributed", reason="needs the extra [cluster]")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0
    ) as running:
        yield running.scheduler_address
