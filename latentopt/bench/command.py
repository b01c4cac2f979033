"""`latentopt bdrate`: measure configurations of a codec on a data set and summarise them."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from latentopt import zoo
from latentopt.bench import clipsets, datasets, exchange
from latentopt.bench.configs import parse_all
from latentopt.bench.items import DEFAULT_GOP, PARTS, Clips, Images, Medium
from latentopt.bench.markdown import write_summary
from latentopt.bench.plots import plot_rd
from latentopt.bench.published import RdCurve, published_curve
from latentopt.bench.sequences import per_sequence, sequence_report
from latentopt.bench.sweep import evaluate
from latentopt.bench.task import Plan, RatePoint, checkpoint_points, quality_points
from latentopt.errors import InputError, LatentoptError

DEFAULT_CONFIGS = "baseline,int,hex,oct,oct+shift,fast,default"
_VIDEO_OPTIONS = ("gop", "frames", "ahead", "parts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that `run` reads."""
    add = parser.add_argument
    add("--codec", required=True, help="one that `latentopt zoo list` shows")
    add(
        "--data",
        help=f"{', '.join(datasets.names())}, a folder, a file or a glob (default: kodak); of a "
        f"video codec {', '.join(clipsets.names())}, a clip, a folder or a glob (default: video)",
    )
    add("--weights", nargs="+", metavar="FILE", help="checkpoints, folders of them, or globs")
    add("--qualities", metavar="Q,Q", help="which of the codec's weights (default: all)")
    add("--metric", default="mse", choices=zoo.METRICS, help="what the weights were trained for")
    add("--steps", default="1", metavar="S,S", help="quantization step multipliers (default: 1)")
    add("--configs", default=DEFAULT_CONFIGS, help=f"comma-separated (default: {DEFAULT_CONFIGS})")
    add("--device", default="cpu", help="cpu (default) or cuda")
    add("--batch-size", type=int, default=1, help="images of equal size coded together")
    add("--limit", type=int, metavar="N", help="only the first N images or clips")
    add("--threads", type=int, help="CPU threads (default: PyTorch's choice)")
    add("--out", type=Path, help="output folder (default: results/CODEC-DATA)")
    exchange.add_arguments(parser)
    add("--quiet", action="store_true", help="no progress bar")
    video = parser.add_argument_group("of a video codec")
    gop_help = f"frames from one key frame to the next (default: {DEFAULT_GOP})"
    video.add_argument("--gop", type=int, metavar="N", help=gop_help)
    video.add_argument("--frames", type=int, metavar="N", help="only the first N of each clip")
    ahead_help = "choose step sizes of the shift with the next frame in view"
    video.add_argument("--ahead", action="store_true", default=None, help=ahead_help)
    parts_help = f"what the configurations are for, of {','.join(PARTS)} (default: wrap's choice)"
    video.add_argument("--parts", metavar="P,P", help=parts_help)


def run(args: argparse.Namespace) -> int:
    """Measure, summarise, plot; raises LatentoptError on anything the user can fix."""
    codec = zoo.canonical(args.codec)
    if args.threads is not None:
        if args.threads < 1:
            raise InputError(f"--threads {args.threads}: must be at least 1")
        torch.set_num_threads(args.threads)
    steps = _numbers(args.steps, "--steps")
    medium = _medium(args, codec, steps)
    data = args.data or ("video" if zoo.is_video(codec) else "kodak")
    whole = medium.resolve(data)
    dataset = whole if args.limit is None else whole.first(args.limit)
    plan = Plan(
        codec=codec,
        points=_points(args, codec),
        configs=parse_all([c for c in args.configs.split(",") if c.strip()]),
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
    print(run_plan(plan, out, title, not args.quiet, export))
    print(f"Written to {out}")
    return 0


def _part(count: int, whole: int) -> str:
    """What a title says of a subset.

    >>> _part(3, 24), _part(24, 24)
    (', the first 3 of 24', '')
    """
    return f", the first {count} of {whole}" if count < whole else ""


def run_plan(
    plan: Plan, out: Path, title: str, progress: bool = True, export: Path | None = None
) -> str:
    """Measure into out/measurements.csv, write summary and plot next to it; return the Markdown.

    CompressAI's JSON goes to the folder ``export``, if one is given.
    """
    rows = evaluate(plan, out / "measurements.csv", progress)
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
    given = [name for name in _VIDEO_OPTIONS if getattr(args, name) is not None]
    if not zoo.is_video(codec):
        if given:
            raise InputError(f"--{given[0]} is for video codecs, and {codec} codes images")
        return Images()
    if args.batch_size != 1:
        raise InputError(f"--batch-size {args.batch_size}: clips are coded one at a time, use 1")
    if set(steps) - {1.0}:
        raise InputError(f"--steps {args.steps}: a video codec has no step but its own, use 1")
    return Clips(
        gop=DEFAULT_GOP if args.gop is None else args.gop,
        frames=args.frames,
        ahead=bool(args.ahead),
        parts=None if args.parts is None else tuple(p for p in args.parts.split(",") if p),
    )


def _points(args: argparse.Namespace, codec: str) -> list[RatePoint]:
    if args.weights and args.qualities:
        raise InputError("--weights and --qualities exclude each other: give one")
    if args.weights:
        return checkpoint_points(codec, args.weights)
    if args.qualities:
        numbers = _numbers(args.qualities, "--qualities")
        if any(q != int(q) for q in numbers):
            raise InputError(f"--qualities {args.qualities}: qualities are whole numbers")
        return quality_points(codec, [int(q) for q in numbers], args.metric)
    qualities = zoo.qualities(codec, args.metric)
    if not qualities:
        raise InputError(f"there are no weights of {codec} for {args.metric}: give --weights FILE")
    return quality_points(codec, qualities, args.metric)


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise InputError(f"{option} {text!r}: expected numbers separated by commas") from error


def _slug(text: str) -> str:
    """A folder name for a data set given as a path or glob."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "data"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of scripts/bdrate.py: 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    try:
        return run(parser.parse_args(argv))
    except LatentoptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
