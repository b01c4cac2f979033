"""How the embedded codecs were trained, and how good they are."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from latentopt import zoo
from latentopt.bench.bdrate import bd_rate
from latentopt.zoo.embedded import EMBEDDED
from tables.common.harness import BASELINE, means, published_curve
from tables.figures.rows import SMALL, TINY, run, signed, table
from tables.figures.video import CLIPS, CODEC

_TRAINED = ["codec", "λ", "started from", "steps", "minutes", "MB"]


def embedded() -> str:
    """The image codecs, on Kodak, with the published curves of their architectures."""
    head = [*_TRAINED, "Kodak bpp", "PSNR, dB", "published at that rate"]
    runs = dict.fromkeys(TINY, "lattices") | dict.fromkeys(SMALL, "small")
    return table(head, (line for codec, name in runs.items() for line in _of(codec, name)))


def _of(codec: str, name: str) -> Iterator[list[str]]:
    rows = run(name, codec)
    rows = rows[rows["step"] == 1]
    for point in means(rows[rows["config"] == BASELINE]).to_dict("records"):
        bpp, psnr = float(point["bpp"]), float(point["psnr_db"])
        known = _published_psnr(codec, bpp)
        reached = f"{bpp:.4f}", f"{psnr:.2f}", f"{known:.2f} ({signed(psnr - known)})"
        yield [*_training(codec, str(point["point"])), *reached]


def _training(codec: str, point: str) -> list[str]:
    quality = int(point.removeprefix("q"))
    made = EMBEDDED.metadata(codec, quality)
    megabytes = EMBEDDED.file(codec, quality).stat().st_size / 1e6
    took = f"{int(made['seconds']) / 60:.0f}", f"{megabytes:.2f}"
    return [f"{codec} {quality}", made["lambda"], made["start"], made["steps"], *took]


def _published_psnr(codec: str, bpp: float) -> float:
    """PSNR in dB of the architecture's published curve at a rate; NaN outside its range."""
    curve = published_curve(zoo.family(codec))
    at = PchipInterpolator(np.log(curve.bpp), curve.psnr_db, extrapolate=False)
    return float(at(np.log(bpp)))


def wider_ladder() -> str:
    """A ladder of steps on the two qualities of the wider mean-scale codec."""
    codec, configs = "small-mbt2018-mean", (BASELINE, "default")
    points = means(run("small", codec)).set_index(["point", "step"])
    of = {config: points[points["config"] == config] for config in configs}
    head = ["quality, step", "CompressAI: bpp", "dB", "`default`: bpp", "dB"]

    def reached(point: pd.Series) -> list[str]:
        bpp, psnr = float(point["bpp"]), float(point["psnr_db"])
        return [f"{bpp:.4f}", f"{psnr:.2f} ({signed(psnr - _published_psnr(codec, bpp))})"]

    lines = (
        [
            f"{quality}, {step:g}",
            *(cell for c in configs for cell in reached(of[c].loc[quality, step])),
        ]
        for quality, step in of[BASELINE].index
    )
    gain = bd_rate(*(of[config][name] for config in configs for name in ("bpp", "psnr_db")))
    return f"{table(head, lines)}\n\nOver these four points `default` gains {-gain:.1f} %."


def embedded_video() -> str:
    """The video codec, on three clips."""
    clips = ("foreman_cif", "coastguard_cif", "basketballpass_416x240")
    rows = run("lattices", CODEC, CLIPS)
    base = rows[rows["config"] == BASELINE].set_index(["point", "image"])
    head = [*_TRAINED, *(f"{clip}: bpp / dB" for clip in clips)]
    lines = (
        [*_training(CODEC, str(point)), *(_rd(base.loc[(point, clip)]) for clip in clips)]
        for point in base.index.unique("point")
    )
    return table(head, lines)


def _rd(row: pd.Series) -> str:
    return f"{row['bpp']:.4f} / {row['psnr_db']:.2f}"


BLOCKS: Mapping[str, Callable[[], str]] = {
    "embedded-codecs": embedded,
    "wider-ladder": wider_ladder,
    "embedded-video-codec": embedded_video,
}
