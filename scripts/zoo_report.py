"""How each embedded codec was trained, and its RD on Kodak: docs/reference/embedded-codecs.md.

Run: python scripts/zoo_report.py docs/results/kodak-tiny-*.csv --plot docs/img/kodak-tiny.png
The files are the measurements that `scripts/bdrate.py --codec tiny-... --data kodak` wrote; of them
only the codec itself (`baseline`) is read for the table; the plot shows all configurations.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from latentopt import zoo
from latentopt.bench.plots import plot_gains
from latentopt.bench.published import published_curve
from latentopt.bench.summary import BASELINE, means
from latentopt.zoo.embedded import EMBEDDED

HEAD = """\
| codec | λ | started from | steps | minutes | MB | Kodak bpp | PSNR, dB | published at that rate |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


def published_psnr(codec: str, bpp: float) -> float:
    """PSNR in dB of the architecture's published curve at a rate; NaN outside its range."""
    curve = published_curve(zoo.family(codec))
    return float(
        PchipInterpolator(np.log(curve.bpp), curve.psnr_db, extrapolate=False)(np.log(bpp))
    )


def line(codec: str, quality: int, bpp: float, psnr: float) -> str:
    made = EMBEDDED.metadata(codec, quality)
    minutes = int(made["seconds"]) / 60
    megabytes = EMBEDDED.file(codec, quality).stat().st_size / 1e6
    published = published_psnr(codec, bpp)
    training = f"{made['lambda']} | {made['start']} | {made['steps']} | {minutes:.0f}"
    rd = f"{bpp:.4f} | {psnr:.2f} | {published:.2f} ({psnr - published:+.2f})"
    return f"| {codec} {quality} | {training} | {megabytes:.2f} | {rd} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measurements", nargs="+", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    rows = pd.concat([pd.read_csv(path) for path in args.measurements])
    print(HEAD)
    table = means(rows[rows["config"] == BASELINE])
    for row in table.itertuples():
        quality = int(str(row.point).removeprefix("q"))
        print(line(row.codec, quality, row.bpp, row.psnr_db))
    if args.plot:
        plot_gains(rows, args.plot, "Embedded codecs on the 24 Kodak images")


if __name__ == "__main__":
    main()
