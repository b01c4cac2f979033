"""Random (model, size, batch, preset or parts) combinations, decoded in a fresh process.

Run: python scripts/roundtrips.py [--count 200]
     python scripts/roundtrips.py --elsewhere

Codecs of every kind, those embedded in the package and small ones with random weights, code images
here; a second process decodes them one by one. Every reconstruction must be identical to the last
bit, as both use one thread. Elsewhere is a process with two threads and without the vector
instructions of today, where convolutions add up in another order: the lattice points must be the
same, so that decoded latents, whose centres are float64 there, differ by last bits at most, and
pixels by 1e-4.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import run, untrained
from compressai.models import (
    Cheng2020Anchor,
    Cheng2020AnchorCheckerboard,
    Cheng2020Attention,
    CompressionModel,
    FactorizedPrior,
    JointAutoregressiveHierarchicalPriors,
    MeanScaleHyperprior,
)
from compressai.models.sensetime import Elic2022Official
from torch import Tensor
from tqdm import tqdm

import latentopt
from latentopt import BitstreamError, Recipe, zoo
from latentopt.bench.datasets import resolve
from latentopt.bitstream import DIRECTIONS, Settings
from latentopt.codec.recipe import PRESETS
from latentopt.latents import Coded
from latentopt.lattices import RULES
from latentopt.media.images import read_image

RANDOM: dict[str, Callable[[], CompressionModel]] = {
    "factorized": lambda: FactorizedPrior(8, 12),
    "mean": lambda: MeanScaleHyperprior(8, 12),
    "mbt2018": lambda: JointAutoregressiveHierarchicalPriors(8, 12),
    "cheng2020-anchor": lambda: Cheng2020Anchor(8),
    "cheng2020-attn": lambda: Cheng2020Attention(8),
    "checkerboard": lambda: Cheng2020AnchorCheckerboard(8),
    "elic": lambda: Elic2022Official(8, 24, groups=[4, 8, 12]),
}
EMBEDDED = (
    *("tiny-mbt2018", "tiny-cheng2020-attn"),
    *("tiny-bmshj2018-factorized", "tiny-mbt2018-mean"),
)
ELSEWHERE = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "AVX2"}
TOLERANCE = 1e-4
LAST_BITS = 1e-12
"""Of float64, in latents of up to some hundred units: another point is tenths away, or more."""
WEIGHTS = ".pt"


def model(name: str) -> CompressionModel:
    if name in EMBEDDED:
        return zoo.load(name, zoo.qualities(name)[-1])
    return untrained(RANDOM[name])


def sent(folder: Path, name: str) -> CompressionModel:
    """With weights that travel: random ones are made otherwise by other instructions."""
    made = model(name)
    made.load_state_dict(torch.load(folder / f"{name}{WEIGHTS}", weights_only=True))
    return made


def images(random: np.random.Generator, photographs: list[Tensor]) -> Tensor:
    """One to three crops of random size."""
    height, width, batch = (int(n) for n in random.integers([1, 1, 1], [200, 200, 4]))
    x = photographs[random.integers(len(photographs))]
    top, left = random.integers(x.shape[-2] - height), random.integers(x.shape[-1] - width)
    crop = x[..., top : top + height, left : left + width]
    return torch.cat([crop, crop.flip(-1), crop.flip(-2)])[:batch]


def recipe(random: np.random.Generator) -> Recipe:
    """A preset, or parts of its own."""
    preset = str(random.choice(["", "", "fast", "default", "slow"]))
    if preset:
        return PRESETS[preset]
    return Recipe().but(
        quant=str(random.choice(list(RULES))),
        shift=bool(random.integers(2)),
        direction=str(random.choice(list(DIRECTIONS))),
        scales=bool(random.integers(2)),
        adaptive=bool(random.integers(2)),
        postfilter=bool(random.integers(2)),
    )


def encode(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    photographs = [read_image(path) for path in resolve("sample").paths]
    names = [*RANDOM, *(name for name in EMBEDDED if zoo.qualities(name))]
    models = {name: model(name) for name in names}
    for name, own in models.items():
        torch.save(own.state_dict(), folder / f"{name}{WEIGHTS}")
    for i in tqdm(range(count), desc="encode", disable=None):
        name, x = str(random.choice(names)), images(random, photographs)
        codec = latentopt.wrap(models[name], recipe=recipe(random))
        coded = list(codec.encode(x).values())
        strings = [[one.string for one in own] for own in coded]
        case: dict[str, Any] = {"name": name, "settings": asdict(codec.settings)}
        case |= {"strings": strings, "hats": hats(coded)}
        case |= {"x_hat": codec(x)["x_hat"], "shape": tuple(x.shape[-2:])}
        torch.save(case, folder / str(i))


def hats(coded: Sequence[Sequence[Coded]]) -> list[Tensor]:
    """Decoded latents, of each kind and image."""
    return [torch.from_numpy(one.latent.hat) for own in coded for one in own]


def decode(folder: Path, elsewhere: bool) -> int:
    """Number of reconstructions that differ."""
    torch.set_num_threads(2 if elsewhere else 1)
    differing = 0
    names = sorted(path for path in folder.iterdir() if path.suffix != WEIGHTS)
    for path in tqdm(names, desc="decode", disable=None):
        case = torch.load(path, weights_only=True)
        if why := difference(folder, elsewhere, **case):
            differing += 1
            print(f"{case['name']} {case['settings']} {case['shape']}: {why}")
    return differing


def difference(
    folder: Path,
    elsewhere: bool,
    name: str,
    settings: dict[str, Any],
    strings: list[list[bytes]],
    hats: list[Tensor],
    x_hat: Tensor,
    shape: tuple[int, int],
) -> str:
    """What is not as it was encoded; empty: nothing."""
    codec = latentopt.wrap(sent(folder, name), recipe=Recipe.reading(Settings(**settings)))
    try:
        found = [codec.decode(image, shape) for image in zip(*strings)]
        error = float((codec.decompress(strings, shape)["x_hat"] - x_hat).abs().max())
    except BitstreamError as refusal:
        return str(refusal)
    own = [torch.from_numpy(one.latent.hat) for of_kind in zip(*found) for one in of_kind]
    atol = elsewhere * LAST_BITS
    if not all(torch.allclose(*pair, rtol=0, atol=atol) for pair in zip(own, hats, strict=True)):
        return "latents differ"
    return f"differs by {error:.1e}" if error > elsewhere * TOLERANCE else ""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--elsewhere", action="store_true", help="other threads and instructions")
    parser.add_argument("--decode", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.decode:
        return min(decode(args.decode, args.elsewhere), 100)
    with tempfile.TemporaryDirectory() as folder:
        torch.set_num_threads(1)
        encode(Path(folder), args.count)
        fresh = [sys.executable, __file__, "--decode", folder]
        fresh += ["--elsewhere"] if args.elsewhere else []
        environment = {**os.environ, **(ELSEWHERE if args.elsewhere else {})}
        failed = subprocess.run(fresh, check=False, env=environment).returncode
    print(f"{args.count} combinations, {failed} not identical")
    return min(failed, 1)


if __name__ == "__main__":
    run(main)
