"""Jobs done one after the other or in processes of their own, their outputs written as they come.

::

    jobs ─┬─► worker ─┐
          ├─► worker ─┼─► outputs ─► files, and a line about each
          └─► worker ─┘

Workers only read. What they return is written here, so that none leaves half a file when it ends.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from latentopt import engine
from latentopt.cli.door import printing
from latentopt.cli.noise import quiet
from latentopt.cli.progress import Stage, files, progress, silent
from latentopt.cli.sources import STREAM, Job, Plan, deliver
from latentopt.cli.words import told
from latentopt.errors import BitstreamError, InputError, LatentoptError, counted, printable


class Output(Protocol):
    """What was made of one input; in words, for the user, by `str`."""

    @property
    def data(self) -> bytes:
        """The content of the file to write."""

    def facts(self) -> dict[str, object]:
        """What `--json` says."""


class Worker(Protocol):
    """Does jobs one after the other."""

    def prepare(self) -> None:
        """Load what the options name, so that what is wrong with it is said once, before any job.

        Raises:
            LatentoptError: it cannot be loaded.
        """

    def __call__(self, job: Job, stage: Stage, /) -> Output:
        """The output for one input; LatentoptError on anything the user can mend."""


MakeWorker = Callable[[argparse.Namespace], Worker]
"""A function that pickles, as the arguments do: each process makes a worker of its own."""


@dataclass(frozen=True)
class Failure:
    """Why there is no output."""

    reason: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that `run` reads."""
    add = parser.add_argument_group("many files, and programs").add_argument
    add("--no-clobber", action="store_true", help="keep files that exist instead of replacing them")
    add("--json", action="store_true", help="one JSON object a line for each file, not words")
    engine.add_arguments(parser)


def run(plan: Plan, make: MakeWorker, args: argparse.Namespace) -> int:
    """Do what is planned: 0, or 1 where a job of a batch failed.

    Raises:
        LatentoptError: the only job failed.
    """
    engine.check(args)
    if not plan.is_batch:
        [job] = plan.jobs
        _refuse_to_clobber(job, args)
        with progress() as stage:
            output = make(args)(job, stage)
        line = _delivered(job, output, args)
        print(line, file=sys.stderr if job.output == STREAM else sys.stdout)
        if lost := _lost(output):
            raise BitstreamError(f"{job.name}: {lost}")
        return 0
    jobs = list(_not_kept(plan.jobs, args))
    failed = 0
    working = engine.engine_of(args, most=len(jobs))
    with files(len(jobs)) as (advance, say), working:
        for job, outcome in working.run(partial(attempting, make, args, working.threads), jobs):
            failed += not _settled(job, outcome, args, say)
            advance()
    if failed:
        print(f"latentopt: {failed} of {counted(len(jobs), 'file')} failed", file=sys.stderr)
    return 1 if failed else 0


# -- outputs ---------------------------------------------------------------------------------------

Say = Callable[[str], object]


def _settled(job: Job, outcome: Output | Failure, args: argparse.Namespace, say: Say) -> bool:
    """Whether there is an output, and it could be written; what is wrong goes to stderr."""
    try:
        if isinstance(outcome, Failure):
            raise InputError(outcome.reason)
        job.output.parent.mkdir(parents=True, exist_ok=True)
        line = _delivered(job, outcome, args)
    except (LatentoptError, OSError) as error:
        complain(job.name, str(error))
        return False
    with printing():  # which is no fault of the file's
        say(line)
    if lost := _lost(outcome):
        complain(job.name, lost)
    return not lost


def complain(name: object, why: str) -> None:
    """Say on stderr what is wrong with a file, in one line that names it."""
    line, own = printable(why), printable(str(name))
    # Whole, after its folder perhaps: a file's name may be a letter, which every line has
    is_named = re.search(rf"(?<![^\s/'\"]){re.escape(own)}['\":]", line)
    print(f"latentopt: {line if is_named else f'{own}: {line}'}", file=sys.stderr)


def _delivered(job: Job, output: Output, args: argparse.Namespace) -> str:
    """What an output is, once it is written."""
    replaced = job.output != STREAM and job.output.exists()
    if args.json:
        ends = {"input": str(job.source), "output": str(job.output), "replaced": replaced}
        line = json.dumps({**ends, **output.facts()}, ensure_ascii=False)
    else:
        line = f"{output}: {job.output}{' (replaced)' if replaced else ''}"
    deliver(job.output, output.data)
    return line


def _lost(output: Output) -> str:
    """What could not be had of a damaged file; empty: nothing."""
    return getattr(output, "lost", None) or ""


def _refuse_to_clobber(job: Job, args: argparse.Namespace) -> None:
    if args.no_clobber and os.path.exists(job.output):
        raise InputError(f"{job.output}: exists, and --no-clobber keeps it")


def _not_kept(jobs: Iterable[Job], args: argparse.Namespace) -> Iterator[Job]:
    """The jobs whose outputs may be written; the others are told."""
    for job in jobs:
        try:
            _refuse_to_clobber(job, args)
            yield job
        except InputError as error:
            print(f"latentopt: {error}", file=sys.stderr)


# -- in whatever process ---------------------------------------------------------------------------


def attempting(
    make: MakeWorker, args: argparse.Namespace, threads: int | None
) -> Callable[[Job], Output | Failure]:
    """What does jobs in a process, of which none must stop the others; ``threads``: at most."""
    settle_process(threads)
    worker = make(args)
    worker.prepare()
    return partial(_attempt, worker)


def settle_process(threads: int | None) -> None:
    """What a process does before its first job; None: it is the command's own, which has."""
    if threads is not None:
        import torch

        quiet()
        torch.set_num_threads(min(threads, torch.get_num_threads()))


def _attempt(worker: Worker, job: Job) -> Output | Failure:
    """One broken file must not stop the others, whatever is wrong with it."""
    try:
        if job.content is None and os.path.exists(job.source) and not os.path.isfile(job.source):
            return Failure("is not a regular file")  # reading a pipe might wait for ever
        return worker(job, silent)
    except Exception as error:
        return Failure(told(error))
