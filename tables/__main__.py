"""Measure a table or figure of a paper: `python -m tables table1 --data kodak --codecs tiny`.

Runs resume where they were interrupted, and do not measure again what tables/measured holds.
`figures` renews what README and docs show of the rows there; with --check it only compares.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from latentopt.errors import LatentoptError
from tables import experiment_of, files
from tables.common import data, jobs, report
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
    add("--jobs", type=int, default=1, metavar="N", help="processes that share the images")
    add("--share", metavar="K/N", help="measure only the K-th of N shares of the images")
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
    return made


def request_of(args: argparse.Namespace, video: bool) -> Request:
    """What the arguments mean for an experiment on images or on video."""
    name = args.data or (data.VIDEO if video else "kodak")
    dataset = (data.resolve_clips if video else data.resolve)(name)
    if args.limit:
        dataset = dataset.first(args.limit)
    return Request(
        name,
        data.share(dataset, args.share) if args.share else dataset,
        resolve_codecs(args.codecs.split(","), video),
        args.rows,
        args.committed,
        configs=args.configs.split(",") if args.configs else None,
        seeds=args.seeds or (1024 if args.device.startswith("cuda") else 16),
        device=args.device,
        run=not args.report,
        progress=not args.quiet,
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
        if args.jobs > 1 and not args.report:
            given = sys.argv[1:] if argv is None else argv
            jobs.measure(given, args.jobs, args.threads, args.rows)
        for name in files() if ALL in args.names else args.names:
            _run(name, args)
        for path in keep(args.rows, args.committed) if args.keep and not args.share else []:
            print(f"Kept {path}")
    except LatentoptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(name: str, args: argparse.Namespace) -> None:
    """Measure and report one table; of a share, only measure what can be shared."""
    experiment = experiment_of(name)
    if args.share and experiment.alone:
        return
    request = request_of(args, experiment.medium == "video")
    if not request.dataset.paths:
        return  # more processes than images
    cells = list(experiment.cells(request))
    if not args.share:
        print(report.write(experiment, cells, request, args.out, command_of(name, args)))


if __name__ == "__main__":
    sys.exit(main())
