"""`latentopt bdrate`: measure configurations of a codec on a data set and summarise them."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from latentopt import engine, zoo
from latentopt.bench import datasets, exchange, options
from latentopt.bench.configs import parse_all
from latentopt.bench.items import Clips, Images, Medium
from latentopt.bench.kept import MEASUREMENTS
from latentopt.bench.markdown import write_summary
from latentopt.bench.plots import plot_rd
from latentopt.bench.published import RdCurve, published_curve
from latentopt.bench.sequences import per_sequence, sequence_report
from latentopt.bench.sweep import evaluate
from latentopt.bench.task import Plan, asked_points
from latentopt.errors import InputError, LatentoptError


def run(args: argparse.Namespace) -> int:
    """Measure, summarise, plot; raises LatentoptError on anything the user can fix."""
    options.check(args)
    codec, steps = zoo.canonical(args.codec), options.numbers(args.steps, "--steps")
    working = engine.engine_of(args)
    threads = working.threads if args.threads is None else args.threads
    if threads is not None:
        torch.set_num_threads(threads)
    medium = _medium(args, codec, steps)
    configs = parse_all(options.names(args.configs))
    points = asked_points(args)
    data = args.data or ("video" if zoo.is_video(codec) else "kodak")
    whole = medium.resolve(data)
    dataset = whole if args.limit is None else whole.first(args.limit)
    plan = Plan(
        codec=codec,
        points=points,
        configs=configs,
        dataset=dataset,
        steps=steps,
        device=args.device,
        batch_size=args.batch_size,
        medium=medium,
    )
    label = medium.label(data)
    out = args.out or Path("results") / f"{codec}-{_slug(label)}"
    exchange.keep(args.imported, out / exchange.IMPORTED)
    export = out / exchange.EXPORTED if args.export else None
    title = f"{codec} on {label}{_part(len(dataset.paths), len(whole.paths))}"
    with working:
        print(run_plan(plan, out, title, not args.quiet, export, working))
    print(f"Written to {out}")
    return 0


def _part(count: int, whole: int) -> str:
    """What a title says of a subset.

    >>> _part(3, 24), _part(24, 24)
    (', the first 3 of 24', '')
    """
    return f", the first {count} of {whole}" if count < whole else ""


def run_plan(
    plan: Plan,
    out: Path,
    title: str,
    progress: bool = True,
    export: Path | None = None,
    working: engine.Engine = engine.LOCAL,
) -> str:
    """Measure into out/measurements.csv, write summary and plot next to it; return the Markdown.

    CompressAI's JSON goes to the folder ``export``, if one is given.
    """
    rows = evaluate(plan, out / MEASUREMENTS, progress, working)
    sections = []
    if zoo.is_video(plan.codec):
        sections = [sequence_report(rows)]
        per_sequence(rows).to_csv(out / "sequences.csv", index=False)
    text = write_summary(rows, out, title, sections)
    others = exchange.imported(out / exchange.IMPORTED)
    plot_rd(rows, out / "rd.png", title, _published(plan), others)
    if export:
        exchange.export(rows, export)
    return text


def _published(plan: Plan) -> RdCurve | None:
    known = datasets.published_set(plan.dataset.name)
    if known is None or known.images != len(plan.dataset.paths) or not plan.medium.whole:
        return None
    if any(point.name.endswith("-ms-ssim") for point in plan.points):
        return None  # the published curves are of weights trained for MSE
    try:
        return published_curve(zoo.family(plan.codec), known.key)
    except InputError:
        return None


def _medium(args: argparse.Namespace, codec: str, steps: Sequence[float]) -> Medium:
    """What the codec takes, coded as the options say."""
    if not zoo.is_video(codec):
        return Images()
    if args.batch_size != 1:
        raise InputError(f"--batch-size {args.batch_size}: clips are coded one at a time, use 1")
    if set(steps) - {1.0}:
        raise InputError(f"--steps {args.steps}: a video codec has no step but its own, use 1")
    return Clips(
        gop=options.DEFAULT_GOP if args.gop is None else args.gop,
        frames=args.frames,
        ahead=bool(args.ahead),
        parts=None if args.parts is None else options.names(args.parts),
    )


def _slug(text: str) -> str:
    """A folder name for a data set given as a path or glob."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "data"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of scripts/bdrate.py: 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    options.add_arguments(parser)
    try:
        return run(parser.parse_args(argv))
    except LatentoptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
