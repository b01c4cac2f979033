"""Progress bars, on a terminal's stderr only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

Stage = Callable[[str], None]
"""Starts the stage of that name."""

_STAGES = 5  # libraries, input, model, tables, coding: the same for both directions


def silent(_: str) -> None:
    """A stage that nobody is told of."""


@contextmanager
def progress() -> Iterator[Stage]:
    """A bar of stages."""
    from tqdm import tqdm

    layout = "{desc:18} |{bar:20}| {n_fmt}/{total_fmt} {elapsed}"
    with tqdm(total=_STAGES, disable=None, leave=False, bar_format=layout) as bar:
        started = 0

        def stage(name: str) -> None:
            nonlocal started
            bar.update(min(started, 1, _STAGES - 1 - bar.n))  # the one before has ended
            started += 1
            bar.set_description_str(name)

        stage("loading libraries")
        yield stage


@contextmanager
def files(count: int | None) -> Iterator[tuple[Callable[[], object], Callable[[str], object]]]:
    """A bar of files: what counts one, and what prints a line on stdout above the bar."""
    from tqdm import tqdm

    with tqdm(total=count, unit="file", disable=None, leave=False) as bar:
        yield bar.update, partial(tqdm.write, file=sys.stdout)


@contextmanager
def frames(count: int | None) -> Iterator[Callable[[], object]]:
    """A bar of frames, of which there are ``count``, if known; calling what it gives counts one."""
    from tqdm import tqdm

    with tqdm(total=count, unit="frame", position=1, disable=None, leave=False) as bar:
        yield bar.update
