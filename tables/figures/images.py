"""Plots in docs/img that are made of rows."""

import pandas as pd

from tables.common.harness import plot_gains, plot_rd
from tables.common.places import ROOT
from tables.figures.rows import LAB, STEPS, TINY, run, today_rows
from tables.figures.video import CLIPS, CODEC

FOLDER = ROOT / "docs" / "img"


def draw() -> None:
    """All of them."""
    for name, codec, title in (
        ("mean", LAB, "mbt2018-mean (lab-mean-1 … 4), 24 Kodak images"),
        ("factorized", STEPS, "bmshj2018-factorized q2, steps 0.7 … 2, 24 Kodak images"),
    ):
        plot_rd(run("lattices", codec), FOLDER / f"kodak-{name}.png", title)
        plot_rd(today_rows(codec), FOLDER / f"kodak-{name}-presets.png", title)
    embedded = pd.concat(run("lattices", codec) for codec in TINY)
    plot_gains(embedded, FOLDER / "kodak-tiny.png", "Embedded codecs on the 24 Kodak images")
    clips = run("lattices", CODEC, CLIPS)
    plot_rd(clips, FOLDER / "video-tiny-ssf2020.png", f"{CODEC}, three clips, a key frame every 8")
