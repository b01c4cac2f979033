"""Codecs of which samples are sent: their recipe, their encoder, and what samples cost at least.

x ─► encoded ─► level 2 ─► crosses ─► prior of level 1 ─► its posterior ─► crosses
"""

from collections.abc import Iterator

from numpy.typing import NDArray
from torch import Tensor

from latentopt.adapters import VariationalAdapter
from latentopt.adapters.variational_net import Normal
from latentopt.bitstream import DIRECTIONS, NO_SHIFT
from latentopt.codec.assembly import Assembly
from latentopt.codec.encode import Encoder, check_images
from latentopt.codec.recipe import PRESETS, Recipe
from latentopt.codec.synthesis import padded
from latentopt.errors import InputError
from latentopt.latents import Channel, Coded, Crossed, Point
from latentopt.latents.sampling import SampleChannel, SampledLatent, Sampling

SAMPLER = "mixed"
"""The coder where none is named."""


def as_sampled(recipe: Recipe) -> Recipe:
    """A recipe for a codec that is trained for samples: its own posteriors, where nothing is said.

    Raises:
        InputError: it speaks of lattices, or of a search among their points.
    """
    if recipe.spread is not None:
        return recipe
    # Samples are no vectors: that none are formed ahead may be said or not.
    default, plain = (PRESETS[name].but(prepacked=False) for name in ("default", "plain"))
    said = recipe.but(portable=True, prepacked=False)
    filtered = said == plain.but(postfilter=True)
    if not filtered and said not in (default, plain):
        raise InputError(
            f"this codec sends samples, and {recipe.summary} is for points of a lattice: say "
            "nothing, or which sampler, seed and spread"
        )
    made = Recipe("int", None, portable=recipe.portable, postfilter=filtered)
    return made.but(spread=Sampling(1.0, SAMPLER))


class SampledEncoder(Encoder):
    """Codes images by what their encoder believes of each level; see :class:`Encoder`."""

    def __init__(self, assembly: Assembly):
        super().__init__(assembly)
        assert isinstance(assembly.adapter, VariationalAdapter)
        self._levels = assembly.adapter

    def encode(self, x: Tensor) -> dict[str, list[Coded]]:
        """See :meth:`Encoder.encode`."""
        latents = zip(*([latent for latent, _ in image] for image in self.sent(x)))
        main, *deeper = ([self._coded(d, one) for one in own] for d, own in enumerate(latents))
        return dict(zip(self._assembly.names, [self.filtered(main, x), *deeper]))

    def sent(self, x: Tensor) -> Iterator[list[tuple[Crossed, Point]]]:
        """For each image its latents, the main one first, and what was to arrive a sample of."""
        check_images(x)
        x = padded(x.to(self._assembly.device), self._adapter.stride).to(self._assembly.dtype)
        grid = self._assembly.grid((x.shape[-2], x.shape[-1]))
        encoded = self._levels.encoded(x)
        for i in range(len(x)):
            of_image = [Normal(one.mean[i : i + 1], one.spread[i : i + 1]) for one in encoded]
            yield self._sent(of_image, grid)

    def _sent(self, encoded: list[Normal], grid: tuple[int, int]) -> list[tuple[Crossed, Point]]:
        sent, above = list[tuple[Crossed, Point]](), list[NDArray]()
        for depth, found in reversed(list(enumerate(encoded))):
            walk = self._levels.walk(above, grid)
            target = self._levels.posterior(depth, found, walk.prior)
            crossed = self._assembly.channels[depth].send(walk, target)
            above.append(crossed.hat)
            sent.insert(0, (crossed, target))
        return sent

    def _coded(self, depth: int, latent: Crossed) -> Coded:
        return Coded(latent, [NO_SHIFT] * DIRECTIONS[self._assembly.direction(depth)])


def encoder_of(assembly: Assembly) -> Encoder:
    """The encoder of a codec's images."""
    is_sampled = isinstance(assembly.adapter, VariationalAdapter)
    return SampledEncoder(assembly) if is_sampled else Encoder(assembly)


def divergences(assembly: Assembly, x: Tensor) -> dict[str, list[float]]:
    """For each latent by name, KL[q | p] in bits of each image; NaN where nothing is sampled."""
    found = list[list[float]]()
    for image in _sent(encoder_of(assembly), x):
        found.append([_bits(*one) for one in zip(assembly.channels, image)])
    return dict(zip(assembly.names, map(list, zip(*found))))


def _sent(encoder: Encoder, x: Tensor) -> Iterator[list[tuple[Crossed, Point]]]:
    """See :meth:`SampledEncoder.sent`, of any encoder."""
    if isinstance(encoder, SampledEncoder):
        return encoder.sent(x)
    coded = zip(*encoder.encode(x).values())
    targets = zip(*encoder.targets(x))
    return ([(c.latent, Point(y.ravel())) for c, y in zip(*of)] for of in zip(coded, targets))


def _bits(channel: Channel, sent: tuple[Crossed, Point]) -> float:
    """KL[q | p] of one latent."""
    crossed, target = sent
    if not isinstance(channel, SampleChannel) or not isinstance(crossed, SampledLatent):
        return float("nan")
    return float(channel.divergence(crossed, target).sum())
