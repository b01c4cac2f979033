"""Write the tables of all embedded codecs into the package: latentopt/latents/lattice/counts/*.npz.

One file per density: the Gaussians of CompressAI's scale table on every lattice, which serve every
Gaussian codec, the Laplace densities of DCVC's, and the factorized priors of the embedded codecs.
Tables that are there stay as they are, since streams depend on them bit for bit; those that no
embedded codec uses any more go.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common import run
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.models.base import get_scale_table
from torch import nn
from tqdm import tqdm

from latentopt import zoo
from latentopt.adapters.dcvc_net import SCALES
from latentopt.densities import (
    Density,
    FactorizedDensity,
    GaussianDensity,
    LaplaceDensity,
    RescaledDensity,
)
from latentopt.latents.lattice import Tables, ship_tables
from latentopt.latents.lattice.shipped import FOLDER
from latentopt.lattices import RULES
from latentopt.pmf.tables import Ints
from latentopt.zoo.embedded import EMBEDDED


@dataclass(frozen=True)
class Shipped:
    """A density, and the lattices that a latent of its kind may use."""

    density: Density
    lattices: Sequence[str]

    def dumps(self) -> dict[str, Ints]:
        """Its tables by lattice: those that the package has, else built."""
        made = {name: Tables(self.density, RULES[name], "exact", None) for name in self.lattices}
        return {name: tables.dump() for name, tables in made.items()}


def shipped() -> Iterator[Shipped]:
    """All that ship."""
    yield Shipped(GaussianDensity(get_scale_table().double().numpy()), list(RULES))
    yield Shipped(LaplaceDensity(SCALES), list(RULES))
    for codec in EMBEDDED.names():
        for quality in EMBEDDED.qualities(codec):
            yield from of_model(zoo.load(codec, quality))


def of_model(model: nn.Module) -> Iterator[Shipped]:
    """The factorized densities of a codec; other latents than side latents take all lattices."""
    modules = list(model.modules())
    side = any(isinstance(module, GaussianConditional) for module in modules)
    for density in (FactorizedDensity(m) for m in modules if isinstance(m, EntropyBottleneck)):
        yield Shipped(density, ["int"] if side else list(RULES))
        if not side:
            yield Shipped(RescaledDensity(density), ["auto"])


def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args(argv)
    kept = {ship_tables(own.density, own.dumps()) for own in tqdm(list(shipped()), disable=None)}
    for path in set(FOLDER.glob("*.npz")) - kept:
        path.unlink()
    size = sum(path.stat().st_size for path in kept)
    print(f"{len(kept)} files, {size / 1e3:.0f} kB, in {FOLDER}")


if __name__ == "__main__":
    run(main)
