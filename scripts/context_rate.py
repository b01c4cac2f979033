"""What lattice points in the context of an autoregressive codec do to its rate.

Run: python scripts/context_rate.py [--codec tiny-mbt2018] [--quality 3] [--data kodak] [--limit 8]
The context network was trained on rounded latents. Each lattice's points are priced twice: with
entropy parameters from a context of the same lattice's points, as the codec does, and from a
context of rounded latents, which no decoder would have. The difference is what the change of the
context costs; the last column is the same for the latent's error.
"""

import argparse

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

import latentopt
from latentopt import zoo
from latentopt.adapters import adapter_class, channel_prior
from latentopt.bench import datasets
from latentopt.latents.lattice import LatentCoder, Quantizer
from latentopt.lattices import RULES
from latentopt.media.images import read_image


class RoundedContext(Quantizer):
    """Codes on its lattice, but shows the walk rounded elements."""

    def __call__(
        self, index: NDArray[np.int64], levels: NDArray[np.int16], centres: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        super().__call__(index, levels, centres)
        return np.rint(self._values[index] - centres) + centres


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codec", default="tiny-mbt2018")
    parser.add_argument("--quality", type=int, default=3)
    parser.add_argument("--data", default="kodak")
    parser.add_argument("--limit", type=int, default=8)
    args = parser.parse_args()
    model = zoo.load(args.codec, args.quality)
    adapter = adapter_class(model)(model)
    coders = {name: LatentCoder(adapter.main_density, x) for name, x in RULES.items()}
    side_coder = LatentCoder(adapter.side_density, RULES["int"])
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for path in tqdm(datasets.resolve(args.data).paths[: args.limit], disable=None):
        x = read_image(path)
        y = adapter.analysis(x[..., : x.shape[-2] // 64 * 64, : x.shape[-1] // 64 * 64])
        z = adapter.hyper_analysis(y)
        prior = channel_prior(adapter.side_density, tuple(z.shape[1:]))
        given = adapter.features(side_coder.quantize(z.numpy().ravel(), prior).hat, prior.shape)
        for name, coder in coders.items():
            for kind in (Quantizer, RoundedContext):
                quantizer = kind(coder, y.numpy().ravel(), tuple(y.shape[1:]))
                adapter.walk(given, quantizer)
                latent = quantizer.latent()
                error = float(np.square(latent.hat - y.numpy().ravel()).mean())
                total = found.setdefault((name, kind.__name__), [])
                total.append((float(latent.bits().sum()), error))
    print(
        f"{args.codec} {args.quality}, {args.limit} images of {args.data}, latentopt "
        f"{latentopt.__version__}"
    )
    print(f"{'':6}{'own context':>14}{'rounded':>12}{'rate':>9}{'error':>9}")
    for name in coders:
        own, rounded = (
            np.sum(found[name, k.__name__], axis=0) for k in (Quantizer, RoundedContext)
        )
        rate, error = (100 * (own / rounded - 1)).tolist()
        print(f"{name:6}{own[0] / 8:12.0f} B{rounded[0] / 8:10.0f} B{rate:+8.2f}%{error:+8.2f}%")


if __name__ == "__main__":
    main()
