"""Write the tables of all embedded codecs into the package: latentopt/latents/lattice/counts/*.npz.

One file per density: the Gaussians of CompressAI's scale table on every lattice, which serve every
Gaussian codec, the Laplace densities of DCVC's, and the factorized priors of the embedded codecs.
Tables that are there stay as they are, since streams depend on them bit for bit; those that no
embedded codec uses any more go.
"""

from typing import Any

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
from latentopt.latents.lattice import LatentCoder, ship_tables
from latentopt.latents.lattice.shipped import FOLDER
from latentopt.lattices import RULES
from latentopt.zoo.embedded import EMBEDDED


def densities() -> list[tuple[Density, list[str]]]:
    """Each density that ships, and the lattices that a latent of its kind may use."""
    found: list[tuple[Density, list[str]]] = [
        (GaussianDensity(get_scale_table().double().numpy()), list(RULES)),
        (LaplaceDensity(SCALES), list(RULES)),
    ]
    for codec, quality in ((c, q) for c in EMBEDDED.names() for q in EMBEDDED.qualities(c)):
        model = zoo.load(codec, quality)
        side = bool(_of_kind(model, GaussianConditional))
        for density in map(FactorizedDensity, _of_kind(model, EntropyBottleneck)):
            found.append((density, ["int"] if side else list(RULES)))
            if not side:
                found.append((RescaledDensity(density), ["auto"]))
    return found


def _of_kind(model: nn.Module, kind: type) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, kind)]


def main() -> None:
    kept = set()
    for density, names in tqdm(densities(), unit="density"):
        dumps = {name: LatentCoder(density, RULES[name]).dump() for name in names}
        kept.add(ship_tables(density, dumps))
    for path in set(FOLDER.glob("*.npz")) - kept:
        path.unlink()
    size = sum(path.stat().st_size for path in kept)
    print(f"{len(kept)} files, {size / 1e3:.0f} kB, in {FOLDER}")


if __name__ == "__main__":
    main()
