"""Pretrained codecs in maps: a cut stream against lower qualities and against larger steps."""

from collections.abc import Iterator, Sequence

from torch import Tensor

import latentopt
from latentopt import Codec, zoo
from latentopt.adapters import with_step
from latentopt.media.images import read_image
from tables.common.experiment import Cell, Request
from tables.onehot.codecs.cuts import SOURCE, Cuts
from tables.onehot.codecs.cutting import Cut, curve, point

CODECS = ("tiny-bmshj2018-factorized", "tiny-mbt2018-mean")
QUALITY = 4
STEPS = (1.0, 1.5, 2.0, 3.0, 4.0)
_MAPS = (1, 2, 4, 8, 16, 32, 64)
"""After which streams are cut."""


def _plain(codec: str, quality: int, step: float = 1.0) -> Codec:
    model = zoo.load(codec, quality)
    return latentopt.wrap(with_step(model, step) if step != 1 else model, "int", False)


def _whole(codec: Codec, images: Sequence[Tensor]) -> Cut:
    """Files as they are."""
    return point(codec, images, [codec.save_bytes(x) for x in images])


def _progressive(codec: str) -> Codec:
    return latentopt.wrap(zoo.load(codec, QUALITY), "int", progressive=True)


class Progressive(Cuts):
    """Rate and quality of what is left of a stream, and of what could have been coded instead."""

    name = "progressive"
    title = "Streams of pretrained codecs, cut"
    source = f"{SOURCE}, who cut what was trained to be cut"
    notes = (
        "Of bytes that are written, plain rounding in all rows. `cut` are beginnings of a file of "
        "quality 4; `coded anew` are files of qualities 1 to 4, and `larger steps` those of "
        f"quality 4 with its step multiplied by {', '.join(f'{step:g}' for step in STEPS)}.",
    )
    rates = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)

    def cells(self, request: Request) -> Iterator[Cell]:
        images = [read_image(path) for path in request.dataset.paths]
        for codec in (own.codec for own in request.subjects if own.codec in CODECS):
            yield from self.cells_of(f"{codec}, cut", curve(_progressive(codec), images, _MAPS))
            anew = [_whole(_plain(codec, quality), images) for quality in zoo.qualities(codec)]
            yield from self.cells_of(f"{codec}, coded anew", anew)
            wide = [_whole(_plain(codec, QUALITY, step), images) for step in STEPS]
            yield from self.cells_of(f"{codec}, larger steps", wide)


EXPERIMENT = Progressive()
