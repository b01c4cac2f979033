"""What lattice points in the context of an autoregressive codec do to its rate.

Run: python scripts/context_rate.py [--codec tiny-mbt2018] [--quality 3] [--data kodak] [--limit 8]
The context network was trained on rounded latents. Each lattice's points are priced twice: with
entropy parameters from a context of the same lattice's points, as the codec does, and from a
context of rounded latents, which no decoder would have. The difference is what the change of the
context costs; the last column is the same for the latent's error.
"""

import argparse
from collections.abc import Sequence

import numpy as np
from common import add_codec, add_images, head, images, line, load, main_latent, run
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

import latentopt
from latentopt import Codec
from latentopt.latents import Carry, Point, Prior, Walk
from latentopt.lattices import RULES


class RoundedContext:
    """A walk on which later groups see rounded elements, whatever crosses."""

    def __init__(self, walk: Walk, y: NDArray[np.floating]):
        self._walk, self._y = walk, y

    @property
    def shape(self) -> tuple[int, ...]:
        return self._walk.shape

    def estimate(self, y: NDArray[np.floating]) -> Prior:
        return self._walk.estimate(y)

    def go(self, carry: Carry) -> None:
        def shown(
            index: NDArray[np.int64],
            levels: NDArray[np.int16],
            centres: NDArray[np.floating],
            steps: NDArray[np.floating] | None = None,
            /,
        ) -> NDArray[np.floating]:
            carry(index, levels, centres, steps)
            prior = Prior((len(index),), levels, centres, steps)
            return prior.values(np.rint(prior.residual(self._y[index])))

        self._walk.go(shown)


def bits_and_error(codec: Codec, x: Tensor) -> NDArray[np.float64]:
    """Of the main latent, (2, 2): in its own context, then in a rounded one."""
    main, channel = main_latent(codec, x), codec.assembly.channels[0]
    found = []
    for walk in (main.walk, RoundedContext(main.walk, main.y)):
        latent = channel.send(walk, Point(main.y))
        found.append((latent.bits().sum(), np.square(latent.hat - main.y).mean()))
    return np.array(found)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_codec(parser, "tiny-mbt2018", quality=3)
    add_images(parser, "kodak", limit=8)
    args = parser.parse_args(argv)
    model, x = load(args), images(args)
    blocks = [i[..., : i.shape[-2] // 64 * 64, : i.shape[-1] // 64 * 64] for i in x]
    print(f"{args.codec}, {len(x)} images of {args.data}, latentopt {latentopt.__version__}")
    print(head("", "own context", "rounded context", "rate", "error"))
    for name in RULES:
        codec = latentopt.wrap(model, name, shift=False)
        found = sum(bits_and_error(codec, i) for i in tqdm(blocks, desc=name, disable=None))
        own, rounded = np.asarray(found)
        rate, error = 100 * (own / rounded - 1)
        sizes = (f"{bits / 8:,.0f} B" for bits in (own[0], rounded[0]))
        print(line(name, *sizes, f"{rate:+.2f} %", f"{error:+.2f} %"), flush=True)


if __name__ == "__main__":
    run(main)
