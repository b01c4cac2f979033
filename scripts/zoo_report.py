"""How each embedded codec was trained, and its RD on Kodak: docs/reference/embedded-codecs.md.

Run: python scripts/zoo_report.py docs/results/kodak-tiny-*.csv --plot docs/img/kodak-tiny.png
The files are the measurements that `scripts/bdrate.py --codec tiny-... --data kodak` wrote; of them
only the codec itself (`baseline`) is read for the table; the plot shows all configurations.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from common import TRAINING, head, line, run, training
from scipy.interpolate import PchipInterpolator

from latentopt import zoo
from latentopt.bench.plots import plot_gains
from latentopt.bench.published import published_curve
from latentopt.bench.summary import BASELINE, means

HEADS = (*TRAINING, "Kodak bpp", "PSNR, dB", "published at that rate")


def published_psnr(codec: str, bpp: float) -> float:
    """PSNR in dB of the architecture's published curve at a rate; NaN outside its range."""
    curve = published_curve(zoo.family(codec))
    return float(
        PchipInterpolator(np.log(curve.bpp), curve.psnr_db, extrapolate=False)(np.log(bpp))
    )


def rate_and_quality(codec: str, bpp: float, psnr_db: float) -> tuple[str, str, str]:
    """As cells of the table."""
    published = published_psnr(codec, bpp)
    return f"{bpp:.4f}", f"{psnr_db:.2f}", f"{published:.2f} ({psnr_db - published:+.2f})"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measurements", nargs="+", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args(argv)
    rows = pd.concat([pd.read_csv(path) for path in args.measurements])
    print(head(*HEADS))
    for row in means(rows[rows["config"] == BASELINE]).itertuples():
        made = training(row.codec, int(str(row.point).removeprefix("q")))
        print(line(*made, *rate_and_quality(row.codec, row.bpp, row.psnr_db)))
    if args.plot:
        plot_gains(rows, args.plot, "Embedded codecs on the 24 Kodak images")


if __name__ == "__main__":
    run(main)
