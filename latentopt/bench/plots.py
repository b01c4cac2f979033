"""Plots: rate-distortion curves that were measured, and where the bits of an image went."""

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from latentopt.atomic import write_whole
from latentopt.bench.bdrate import rate_at_equal_psnr
from latentopt.bench.configs import BASELINE
from latentopt.bench.published import RdCurve
from latentopt.bench.summary import Curve, curves, means, summarise
from latentopt.codec.explain import MAIN, Explanation, largest
from latentopt.codec.explain_clip import ClipExplanation, by_latent
from latentopt.errors import RateRangeError
from latentopt.media.images import to_uint8

_BARS = 16  # channels with a bar of their own


def plot_rd(
    rows: pd.DataFrame,
    path: Path,
    title: str,
    published: RdCurve | None = None,
    imported: Sequence[RdCurve] = (),
) -> None:
    """Save a PNG of one line per configuration, from data-set means.

    Left: bits per pixel against PSNR, curves of others dashed. Right, as gains of a few percent
    are lost on that scale: the rate against the baseline's at equal PSNR.
    """
    figure, left, right = _panels(width=12)
    colours = {c: f"C{i % 10}" for i, c in enumerate(rows["config"].unique())}
    for i, curve in enumerate(curves(means(rows))):
        _draw_curve(left, right, curve, colours, labelled=i == 0)
    frame = left.get_xlim(), left.get_ylim()
    if published is not None:
        _draw_other(left, published, f"{published.codec}, published", "black")
    for i, other in enumerate(imported):
        _draw_other(left, other, other.codec, f"C{(len(colours) + i) % 10}")
    if imported:  # they reach far beyond what was measured, whose curves they would flatten
        left.set(xlim=frame[0], ylim=frame[1])
    left.set(xlabel="bits per pixel", ylabel="PSNR in dB (RGB)", title=title)
    right.set(
        xlabel="PSNR in dB (RGB)",
        ylabel="rate against the baseline at equal PSNR, in %",
        title="lower is better",
    )
    left.legend()
    save(figure, path)


def plot_gains(rows: pd.DataFrame, path: Path, title: str) -> None:
    """Save a PNG of several codecs: their baselines' curves, and what each configuration saves.

    Left: bits per pixel against PSNR. Right: BD-rate (pchip) against each codec's own baseline.
    """
    figure, left, right = _panels(width=13)
    for curve in curves(means(rows)):
        base = curve.rows[curve.rows["config"] == BASELINE].sort_values("bpp")
        left.plot(base["bpp"], base["psnr_db"], marker=".", label=curve.codec)
    left.set(xlabel="bits per pixel", ylabel="PSNR in dB (RGB)", title=title)
    left.legend()
    gains = summarise(rows).pivot(index="codec", columns="config", values="bd_rate_pchip_percent")
    in_order = dict.fromkeys(c for c in rows["config"] if c != BASELINE)
    gains.loc[rows["codec"].unique(), list(in_order)].plot.bar(ax=right, rot=12)
    right.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    right.set(xlabel="", ylabel="BD-rate, in %", title="against the codec itself; lower is better")
    save(figure, path)


def plot_effort(points: Sequence[tuple[str, float, float]], path: Path, title: str) -> None:
    """Save a PNG of what encode time buys: (label, encode time ratio, cost in %) of each point."""
    figure = drawing(width=8)
    axes = figure.subplots()
    ratios, costs = zip(*((ratio, cost) for _, ratio, cost in points))
    axes.plot(ratios, costs, marker=".")
    for label, ratio, cost in points:
        axes.annotate(label, (ratio, cost), textcoords="offset points", xytext=(4, 6))
    axes.set_xscale("log")
    axes.set(
        xlabel="encode time against CompressAI's own; labels: gradient steps",
        ylabel="cost against rounding, in % of the rate",
        title=title,
    )
    save(figure, path)


def plot_bits(explanation: Explanation, x_hat: Tensor, path: Path) -> None:
    """Save a PNG of where the bits of one image went: whole, or not at all.

    Left: the decoded image (1, 3, H, W). Middle: bits per pixel of each position of its latents.
    Right: bits of the channels of its main latent, those with the most on top.
    """
    figure = drawing(width=16)
    image, places, bars = figure.subplots(1, 3)
    image.imshow(to_uint8(x_hat).permute(1, 2, 0).cpu().numpy())
    image.set_title("decoded")
    shown = places.imshow(explanation.bits_per_pixel(), cmap="viridis")
    figure.colorbar(shown, cax=places.inset_axes((1.02, 0, 0.04, 1)), label="bits per pixel")
    places.set_title(f"where the {8 * explanation.file_bytes:,} bits went")
    for axes in (image, places):
        axes.set_axis_off()
    shares = largest(explanation.latents[0].channels, _BARS)[::-1]
    bars.barh([share.name for share in shares], [share.bits for share in shares])
    bars.set(xlabel="bits", ylabel="channel", title="channels of the main latent")
    bars.grid(alpha=0.3, axis="x")
    _write(figure, path)


