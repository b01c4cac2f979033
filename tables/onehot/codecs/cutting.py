"""Rate and quality of streams that are cut after some maps: of bytes written, and of pixels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import latentopt
from latentopt import Codec, Container
from latentopt.media.images import to_uint8
from tables.onehot.codecs.integers import IntegerAdapter, IntegerCodec
from tables.onehot.codecs.train import trained

Pixels = Callable[[Tensor], Tensor]
"""Those of an image that count."""


@dataclass(frozen=True)
class Cut:
    """A stream with so many maps, in the mean over images."""

    maps: int
    bpp: float
    psnr_db: float


def codec_of(name: str) -> Codec:
    """A trained one, whose files are in maps; InputError where it was not trained."""
    model = trained(name)
    if isinstance(model, IntegerCodec):
        return latentopt.wrap(model, "int", False, progressive=True, adapter=IntegerAdapter)
    return latentopt.wrap(model)


def curve(
    codec: Codec,
    images: Sequence[Tensor],
    maps: Sequence[int] | None = None,
    pixels: Pixels = lambda x: x,
) -> list[Cut]:
    """Means over images (1, 3, H, W), for each number of maps; None: for all there are.

    Of an image with fewer maps its whole stream counts, as a node that cuts would let it pass.
    """
    files = [Container.from_bytes(codec.save_bytes(x)) for x in images]
    most = max(len(file.maps) for file in files)
    counts = [*(count for count in maps or range(1, most) if count < most), most]
    return [
        point(codec, images, [file.cut(count).to_bytes() for file in files], pixels, count)
        for count in counts
    ]


@torch.no_grad()
def point(
    codec: Codec,
    images: Sequence[Tensor],
    files: Sequence[bytes],
    pixels: Pixels = lambda x: x,
    maps: int = 0,
) -> Cut:
    """Rate and quality of files of images (1, 3, H, W), in the mean."""
    points = []
    for x, data in zip(images, files):
        shown, original = (pixels(to_uint8(own)).double() for own in (codec.load_bytes(data), x))
        mse = (shown - original).square().mean() / 255**2
        points.append((8 * len(data) / pixels(x)[0, 0].numel(), -10 * float(mse.log10())))
    bpp, psnr_db = np.mean(points, axis=0)
    return Cut(maps, float(bpp), float(psnr_db))


def at_rates(cuts: Sequence[Cut], rates: Sequence[float]) -> list[float]:
    """PSNR, linearly between cuts, at rates in bits per pixel; NaN beyond the cuts."""
    ordered = sorted(cuts, key=lambda cut: cut.bpp)
    bpp, psnr = [cut.bpp for cut in ordered], [cut.psnr_db for cut in ordered]
    return np.interp(rates, bpp, psnr, left=np.nan, right=np.nan).tolist()
