"""The options that say where tasks are done, the same for every command."""

import argparse
from typing import TYPE_CHECKING

from latentopt.engine.local import LOCAL, Local
from latentopt.errors import InputError

if TYPE_CHECKING:
    from latentopt.engine.cluster import Dask
    from latentopt.engine.processes import Processes

ENGINES = ("local", "processes", "dask")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that :func:`engine_of` reads."""
    add = parser.add_argument_group(
        "one process, several, or a cluster (docs/scale.md)"
    ).add_argument
    what = "where the work is done (default: processes with --jobs of more than 1, else local)"
    add("--engine", choices=ENGINES, help=what)
    jobs = "processes of this machine that share the work (default: one a processor)"
    add("--jobs", type=_jobs, metavar="N", help=jobs)
    scheduler = "of a Dask cluster that runs, such as tcp://10.0.0.1:8786 (default: one here)"
    add("--scheduler", metavar="ADDRESS", help=scheduler)


def check(args: argparse.Namespace) -> None:
    """Refuse options that contradict each other.

    Raises:
        InputError: the message names them.
    """
    if args.scheduler and args.engine != "dask":
        raise InputError("--scheduler is of a Dask cluster: give --engine dask, too")
    if args.scheduler and args.jobs:
        raise InputError("--jobs: a cluster has its own workers; leave it out with --scheduler")
    if args.engine == "local" and (args.jobs or 1) > 1:
        raise InputError(f"--jobs {args.jobs}: --engine local is one process; use processes")


def engine_of(args: argparse.Namespace, most: int | None = None) -> "Local | Processes | Dask":
    """What does the tasks, for use in a `with` block.

    Args:
        args: what :func:`add_arguments` declared.
        most: processes that have something to do at once; None: any number.

    Raises:
        InputError: the options contradict each other.
        MissingExtraError: it needs Dask, which is not installed.
    """
    from latentopt.engine.processes import Processes, processors

    check(args)
    jobs = args.jobs or processors()
    count = jobs if most is None else max(min(jobs, most), 1)
    if args.engine == "dask":
        from latentopt.engine.cluster import Dask

        return Dask(args.scheduler, count)
    unasked = args.engine is None and (not args.jobs or count < 2)
    return LOCAL if unasked or args.engine == "local" else Processes(count)


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of files at once")
    return int(text)