def plot_frames(explanation: ClipExplanation, path: Path) -> None:
    """Save a PNG of the bits of a clip's frames, by part and latent; below it their PSNR, if known.

    Each part has a colour of its own; its main latent is filled, its side latent is not.
    """
    figure = drawing(width=10)
    quality = [frame.psnr_db for frame in explanation.frames if frame.psnr_db is not None]
    panels = figure.subplots(2 if quality else 1, sharex=True, squeeze=False)[:, 0]
    _stack(panels[0], explanation)
    panels[0].set(ylabel="bits", title=f"where the {8 * explanation.file_bytes:,} bits went")
    panels[0].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    if quality:
        panels[1].plot(quality, color="black", marker=".", linewidth=1)
        panels[1].set_ylabel("PSNR in dB")
        panels[1].grid(alpha=0.3)
    panels[-1].set_xlabel("frame")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    _write(figure, path)


def _stack(axes: Axes, explanation: ClipExplanation) -> None:
    """A bar for each frame, its latents one above the other."""
    colours = {name: f"C{i}" for i, name in enumerate(explanation.names)}
    below = np.zeros(len(explanation.frames))
    for one in by_latent(explanation.frames):
        numbers = [i for i, size in enumerate(one.bytes) if size is not None]
        bits = np.array([8 * size for size in one.bytes if size is not None])
        edge = colours[one.part]
        fill = edge if one.latent == MAIN else "white"
        draw = partial(axes.bar, width=0.8, edgecolor=edge, color=fill, label=one.name)
        draw(numbers, bits, bottom=below[numbers])
        below[numbers] += bits


def _panels(width: float) -> tuple[Figure, Axes, Axes]:
    """A figure of two panels, the right one of differences to zero."""
    figure = drawing(width)
    left, right = figure.subplots(1, 2)
    right.axhline(0.0, color="grey", linewidth=0.8)
    return figure, left, right


def drawing(width: float) -> Figure:
    """An empty one, so many inches wide."""
    made = Figure(figsize=(width, 5), layout="constrained")
    FigureCanvasAgg(made)  # no global pyplot state, no display
    return made


def save(figure: Figure, path: Path) -> None:
    """As a PNG with a grid, whole or not at all; its folder is made where there is none."""
    for axes in figure.axes:
        axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(figure, path)


def _write(figure: Figure, path: Path) -> None:
    png = io.BytesIO()
    figure.savefig(png, dpi=120)
    write_whole(path, png.getvalue())


def _draw_curve(
    left: Axes, right: Axes, curve: Curve, colours: dict[str, str], labelled: bool
) -> None:
    base = curve.rows[curve.rows["config"] == BASELINE]
    for config, part in curve.rows.groupby("config", sort=False):
        line = part.sort_values("bpp")
        draw = partial(Axes.plot, color=colours[str(config)], marker=".", linewidth=1.2)
        draw(left, line["bpp"], line["psnr_db"], label=str(config) if labelled else None)
        relative = _relative_rates(line, base)
        draw(right, [q for q, _ in relative], [r for _, r in relative])


def _relative_rates(line: pd.DataFrame, base: pd.DataFrame) -> list[tuple[float, float]]:
    """(PSNR in dB, percent) of the points within the baseline's range."""
    found = []
    for bpp, psnr_db in zip(line["bpp"], line["psnr_db"]):
        try:
            percent = rate_at_equal_psnr(
                bpp, psnr_db, base["bpp"].to_numpy(), base["psnr_db"].to_numpy()
            )
        except RateRangeError:
            continue
        found.append((psnr_db, percent))
    return found


def _draw_other(axes: Axes, curve: RdCurve, label: str, colour: str) -> None:
    """Only the part near the measurements: the whole curve would flatten them."""
    (low, high), _ = axes.get_xlim(), axes.get_ylim()
    near = [i for i, bpp in enumerate(curve.bpp) if low <= bpp <= high]
    first, last = max(min(near, default=0) - 1, 0), max(near, default=0) + 2
    axes.plot(
        curve.bpp[first:last],
        curve.psnr_db[first:last],
        "--",
        color=colour,
        linewidth=1,
        label=label,
    )
