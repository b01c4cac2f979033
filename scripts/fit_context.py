"""Fit the universal networks of contexts, which ship with the package, on CLIC photographs.

Run: python scripts/fit_context.py [scales | channels] [--limit 28] [--steps 6000]
One network serves all codecs with a scale for each element, another those with a density for each
channel. Every codec encodes a crop of every photograph, as the preset `default` does but on
integers; three crops of four are fitted, all codecs alike, and the others say what the network
saves. It is written into the package. Never run it on Kodak.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from common import WEIGHTS, add_images, head, images, line, run
from torch import Tensor, nn
from tqdm import tqdm

import latentopt
from latentopt import zoo
from latentopt.codec.calibrate import context_examples
from latentopt.codec.recipe import PRESETS
from latentopt.encoder import Examples, Ladder, fit_network
from latentopt.latents.lattice.context import ship_network
from latentopt.zoo.embedded import EMBEDDED
from tables.common.data import crop

MOST = 400_000
"""Elements of each codec."""

RECIPE = PRESETS["default"].but(quant="int", context=True)


def embedded(codec: str) -> list[Callable[[], nn.Module]]:
    """Those of all qualities."""
    return [partial(zoo.load, codec, quality) for quality in EMBEDDED.qualities(codec)]


def checkpoints(codec: str, pattern: str) -> list[Callable[[], nn.Module]]:
    """Those of the laboratory."""
    paths = zoo.checkpoints([str(WEIGHTS / pattern)])
    return [partial(zoo.load, codec, weights=path) for path in paths]


CODECS: dict[str, Callable[[], list[Callable[[], nn.Module]]]] = {
    "scales": lambda: [
        *embedded("tiny-mbt2018-mean"),
        *checkpoints("mbt2018-mean", "lab-mean-*.pt"),
    ],
    "channels": lambda: [
        *embedded("tiny-bmshj2018-factorized"),
        *checkpoints("bmshj2018-factorized", "bmshj2018-factorized-q2.pt"),
    ],
}
"""By kind of network, the codecs that it is fitted to."""


@dataclass(frozen=True)
class Seen:
    """What one codec's elements are, and what they cost."""

    fitted: Examples
    held: Examples
    ladder: Ladder

    @staticmethod
    def of(codec: latentopt.Codec, x: Sequence[Tensor]) -> "Seen":
        """Elements of these images."""
        each = [context_examples(codec, image) for image in tqdm(x, disable=None)]
        fitted = Examples.joined([e for i, own in enumerate(each) if i % 4 for e in own])
        held = Examples.joined([e for own in each[::4] for e in own])
        rows = np.random.default_rng(0).permutation(len(fitted.base))[:MOST]
        ladder = Ladder(codec.context_channel, codec.assembly.prices)
        return Seen(fitted.take(np.sort(rows)), held, ladder)

    def bits(self) -> float:
        """Mean cost of a fitted element without a context."""
        return self.ladder.mean_bits(self.fitted, None)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=CODECS)
    parser.add_argument("--steps", type=int, default=6000)
    add_images(parser, "clic2020", limit=28)
    args = parser.parse_args(argv)
    x = [crop(image, i) for i, image in enumerate(images(args))]
    made = [make() for make in CODECS[args.kind]()]
    seen = [Seen.of(latentopt.wrap(model, recipe=RECIPE), x) for model in made]
    weight = torch.cat([torch.full((len(s.fitted.base),), 1 / s.bits()) for s in seen])
    joined = Examples.joined([s.fitted for s in seen])
    network = fit_network(joined, seen[0].ladder, weight, args.steps)
    print(head("codec", "fitted", "held out"))
    for i, each in enumerate(seen, 1):
        changes = (
            each.ladder.mean_bits(e, network) / each.ladder.mean_bits(e, None) - 1
            for e in (each.fitted, each.held)
        )
        print(line(str(i), *(f"{100 * change:+.2f} %" for change in changes)))
    print(ship_network(args.kind, network))


if __name__ == "__main__":
    run(main)
