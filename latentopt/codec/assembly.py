"""What a codec is made of; encoder and decoder of an image are put together from it."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from latentopt.adapters import Adapter, VariationalAdapter, VideoAdapter
from latentopt.bitstream import DIRECTIONS, NO_SHIFT, Identity, Origin
from latentopt.codec.formats import NATIVE
from latentopt.codec.own_coder import native_channels, renew_tables
from latentopt.codec.recipe import Recipe
from latentopt.codec.seal import Seal
from latentopt.encoder import CdfPrices, Prices
from latentopt.errors import InputError
from latentopt.latents import Channel, make_channel
from latentopt.latents.dither import at_depth
from latentopt.latents.sampling import above, of_level
from latentopt.pmf.tables import Ints

OFFSETS = "split"
"""The direction of reconstruction offsets, which :func:`latentopt.calibrate` fits."""

NO_OFFSETS = (NO_SHIFT,) * DIRECTIONS[OFFSETS]
NAMES = "yzwvu"
"""Of the latents, the main one first: CompressAI's ``y`` and ``z``, and deeper ones."""


def weights_hash(adapter: Adapter | VideoAdapter) -> bytes:
    """What a file's header says of a model's weights: 4 bytes."""
    if isinstance(adapter, VideoAdapter):
        return joint_hash(map(weights_hash, adapter.parts.values()))
    return adapter.weights_digest()[:4]


def joint_hash(hashes: Iterable[bytes]) -> bytes:
    """One of all parts of a video codec."""
    return hashlib.sha256(b"".join(hashes)).digest()[:4]


@dataclass(frozen=True)
class Assembly:
    """A model's adapter, what to do with it, and the channels of its latents, the main one first.

    Nothing here changes while an image is coded: calls share it, in any number of threads.
    """

    adapter: Adapter
    recipe: Recipe
    channels: tuple[Channel, ...]
    prices: Prices
    """What coordinates of the main latent cost."""
    weights_hash: bytes  # (4,)
    table_digests: bytes
    """Of the channels, one after the other."""
    seal: Seal
    """On the weights that all this was made of."""
    fingerprints: tuple[str, ...]
    """Of the densities that the channels' tables are of."""
    offsets: tuple[int, ...] = NO_OFFSETS
    """Step codes of the reconstruction offsets, along :data:`OFFSETS`."""
    origin: Origin | None = None
    """Where the weights come from, if that is known."""

    @staticmethod
    def of(
        adapter: Adapter, recipe: Recipe, dumped: Sequence[Ints | None] | None = None
    ) -> "Assembly":
        """From the weights; tables as they were dumped, where they are given."""
        settings, seal = recipe.settings, Seal.of(adapter.model)
        if recipe.format == NATIVE:
            return Assembly._native(adapter, recipe, seal)
        is_sampled = isinstance(adapter, VariationalAdapter)
        below = settings if is_sampled else above(settings)
        side = replace(below, quant="int", pmf="exact", scales=False, context=False)
        side = replace(side, progressive=False, prepacked=False)
        each = [replace(settings, adaptive=False), *[side] * (len(adapter.densities) - 1)]
        each = [of_level(at_depth(own, depth), depth) for depth, own in enumerate(each)]
        tables: Sequence[Ints | None] = dumped or [None] * len(each)
        channels = tuple(map(make_channel, adapter.densities, each, tables))
        digests = b"".join(channel.digest() for channel in channels)
        weights = weights_hash(adapter)
        prices = Prices(channels[0].density)
        fingerprints = _fingerprints(adapter)
        return Assembly(adapter, recipe, channels, prices, weights, digests, seal, fingerprints)

    def renewed(self) -> "Assembly":
        """The same from the weights as they are now; tables stay where their densities do.

        Raises:
            UnsupportedModelError: the model is not of the adapter's family any more.
        """
        self.adapter.refresh()
        same = [a == b for a, b in zip(self.fingerprints, _fingerprints(self.adapter))]
        if self.recipe.format == NATIVE and not all(same):
            renew_tables(self.adapter.model)  # which the model's own coder has of its weights
        kept = [c.dump() if stays else None for c, stays in zip(self.channels, same)]
        return self.but_for(Assembly.of(self.adapter, self.recipe, kept))

    def but_for(self, made: "Assembly") -> "Assembly":
        """What was made of the weights as they are now, with offsets and origin of this."""
        # Other weights are not those that the origin names.
        origin = self.origin if made.weights_hash == self.weights_hash else None
        return replace(made, offsets=self.offsets, origin=origin)

    def check_weights(self) -> None:
        """Raises InputError where the weights changed in the midst of a call."""
        if not self.seal.holds(self.adapter.model):
            raise InputError("the model's weights changed while it was coding: code again")

    @staticmethod
    def _native(adapter: Adapter, recipe: Recipe, seal: Seal) -> "Assembly":
        """With the tables of the model's own coder, whose streams carry no hashes."""
        channels = native_channels(adapter)
        prices = CdfPrices(channels[0].density, channels[0].tables)
        weights, prints = weights_hash(adapter), _fingerprints(adapter)
        return Assembly(adapter, recipe, channels, prices, weights, b"", seal, prints)

    @property
    def names(self) -> str:
        """Of the latents, a letter each."""
        return NAMES[: len(self.channels)]

    def direction(self, depth: int) -> str:
        """The direction of the shift of the latent so many below the main one."""
        name = self.recipe.direction
        return name if depth == 0 or DIRECTIONS[name] == 1 else "sign"

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.adapter.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        return next(self.adapter.model.parameters()).dtype

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the deepest latent of an image (H, W)."""
        height, width = (-(-side // self.adapter.stride) for side in size)
        return height, width

    @property
    def identity(self) -> Identity:
        """What a stream must have been written with; its table hash covers the offsets, too."""
        digests = self.table_digests + (bytes(self.offsets) if any(self.offsets) else b"")
        table_hash = hashlib.sha256(digests).digest()[:4]
        return Identity(self.recipe.settings, self.weights_hash, table_hash, self.origin)


def _fingerprints(adapter: Adapter) -> tuple[str, ...]:
    return tuple(density.fingerprint for density in adapter.densities)
