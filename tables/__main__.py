"""Measure a table or figure of a paper: `python -m tables table1 --data kodak --codecs tiny`.

Runs resume where they were interrupted, and do not measure again what tables/measured holds.
`figures` renews what README and docs show of the rows there; with --check it only compares.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from latentopt import engine
from latentopt.errors import InputError, LatentoptError
from tables import experiment_of, files
from tables.common import data, report
from tables.common.experiment import Request
from tables.common.keep import keep
from tables.common.places import MEASURED
from tables.common.subjects import resolve as resolve_codecs
from tables.figures import documents

ALL = "all"
FIGURES = "figures"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tables", description=__doc__)
    add = made.add_argument
    names = (*files(), ALL, FIGURES)
    add("names", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    add("--data", help="kodak (default), clic, or any that latentopt bdrate takes")
    add("--codecs", default="tiny,lab,zoo", help="tiny, lab, zoo or codecs (default: all three)")
    add("--configs", help="only these configurations are measured; all that were are shown")
    add("--limit", type=int, metavar="N", help="only the first N images")
    add("--seeds", type=int, help="random directions (default: 16, with --device cuda 1024)")
    add("--device", default="cpu", help="cpu (default) or cuda")
    add("--threads", type=int, default=1, help="CPU threads (default: 1, as in the paper)")
    add("--rows", type=Path, default=Path("results/tables/rows"), help="folder of measurements")
    add("--out", type=Path, default=Path("results/tables"), help="folder of the reports")
    add("--committed", type=Path, default=MEASURED, help="measurements to start from")
    add("--keep", action="store_true", help="then copy new measurements to the committed ones")
    add("--report", action="store_true", help="measure nothing")
    add("--check", action="store_true", help="of figures: exit 1 where documents are stale")
    add("--quiet", action="store_true", help="no progress bars")
    engine.add_arguments(made)
    return made


def request_of(args: argparse.Namespace, video: bool, working: engine.Engine) -> Request:
    """What the arguments mean for an experiment on images or on video."""
    name = args.data or (data.VIDEO if video else "kodak")
    dataset = (data.resolve_clips if video else data.resolve)(name)
    if args.limit:
        dataset = dataset.first(args.limit)
    return Request(
        name,
        dataset,
        resolve_codecs(args.codecs.split(","), video),
        args.rows,
        args.committed,
        configs=args.configs.split(",") if args.configs else None,
        seeds=args.seeds or (1024 if args.device.startswith("cuda") else 16),
        device=args.device,
        run=not args.report,
        progress=not args.quiet,
        engine=working,
    )


def command_of(name: str, args: argparse.Namespace) -> str:
    """What measures the same elsewhere."""
    options = ("data", "codecs", "configs", "limit", "seeds", "device", "threads")
    usual = parser().parse_args([name])
    given = {o: getattr(args, o) for o in options if getattr(args, o) != getattr(usual, o)}
    words = [f"--{option} {value}" for option, value in given.items()]
    return " ".join(["python -m tables", name, *words])


def main(argv: Sequence[str] | None = None) -> int:
    """0; 1 where documents are stale; or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    if FIGURES in args.names:
        return documents.renew(args.check)
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.allow_tf32 = False  # on a GPU too, differences of 0.001 dB are measured
    try:
        with engine.engine_of(args) as working:
            for name in files() if ALL in args.names else args.names:
                _run(name, args, working)
        for path in keep(args.rows, args.committed) if args.keep else []:
            print(f"Kept {path}")
    except LatentoptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(name: str, args: argparse.Namespace, working: engine.Engine) -> None:
    """Measure and report one table, one that is about time in this process alone.

    Raises:
        InputError: times were asked for by name, of more than one process.
    """
    experiment = experiment_of(name)
    if experiment.times and working is not engine.LOCAL and not args.report:
        if ALL not in args.names:
            raise InputError(
                f"{name} is about time, which processes that work at once take from each other: "
                "measure it in one process, without --engine and --jobs"
            )
        working = engine.LOCAL
    request = request_of(args, experiment.medium == "video", working)
    cells = list(experiment.cells(request))
    print(report.write(experiment, cells, request, args.out, command_of(name, args)))


if __name__ == "__main__":
    sys.exit(main())
