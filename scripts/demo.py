"""The main job in three minutes, on what ships: a photograph to a file and back, then BD-rates.

Needs no network and no weights but the package's own; writes results/demo/. What is ready is shown:
first the file, decoded by a process of its own, then a table for each codec.
"""

import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from common import head, line, run

import latentopt
from latentopt import zoo
from latentopt.bench.codecs import BaselineCodec, coded_bytes
from latentopt.bench.configs import parse_all
from latentopt.bench.datasets import Dataset, resolve
from latentopt.bench.markdown import write_summary
from latentopt.bench.plots import plot_rd
from latentopt.bench.summary import summarise
from latentopt.bench.sweep import evaluate
from latentopt.bench.task import Plan, quality_points
from latentopt.media.images import read_image, to_uint8
from latentopt.media.quality import psnr_db

OUT = Path(__file__).resolve().parents[1] / "results" / "demo"
SMALLEST = ("chelsea.png", "coffee.png")
"""Of the photographs in scikit-image."""
CODEC, QUALITY, PRESET = "tiny-mbt2018-mean", 3, "default"


@dataclass(frozen=True)
class Part:
    """What is measured in one go: all qualities of a codec."""

    codec: str
    configs: tuple[str, ...]
    photographs: int


PARTS = (
    Part(CODEC, ("baseline", "default"), 2),
    Part("tiny-mbt2018", ("baseline", "fast"), 1),  # CompressAI's own coder takes seconds for each
    Part("tiny-bmshj2018-factorized", ("baseline", "fast"), 1),
)


def photographs(count: int) -> Dataset:
    """The first of them."""
    sample = resolve("sample")
    paths = tuple(path for path in sample.paths if path.name in SMALLEST)
    return replace(sample, paths=paths).first(count)


def measure(part: Part) -> pd.DataFrame:
    """Rows of a part; its tables and its plot are written."""
    torch.set_num_threads(1)  # each part has a process
    folder = OUT / part.codec
    csv = folder / "measurements.csv"
    csv.unlink(missing_ok=True)  # a demo shows the code as it is now
    points = quality_points(part.codec, zoo.qualities(part.codec))
    plan = Plan(part.codec, points, parse_all(part.configs), photographs(part.photographs))
    rows = evaluate(plan, csv, progress=False)
    title = f"{part.codec} on {part.photographs} photograph(s)"
    write_summary(rows, folder, title)
    plot_rd(rows, folder / "rd.png", title)
    return rows


def table(part: Part, rows: pd.DataFrame) -> str:
    """What a part shows, as Markdown."""
    labels = ("codec", "preset", "photographs", "BD-rate", "time to encode", "time to decode")
    lines = [
        line(
            part.codec,
            row["config"],
            str(row["images"]),
            f"{row['bd_rate_pchip_percent']:+.1f} %",
            f"{row['encode_ratio']:.2f}x",
            f"{row['decode_ratio']:.2f}x",
        )
        for _, row in summarise(rows).iterrows()
    ]
    return "\n".join([head(*labels), *lines])


def to_file_and_back() -> str:
    """Of one photograph: bytes and PSNR, decoded by a process that knows only the file."""
    [path] = photographs(1).paths
    x, model = read_image(path), zoo.load(CODEC, QUALITY)  # (1, 3, H, W)
    coded, decoded = OUT / f"{path.stem}.lo", OUT / f"{path.stem}.png"
    OUT.mkdir(parents=True, exist_ok=True)
    size = latentopt.wrap(model, preset=PRESET).save(coded, x)
    command = [sys.executable, "-m", "latentopt", "decode", str(coded), "-o", str(decoded)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    theirs = BaselineCodec(model)
    with torch.no_grad():
        out = theirs.compress(x)
        x_hat = theirs.decompress(**out)["x_hat"]
    ours, own = (psnr_db(to_uint8(x), to_uint8(y)) for y in (read_image(decoded), x_hat))
    return (
        f"{path.name}: {size} bytes, {ours:.2f} dB after decoding {coded}; by CompressAI's own "
        f"coder {coded_bytes(out['strings'], 0)} bytes, {own:.2f} dB"
    )


def main() -> None:
    start = time.perf_counter()
    with ProcessPoolExecutor(max_workers=2) as pool:
        parts = {pool.submit(measure, part): part for part in PARTS}
        print(to_file_and_back(), flush=True)
        for done in as_completed(parts):
            elapsed = time.perf_counter() - start
            print(f"\n{table(parts[done], done.result())}\n({elapsed:.0f} s)", flush=True)
    print("\nBD-rate: bytes at equal PSNR against CompressAI's own coder, in percent.")
    print("Times are of one run each, with the demo's other processes beside it: a rough guide.")
    print(f"Tables, CSV and plots: {OUT}")


if __name__ == "__main__":
    run(main)
