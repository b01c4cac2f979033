"""Train a curve, with its gaps on the way: `python -m tables.gaps.trained.course hyperprior-ste`.

As `tables.universal.codecs.train`; at every check a row of gaps, on validation photographs, goes to
RUNS/CURVE-K.gaps.csv.
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
from tables.common.places import LAB
from tables.universal.codecs.train import RUNS, Curve, loop

_IMAGES = 2


def gaps_of(model: nn.Module, images: Sequence[Tensor]) -> dict[str, float]:
    """Of a model in the midst of training."""
    own = copy.deepcopy(model).eval()
    release_norms(own.get_submodule("g_a"))
    remove(own)
    assert isinstance(own, CompressionModel)
    own.update(force=True)
    return measure(own, images, draws=1).row()


def train(name: str, k: int, data: Path, runs: Path, checks: int) -> None:
    """Train a curve's point, or go on with it, in so many parts, and note gaps after each."""
    path, steps = runs / f"{name}-{k}.gaps.csv", Curve.named(name).steps
    images = validation_images(split(list(data.glob("*.png")))[1])[:_IMAGES]
    own = loop(name, k, data, runs)
    rows = pd.read_csv(path).to_dict("records") if own.step else []
    for step in _ends(steps, checks):
        if step > own.step:
            own.train(step, steps // checks)
            rows.append({"curve": name, "point": k, "step": step, **gaps_of(own.model, images)})
            pd.DataFrame(rows).to_csv(path, index=False)


def _ends(steps: int, parts: int) -> Iterator[int]:
    return (steps * (part + 1) // parts for part in range(parts))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("curve", help="of tables/universal/codecs")
    parser.add_argument("points", nargs="*", type=int, help="numbers of lambdas (default: all)")
    parser.add_argument("--data", type=Path, default=LAB / "data" / "clic")
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--checks", type=int, default=2, help="parts of the training")
    args = parser.parse_args(argv)
    args.runs.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    try:
        for k in args.points or range(1, len(Curve.named(args.curve).lambdas) + 1):
            train(args.curve, k, args.data, args.runs, args.checks)
    except LatentoptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
