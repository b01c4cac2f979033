"""Random (model, size, batch, preset or parts) combinations, decoded in a fresh process.

Run: python scripts/roundtrips.py [--count 200]
Autoregressive codecs of every kind, those embedded in the package and small ones with random
weights, code images here; a second process decodes them one by one. Every reconstruction must be
identical to the last bit. (Both use one thread: PyTorch's convolutions add up in an order that
depends on the number of threads, so with another one a synthesis may differ by 1e-6. The decoded
latent does not.)
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from common import run, untrained
from compressai.models import (
    Cheng2020Anchor,
    Cheng2020AnchorCheckerboard,
    Cheng2020Attention,
    CompressionModel,
    JointAutoregressiveHierarchicalPriors,
)
from compressai.models.sensetime import Elic2022Official
from torch import Tensor
from tqdm import tqdm

import latentopt
from latentopt import Recipe, zoo
from latentopt.bench.datasets import resolve
from latentopt.bitstream import DIRECTIONS, Settings
from latentopt.codec.recipe import PRESETS
from latentopt.lattices import RULES
from latentopt.media.images import read_image

RANDOM: dict[str, Callable[[], CompressionModel]] = {
    "mbt2018": lambda: JointAutoregressiveHierarchicalPriors(8, 12),
    "cheng2020-anchor": lambda: Cheng2020Anchor(8),
    "cheng2020-attn": lambda: Cheng2020Attention(8),
    "checkerboard": lambda: Cheng2020AnchorCheckerboard(8),
    "elic": lambda: Elic2022Official(8, 24, groups=[4, 8, 12]),
}
EMBEDDED = ("tiny-mbt2018", "tiny-cheng2020-attn")


def model(name: str) -> CompressionModel:
    """The same weights in every process."""
    if name in EMBEDDED:
        return zoo.load(name, zoo.qualities(name)[-1])
    return untrained(RANDOM[name])


def images(random: np.random.Generator, photographs: list[Tensor]) -> Tensor:
    """One to three crops of random size."""
    height, width, batch = (int(n) for n in random.integers([1, 1, 1], [200, 200, 4]))
    x = photographs[random.integers(len(photographs))]
    top, left = random.integers(x.shape[-2] - height), random.integers(x.shape[-1] - width)
    crop = x[..., top : top + height, left : left + width]
    return torch.cat([crop, crop.flip(-1), crop.flip(-2)])[:batch]


def recipe(random: np.random.Generator) -> Recipe:
    """A preset, or parts of its own."""
    preset = str(random.choice(["", "", "fast", "default"]))
    if preset:
        return PRESETS[preset]
    return Recipe().but(
        quant=str(random.choice(list(RULES))),
        shift=bool(random.integers(2)),
        direction=str(random.choice(list(DIRECTIONS))),
        scales=bool(random.integers(2)),
    )


def encode(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    photographs = [read_image(path) for path in resolve("sample").paths]
    names = [*RANDOM, *(name for name in EMBEDDED if zoo.qualities(name))]
    models = {name: model(name) for name in names}
    for i in tqdm(range(count), desc="encode", disable=None):
        name, x = str(random.choice(names)), images(random, photographs)
        codec = latentopt.wrap(models[name], recipe=recipe(random))
        out = codec.compress(x)
        case = {"name": name, "settings": asdict(codec.settings), "x_hat": codec(x)["x_hat"]}
        case |= {"strings": out["strings"], "shape": tuple(out["shape"])}
        torch.save(case, folder / str(i))


def decode(folder: Path) -> int:
    """Number of reconstructions that differ."""
    torch.set_num_threads(1)
    differing = 0
    for path in tqdm(sorted(folder.iterdir()), desc="decode", disable=None):
        case = torch.load(path, weights_only=True)
        reader = Recipe.reading(Settings(**case["settings"]))
        codec = latentopt.wrap(model(case["name"]), recipe=reader)
        x_hat = codec.decompress(case["strings"], case["shape"])["x_hat"]
        if not torch.equal(x_hat, case["x_hat"]):
            differing += 1
            error = float((x_hat - case["x_hat"]).abs().max())
            print(f"{case['name']} {case['settings']} {case['shape']}: differs by {error:.1e}")
    return differing


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--decode", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.decode:
        return min(decode(args.decode), 100)
    with tempfile.TemporaryDirectory() as folder:
        torch.set_num_threads(1)
        encode(Path(folder), args.count)
        fresh = [sys.executable, __file__, "--decode", folder]
        failed = subprocess.run(fresh, check=False).returncode
    print(f"{args.count} combinations, {failed} not identical")
    return min(failed, 1)


if __name__ == "__main__":
    run(main)
