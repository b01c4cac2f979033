"""Is any image worse off? Rate and distortion of every image against the codec's own rounding.

The cost of an image is bits + lambda * 255^2 * MSE * pixels, with the codec's own lambda; printed
is, for each configuration, the largest and the mean change against ``baseline``, in percent, over
all images and rate points of a measurement file of scripts/bdrate.py.

    python scripts/worst_image.py results/mbt2018-mean-kodak/measurements.csv --lambdas \\
        lab-mean-1=0.0018,lab-mean-2=0.0035,lab-mean-3=0.0067,lab-mean-4=0.013
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from common import head, line, run

from latentopt.errors import InputError
from tables.figures.worst import changes, known_lambdas


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", type=Path)
    parser.add_argument("--lambdas", default="", help="POINT=LAMBDA,…; the zoo's are known")
    args = parser.parse_args(argv)
    rows = pd.read_csv(args.csv)
    given = dict(pair.split("=") for pair in args.lambdas.split(",") if pair)
    lambdas = known_lambdas(rows) | {point: float(value) for point, value in given.items()}
    unknown = set(rows["point"]) - set(lambdas)
    if unknown:
        raise InputError(f"lambda unknown for {', '.join(sorted(unknown))}: give --lambdas")
    print(head("configuration", "worst image", "its change, %", "mean change, %", "images worse"))
    for config, values in changes(rows, lambdas).items():
        point, step, image = values.idxmax()
        where = f"{image}, {point}" + (f", step {step:g}" if step != 1 else "")
        worse = f"{int((values > 0).sum())} of {values.count()}"
        print(line(str(config), where, f"{values.max():+.2f}", f"{values.mean():+.2f}", worse))


if __name__ == "__main__":
    run(main)
