"""A cluster of two workers on this machine, which the tests of a module share."""

from collections.abc import Iterator

import pytest

from latentopt.engine.cluster import local_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of its scheduler. One that idles for a whole session takes a tenth of its time."""
    pytest.importorskip("distributed", reason="needs the extra [cluster]")
    with local_cluster(2) as running:
        yield running.scheduler_address
