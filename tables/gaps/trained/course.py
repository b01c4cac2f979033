"""Train a curve, with its gaps on the way: `python -m tables.gaps.trained.course hyperprior-ste`.

As `tables.universal.codecs.train`; at every check a row of gaps, on validation photographs, goes to
the folder of measurements, from where `python -m tables gap_training --keep` copies it.
"""

import argparse
import copy
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import torch
from compressai.models import CompressionModel
from torch import Tensor, nn

from latentopt.bench.gaps import measure
from latentopt.errors import LatentoptError
from latentopt.quantizers import remove
from latentopt.training import release_norms, split, validation_images
from tables.common.data import CLIC, NAMES
from tables.common.places import LAB, PROBES, rows_file
from tables.universal.codecs.train import RUNS, Curve, loop

COURSE = f"{PROBES}/gaps-course"
"""Where rows of gaps in the course of training are."""

_IMAGES = 2


def gaps_of(model: nn.Module, images: Sequence[Tensor]) -> dict[str, float]:
    """Of a model in the midst of training."""
    own = copy.deepcopy(model).eval()
    release_norms(own.get_submodule("g_a"))
    remove(own)
    assert isinstance(own, CompressionModel)
    own.update(force=True)
    return measure(own, images, draws=1).row()


def train(name: str, k: int, given: argparse.Namespace) -> None:
    """Train a curve's point, or go on with it, in so many parts, and note gaps after each."""
    path, steps = rows_file(given.rows, COURSE, NAMES[CLIC], name), Curve.named(name).steps
    images = validation_images(split(list(given.data.glob("*.png")))[1])[:_IMAGES]
    own = loop(name, k, given.data, given.runs)
    rows = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=["point", "step"])
    rows = rows[(rows["point"] != k) | (rows["step"] <= own.step)]
    path.parent.mkdir(parents=True, exist_ok=True)
    for step in _ends(steps, given.checks):
        if step > own.step:
            own.train(step, steps // given.checks)
            row = {"curve": name, "point": k, "step": step, **gaps_of(own.model, images)}
            rows = pd.DataFrame([*rows.to_dict("records"), row])
            rows.to_csv(path, index=False)


def _ends(steps: int, parts: int) -> Iterator[int]:
    return (steps * (part + 1) // parts for part in range(parts))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("curve", help="of tables/universal/codecs")
    parser.add_argument("points", nargs="*", type=int, help="numbers of lambdas (default: all)")
    parser.add_argument("--data", type=Path, default=LAB / "data" / "clic")
    parser.add_argument("--runs", type=Path, default=RUNS)
    rows = "folder of measurements"
    parser.add_argument("--rows", type=Path, default=Path("results/tables/rows"), help=rows)
    parser.add_argument("--checks", type=int, default=2, help="parts of the training")
    args = parser.parse_args(argv)
    args.runs.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    try:
        for k in args.points or range(1, len(Curve.named(args.curve).lambdas) + 1):
            train(args.curve, k, args)
    except LatentoptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
