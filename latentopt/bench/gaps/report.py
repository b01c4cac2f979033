"""`latentopt gaps`: the gaps of a codec's weights on a data set, as table, CSV and plot."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from latentopt import __version__, zoo
from latentopt.atomic import write_whole
from latentopt.bench import datasets
from latentopt.bench.datasets import Dataset
from latentopt.bench.gaps.meter import Gaps, measure
from latentopt.bench.gaps.tally import BINS
from latentopt.bench.markdown import table
from latentopt.bench.plots import drawing, save
from latentopt.bench.task import asked_points
from latentopt.media.images import read_image

_SHOWN = 3.0  # steps on each side of the histogram


def run(args: argparse.Namespace) -> int:
    """Measure, and write what was measured; raises LatentoptError on anything the user can fix."""
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    points, whole = asked_points(args), datasets.resolve(args.data)
    data = whole if args.limit is None else whole.first(args.limit)
    found: dict[str, Gaps] = {}
    for point in points:
        found[point.name] = measure(point.load(), _images(data, point.name, args.quiet))
    title = f"{zoo.canonical(args.codec)} on {len(data.paths)} image(s) of {args.data}"
    text = report(found, title)
    print(text)
    if args.out:
        write(found, args.out, title, text)
        print(f"Written to {args.out}")
    return 0


def report(found: dict[str, Gaps], title: str) -> str:
    """A table of one row for each set of weights, as Markdown."""
    return f"# Gaps: {title}\n\n{table(_rows(found))}\n\n{_NOTE} latentopt {__version__}."


def _rows(found: dict[str, Gaps]) -> pd.DataFrame:
    """One for each set of weights."""
    return pd.DataFrame([{"point": name, **gaps.row()} for name, gaps in found.items()])


_NOTE = (
    "Distances are in quantization steps about the centres that the model gives: 0.25 and 0.0833 "
    "(discrete) of a latent that knows nothing of integers, less the more elements are zero. Bits "
    "are per element; of them, `kl bits` is what wrong expectations of channels cost, `kl levels "
    "bits` those of levels. `smoothness` is the change of the image's squared error (255) under "
    "uniform noise in the decoded latent, `noise db` the PSNR that it costs."
)


def write(found: dict[str, Gaps], folder: Path, title: str, text: str) -> None:
    """Write gaps.md, gaps.csv, channels.csv and histogram.png into a folder."""
    channels = [gaps.channels.assign(point=name) for name, gaps in found.items()]
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("gaps.md", text + "\n"),
        ("gaps.csv", _rows(found).to_csv(index=False)),
        ("channels.csv", pd.concat(channels).to_csv(index=False)),
    ):
        write_whole(folder / name, content.encode())
    plot(found, folder / "histogram.png", title)


def plot(found: dict[str, Gaps], path: Path, title: str) -> None:
    """Save a PNG of the latents' histograms, in bins of 0.05 steps (Figure 2 of the paper)."""
    figure = drawing(width=8)
    axes = figure.subplots()
    for name, gaps in found.items():
        middles, counts = gaps.histogram
        near = np.abs(middles) < _SHOWN
        density = np.maximum(counts[near], 0.5) * BINS / gaps.elements  # 0 has no logarithm
        axes.step(middles[near], density, where="mid", label=name, linewidth=1)
    axes.set(
        yscale="log",
        xlabel="latent about its centre, in quantization steps",
        ylabel="share of elements per step",
        title=title,
    )
    axes.legend()
    save(figure, path)


def _images(data: Dataset, point: str, quiet: bool) -> Iterator[Tensor]:
    paths: Sequence[Path] = data.paths
    yield from map(read_image, tqdm(paths, desc=point, unit="image", disable=quiet or None))
