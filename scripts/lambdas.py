"""How well the encoder's trade of bits against error is estimated from weights alone.

Prints lambda, of lambda * 255^2 * MSE + bits per pixel, as estimated and as it was in training.

    python scripts/lambdas.py
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from common import WEIGHTS, head, line, run

import latentopt
from latentopt import zoo
from latentopt.zoo.embedded import EMBEDDED
from latentopt.zoo.names import URLS, VIDEO

IMAGES = set(URLS) - set(VIDEO)
"""Architectures that were trained for one lambda."""

LABORATORY = {
    "bmshj2018-factorized-q2": ("bmshj2018-factorized", 0.0035),
    "lab-mean-1": ("mbt2018-mean", 0.0018),
    "lab-mean-2": ("mbt2018-mean", 0.0035),
    "lab-mean-3": ("mbt2018-mean", 0.0067),
    "lab-mean-4": ("mbt2018-mean", 0.013),
}
"""Architecture, and the lambda that it was trained for, of each checkpoint."""


@dataclass(frozen=True)
class Trained:
    """Weights, and the lambda they were trained for."""

    name: str
    codec: str
    weights: Path
    lmbda: float | None

    def estimated(self) -> float:
        """Lambda from the weights alone: a checkpoint does not say."""
        model = zoo.load(self.codec, weights=self.weights)
        return latentopt.wrap(model, preset="fast").trade * 3 / 255**2


def all_weights() -> Iterator[Trained]:
    """The laboratory's, where they are here, and those of the embedded image codecs."""
    for stem, (codec, trained_for) in LABORATORY.items():
        if (path := WEIGHTS / f"{stem}.pt").is_file():
            yield Trained(stem, codec, path, trained_for)
    for codec in (c for c in EMBEDDED.names() if zoo.family(c) in IMAGES):
        for quality in zoo.qualities(codec):
            path, lmbda = EMBEDDED.file(codec, quality), zoo.lmbda(codec, quality)
            yield Trained(f"{codec} {quality}", codec, path, lmbda)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="of weights, as printed (default: all)")
    args = parser.parse_args(argv)
    print(head("weights", "estimated", "trained for"))
    for own in all_weights():
        if not args.names or own.name in args.names:
            print(line(own.name, f"{own.estimated():.4f}", str(own.lmbda)), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(main)
