"""Is any image worse off? Rate and distortion of every image against the codec's own rounding.

The cost of an image is bits + lambda * 255^2 * MSE * pixels, with the codec's own lambda; printed
is, for each configuration, the largest and the mean change against ``baseline``, in percent, over
all images and rate points of a measurement file of scripts/bdrate.py.

    python scripts/worst_image.py results/mbt2018-mean-kodak/measurements.csv --lambdas \\
        lab-mean-1=0.0018,lab-mean-2=0.0035,lab-mean-3=0.0067,lab-mean-4=0.013
"""

import argparse
from pathlib import Path

import pandas as pd

from latentopt import zoo
from latentopt.errors import InputError


def costs(rows: pd.DataFrame, lambdas: dict[str, float]) -> pd.Series:
    """Cost in bits of each row."""
    mse = 10 ** (-rows["psnr_db"] / 10)
    pixels = rows["width"] * rows["height"]
    weight = rows["point"].map(lambdas) / rows["step"] ** 2
    return 8 * rows["bytes"] + weight * 255**2 * mse * pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--lambdas", default="", help="POINT=LAMBDA,…; the zoo's are known")
    args = parser.parse_args()
    rows = pd.read_csv(args.csv)
    given = dict(pair.split("=") for pair in args.lambdas.split(",") if pair)
    lambdas = {point: float(value) for point, value in given.items()}
    for codec, point in rows[["codec", "point"]].drop_duplicates().itertuples(index=False):
        if point not in lambdas and point[1:].isdigit():
            lambdas[point] = zoo.lmbda(codec, int(point[1:])) or float("nan")
    unknown = set(rows["point"]) - set(lambdas)
    if unknown:
        raise InputError(f"lambda unknown for {', '.join(sorted(unknown))}: give --lambdas")
    rows["cost"] = costs(rows, lambdas)
    table = rows.pivot(index=["point", "step", "image"], columns="config", values="cost")
    change = 100 * (table.div(table["baseline"], axis=0) - 1).drop(columns="baseline")
    print("| configuration | worst image | its change, % | mean change, % | images worse |")
    print("| --- | --- | --- | --- | --- |")
    for config, values in change.items():
        point, step, image = values.idxmax()
        where = f"{image}, {point}" + (f", step {step:g}" if step != 1 else "")
        worse = int((values > 0).sum())
        print(
            f"| {config} | {where} | {values.max():+.2f} | {values.mean():+.2f} "
            f"| {worse} of {values.count()} |"
        )


if __name__ == "__main__":
    main()
