"""A short measurement on photographs that need no download; writes results/demo/."""

import sys
from pathlib import Path

import torch
from compressai.models import MeanScaleHyperprior
from torch import nn

from latentopt.bench.configs import parse_all
from latentopt.bench.datasets import resolve
from latentopt.bench.evaluate import Plan, RatePoint, checkpoint_points
from latentopt.bench.main import run_plan
from latentopt.errors import LatentoptError

CODEC = "mbt2018-mean"
CONFIGS = ("baseline", "int", "hex", "oct", "shift", "oct+shift", "e8+shift")
PHOTOGRAPHS = 3
ROOT = Path(__file__).resolve().parents[1]

MEANINGLESS = """\
==================================================================================
 NO PRETRAINED WEIGHTS FOUND (looked for {folder}/lab-mean-*.pt).
 A network with RANDOM weights is measured instead: this shows that everything
 runs, but the sizes, qualities and gains below MEAN NOTHING.
=================================================================================="""


def random_model() -> nn.Module:
    """A small seeded network; its latent is scaled up so that something is left to quantize."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MeanScaleHyperprior(64, 96).eval()
    with torch.no_grad():
        y = model.g_a(torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)))
        for parameter in model.g_a[-1].parameters():
            parameter.mul_(0.5 / y.std())
    model.update()
    return model


def plan() -> Plan:
    """The rate points there are weights for, else one random network at four steps."""
    folder = ROOT.parent / "shared" / "weights"
    files = sorted(folder.glob("lab-mean-*.pt"))
    if files:
        points, steps = checkpoint_points(CODEC, files), (1.0,)
    else:
        print(MEANINGLESS.format(folder=folder), flush=True)
        points, steps = [RatePoint("random", random_model)], (0.5, 0.7, 1.0, 1.4)
    return Plan(CODEC, points, parse_all(CONFIGS), resolve("sample").first(PHOTOGRAPHS), steps)


def main() -> int:
    """0, or 2 with one line on stderr."""
    out = ROOT / "results" / "demo"
    (out / "measurements.csv").unlink(missing_ok=True)  # a demo shows the code as it is now
    try:
        chosen = plan()
        meaningless = chosen.points[0].name == "random"
        title = f"{CODEC} on {PHOTOGRAPHS} photographs"
        if meaningless:
            title += " (RANDOM WEIGHTS: the numbers mean nothing)"
        print(run_plan(chosen, out, title))
    except LatentoptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if meaningless:
        print(MEANINGLESS.format(folder=ROOT.parent / "shared" / "weights"))
    print(f"Tables, CSV and plot: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
