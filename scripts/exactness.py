"""Does `int` without shift equal the codec itself, and do bytes match the probabilities?

Run: python scripts/exactness.py [--limit 24]
For each checkpoint and image: bytes of `int` against CompressAI's, the largest difference between
the two reconstructions, and for every lattice written bits against the sum of -log2 P.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from common import WEIGHTS, add_images, images, run
from compressai.models import CompressionModel
from torch import Tensor
from tqdm import tqdm

import latentopt
from latentopt import zoo
from latentopt.bench.codecs import coded_bytes
from latentopt.lattices import RULES
from latentopt.media.images import to_uint8

CHECKPOINTS = {
    WEIGHTS / "bmshj2018-factorized-q2.pt": "bmshj2018-factorized",
    WEIGHTS / "lab-mean-1.pt": "mbt2018-mean",
    WEIGHTS / "lab-mean-4.pt": "mbt2018-mean",
}
PRICED = 6  # images whose bytes are held against their probabilities


@torch.no_grad()
def compare(model: CompressionModel, x: Sequence[Tensor], portable: bool) -> str:
    """`int` against the codec itself."""
    codec = latentopt.wrap(model, "int", shift=False, portable=portable)
    ours, theirs, difference, differing = 0, 0, 0.0, 0
    for image in tqdm(x, desc=f"int, portable={portable}", disable=None):
        reference, out = model.compress(image), codec.compress(image)
        x_ref = model.decompress(**reference)["x_hat"]
        x_hat = codec.decompress(**out)["x_hat"]
        theirs += coded_bytes(reference["strings"], 0)
        ours += coded_bytes(out["strings"], 0)
        difference = max(difference, float((x_hat - x_ref).abs().max()))
        differing += int((to_uint8(x_hat) != to_uint8(x_ref)).sum())
    return (
        f"int, portable={portable!s:5}: bytes {ours} against {theirs} ({ours / theirs - 1:+.3%}); "
        f"largest difference of x_hat {difference:.1e}, 8-bit samples that differ: {differing}"
    )


@torch.no_grad()
def bytes_and_probabilities(model: CompressionModel, x: Sequence[Tensor], quant: str) -> str:
    """Written bits over the sum of -log2 P."""
    codec = latentopt.wrap(model, quant, shift=False)
    ratios, extra = [], []
    for image in tqdm(x, desc=quant, disable=None):
        likelihoods = codec(image)["likelihoods"].values()
        bits = -sum(float(p.double().log2().sum()) for p in likelihoods)
        written = 8 * coded_bytes(codec.compress(image)["strings"], 0)
        ratios.append(written / bits - 1)
        extra.append(written / 8 - bits / 8)
    return (
        f"{quant:4} written / sum of -log2 P - 1: mean {np.mean(ratios):+.4%}, "
        f"largest {max(ratios):+.4%}, which is {max(extra):.1f} bytes at most"
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_images(parser, "kodak", limit=24)
    args = parser.parse_args(argv)
    x = images(args)
    for path, codec in CHECKPOINTS.items():
        print(Path(path).stem)
        model = zoo.load(codec, weights=path)
        for portable in (False, True):
            print(" ", compare(model, x, portable))
        for quant in RULES:
            print(" ", bytes_and_probabilities(model, x[:PRICED], quant))


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(main)
