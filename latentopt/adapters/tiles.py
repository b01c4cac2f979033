"""Transforms of large images in overlapping tiles: each needs a few blocks around what it gives.

A block is an element of the main latent, or the square of pixels that belongs to it:

    ├── margin ──┼──────── core ────────┼── margin ──┤   of the input
                 ├──────── core ────────┤                of the output, which is kept

How wide the margin must be follows from the network itself: a NaN in its input marks all of its
output that depends on it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentopt.adapters.base import Adapter

SIDE = 64
"""Blocks a side of a tile's core: 1024 pixels where a block has 16."""

_LARGE = 1 << 22  # pixels of an image beyond which it is cut
_MANY = 1 << 14  # elements a side squared of a main latent beyond which it is cut
_MANY_SIDE, _SIDE_OF_SIDE = 1 << 10, 32  # the same of a side latent, and blocks a side of a tile
_PROBED, _PROBED_SIDE, _PROBED_PIXELS = 40, 16, 640  # a side of what networks are probed with
_ALIKE = 1e-3  # difference of a part from the same part of the whole, in the output's spread

Run = Callable[[Tensor], Tensor]
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Tile:
    """A part of a picture."""

    taken: Window  # of the input
    core: Window  # of the output
    within: Window  # the same in what the transform makes of the input that was taken


WHOLE = Tile(*[(slice(None), slice(None))] * 3)
"""All of it at once."""


@dataclass(frozen=True)
class Tiling:
    """How inputs of a transform are cut, in blocks of ``before`` elements that give ``after``."""

    before: int
    after: int
    margin: int  # blocks
    side: int = SIDE  # blocks of a tile's core

    def tiles(self, height: int, width: int) -> Iterator[Tile]:
        """Those of an input of so many elements."""
        rows, columns = self._spans(height // self.before), self._spans(width // self.before)
        for row in rows:
            for column in columns:
                yield Tile(*zip(row, column))

    def apply(self, run: Run, x: Tensor) -> Tensor:
        """The output (B, C, H, W) of a transform, put together from tiles."""
        height, width = (side // self.before * self.after for side in x.shape[-2:])
        out: Tensor | None = None
        for tile in self.tiles(*x.shape[-2:]):
            part = run(x[(..., *tile.taken)])
            if out is None:
                out = part.new_empty(*part.shape[:2], height, width)
            out[(..., *tile.core)] = part[(..., *tile.within)]
        assert out is not None  # there is a tile
        return out

    def _spans(self, blocks: int) -> list[tuple[slice, slice, slice]]:
        return [self._span(start, blocks) for start in range(0, blocks, self.side)]

    def _span(self, start: int, blocks: int) -> tuple[slice, slice, slice]:
        """See :class:`Tile`, along one side."""
        stop = min(start + self.side, blocks)
        first, last = max(0, start - self.margin), min(blocks, stop + self.margin)
        taken = slice(first * self.before, last * self.before)
        core = slice(start * self.after, stop * self.after)
        return taken, core, slice((start - first) * self.after, (stop - first) * self.after)


def is_large(x: Tensor) -> bool:
    """Whether images (B, 3, H, W) are so large that their transforms are cut."""
    return x.shape[-2] * x.shape[-1] > _LARGE


class Tiled:
    """An adapter's transforms, in tiles where the image is large and the networks allow it."""

    def __init__(self, adapter: Adapter):
        self._adapter = adapter

    def analysis(self, x: Tensor) -> Tensor:
        """See :meth:`Adapter.analysis`."""
        run = self._adapter.analysis
        stride = self._adapter.stride
        tiling = self._tiling("analysis", run, x, _LARGE, -(-_PROBED_PIXELS // stride) * stride)
        return tiling.apply(run, x) if tiling else run(x)

    def features(self, run: Run, side: Tensor) -> Tensor:
        """The hyper-synthesis ``run`` of a side latent; float64 takes much memory an element."""
        tiling = self._tiling("hyper-synthesis", run, side, _MANY_SIDE, _PROBED_SIDE)
        return replace(tiling, side=_SIDE_OF_SIDE).apply(run, side) if tiling else run(side)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        """See :meth:`Adapter.synthesis`."""
        run, tiling = self._adapter.synthesis, self.tiling(y_hat)
        return tiling.apply(run, y_hat) if tiling else run(y_hat)

    def tiling(self, y_hat: Tensor) -> Tiling | None:
        """How to cut main latents (B, M, h, w) for the synthesis; None: not at all."""
        return self._tiling("synthesis", self._adapter.synthesis, y_hat, _MANY, _PROBED)

    def _tiling(self, name: str, run: Run, x: Tensor, most: int, side: int) -> Tiling | None:
        if not self._adapter.local or x.shape[-2] * x.shape[-1] <= most:
            return None
        key = f"tiling of {name}"
        return self._adapter.keep(key, lambda: tiling_of(run, x, side))


@torch.no_grad()
def tiling_of(run: Run, like: Tensor, side: int) -> Tiling | None:
    """How to cut inputs of a transform; None where its output depends on more than is near.

    Args:
        run: the transform.
        like: an input, as which it is probed: (B, C, H, W).
        side: of the probe.
    """
    noise = torch.rand(1, like.shape[1], side, side, generator=torch.Generator().manual_seed(0))
    x = noise.to(like)
    whole = run(x)
    blocks = min(side, whole.shape[-1])
    before, after = side // blocks, whole.shape[-1] // blocks
    middle = blocks // 2
    x_marked, block = x.clone(), slice(middle * before, (middle + 1) * before)
    x_marked[..., block, block] = torch.nan
    reached = run(x_marked).isnan().any(dim=1)[0].nonzero() // after - middle
    tiling = Tiling(before, after, int(reached.abs().max()))
    return tiling if _is_exact(run, x, whole, tiling) else None


def _is_exact(run: Run, x: Tensor, whole: Tensor, tiling: Tiling) -> bool:
    """Whether a tile gives what the whole has there, wherever the tile begins."""
    blocks, margin = x.shape[-1] // tiling.before, tiling.margin
    first = blocks // 2 - 1  # an odd number of blocks from the edge, for networks with windows
    if first + margin >= blocks:
        return False
    part = run(x[..., first * tiling.before :, first * tiling.before :])
    inner = slice(margin * tiling.after, None)
    beyond = slice((first + margin) * tiling.after, None)
    part, whole = part[..., inner, inner], whole[..., beyond, beyond]
    return part.shape == whole.shape and bool((part - whole).abs().max() <= _ALIKE * whole.std())
