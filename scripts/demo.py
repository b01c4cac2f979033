"""The main job on what ships: BD-rates of the wrapped embedded codecs on sample photographs.

Needs no network and no weights but the package's own; writes results/demo/.
"""

from pathlib import Path

import pandas as pd
from common import run

from latentopt import zoo
from latentopt.bench.configs import parse_all
from latentopt.bench.datasets import resolve
from latentopt.bench.markdown import write_summary
from latentopt.bench.plots import plot_gains
from latentopt.bench.sweep import evaluate
from latentopt.bench.task import Plan, quality_points
from latentopt.zoo.embedded import EMBEDDED

CONFIGS = ("baseline", "hex", "oct", "oct+shift", "fast", "default")
PHOTOGRAPHS = 3
OUT = Path(__file__).resolve().parents[1] / "results" / "demo"


def measure(codec: str) -> pd.DataFrame:
    """All embedded qualities of a codec on the photographs."""
    points = quality_points(codec, zoo.qualities(codec))
    photographs = resolve("sample").first(PHOTOGRAPHS)
    out = OUT / codec / "measurements.csv"
    out.unlink(missing_ok=True)  # a demo shows the code as it is now
    return evaluate(Plan(codec, points, parse_all(CONFIGS), photographs), out)


def codecs() -> list[str]:
    """The embedded image codecs."""
    return [codec for codec in EMBEDDED.names() if not zoo.is_video(codec)]


def main() -> None:
    rows = pd.concat([measure(codec) for codec in codecs()])
    title = f"Embedded codecs on {PHOTOGRAPHS} photographs"
    print(write_summary(rows, OUT, title))
    plot_gains(rows, OUT / "gains.png", title)
    print(f"Tables, CSV and plot: {OUT}")


if __name__ == "__main__":
    run(main)
