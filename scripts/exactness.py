"""Does `int` without shift equal the codec itself, and do bytes match the probabilities?

Run: python scripts/exactness.py [--limit 24]
For each checkpoint and image: bytes of `int` against CompressAI's, the largest difference between
the two reconstructions, and for every lattice written bits against the sum of -log2 P.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import latentopt
from latentopt import zoo
from latentopt.bench import datasets
from latentopt.lattices import RULES
from latentopt.media.images import read_image, to_uint8

CHECKPOINTS = {
    "../shared/weights/bmshj2018-factorized-q2.pt": "bmshj2018-factorized",
    "../shared/weights/lab-mean-1.pt": "mbt2018-mean",
    "../shared/weights/lab-mean-4.pt": "mbt2018-mean",
}
PRICED = 6  # images whose bytes are held against their probabilities


def size(out: dict) -> int:
    return sum(len(string) for strings in out["strings"] for string in strings)


@torch.no_grad()
def compare(model: torch.nn.Module, images: list[torch.Tensor]) -> None:
    """`int` against the codec itself, exactly and in portable mode."""
    for portable in (False, True):
        codec = latentopt.wrap(model, "int", shift=False, portable=portable)
        ours, theirs, difference, pixels = 0, 0, 0.0, 0
        for x in tqdm(images, desc=f"int, portable={portable}", disable=None):
            reference, out = model.compress(x), codec.compress(x)
            x_ref = model.decompress(**reference)["x_hat"]
            x_hat = codec.decompress(**out)["x_hat"]
            theirs, ours = theirs + size(reference), ours + size(out)
            difference = max(difference, float((x_hat - x_ref).abs().max()))
            pixels += int((to_uint8(x_hat) != to_uint8(x_ref)).sum())
        print(
            f"  int, portable={portable!s:5}: bytes {ours} against {theirs} "
            f"({ours / theirs - 1:+.3%}); largest difference of x_hat {difference:.1e}, "
            f"8-bit samples that differ: {pixels}"
        )


@torch.no_grad()
def bytes_and_probabilities(model: torch.nn.Module, images: list[torch.Tensor]) -> None:
    """Written bits over the sum of -log2 P, per lattice."""
    for quant in RULES:
        codec = latentopt.wrap(model, quant, shift=False)
        ratios, extra = [], []
        for x in tqdm(images[:PRICED], desc=quant, disable=None):
            likelihoods = codec(x)["likelihoods"].values()
            bits = -sum(float(p.double().log2().sum()) for p in likelihoods)
            written = 8 * size(codec.compress(x))
            ratios.append(written / bits - 1)
            extra.append(written / 8 - bits / 8)
        print(
            f"  {quant:4} written / sum of -log2 P - 1: mean {np.mean(ratios):+.4%}, "
            f"largest {max(ratios):+.4%}, which is {max(extra):.1f} bytes at most"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=24)
    args = parser.parse_args()
    torch.set_num_threads(1)
    images = [read_image(path) for path in datasets.resolve("kodak").paths[: args.limit]]
    for path, name in CHECKPOINTS.items():
        if not Path(path).exists():
            print(f"{path} is absent", file=sys.stderr)
            return 2
        print(Path(path).stem)
        model = zoo.load(name, weights=path)
        compare(model, images)
        bytes_and_probabilities(model, images)
    return 0


if __name__ == "__main__":
    sys.exit(main())
