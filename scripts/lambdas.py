"""How well the encoder's trade of bits against error is estimated from weights alone.

Prints lambda, of lambda * 255^2 * MSE + bits per pixel, as estimated and as it was in training.

    python scripts/lambdas.py
"""

import warnings

import torch
from torch import nn

import latentopt
from latentopt import zoo
from latentopt.zoo.embedded import EMBEDDED

_SHARED = "../shared/weights"
_TRAINED = {"q2": 0.0035, "1": 0.0018, "2": 0.0035, "3": 0.0067, "4": 0.013}


def estimated(model: nn.Module) -> float:
    """As a codec estimates it whose model does not say."""
    model.lmbda = None  # type: ignore[assignment]
    return latentopt.wrap(model, preset="fast").trade * 3 / 255**2


def main() -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    print("| weights | estimated | trained for |\n| --- | --- | --- |")
    factorized = zoo.load("bmshj2018-factorized", weights=f"{_SHARED}/bmshj2018-factorized-q2.pt")
    print(f"| bmshj2018-factorized q2 | {estimated(factorized):.4f} | {_TRAINED['q2']} |")
    for i in "1234":
        model = zoo.load("mbt2018-mean", weights=f"{_SHARED}/lab-mean-{i}.pt")
        print(f"| lab-mean-{i} | {estimated(model):.4f} | {_TRAINED[i]} |")
    for codec in (c for c in EMBEDDED.names() if not zoo.is_video(c)):
        for quality in zoo.qualities(codec):
            model = zoo.load(codec, quality)
            known = zoo.lmbda(codec, quality)
            print(f"| {codec} {quality} | {estimated(model):.4f} | {known} |", flush=True)


if __name__ == "__main__":
    main()
