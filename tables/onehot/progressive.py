"""Pretrained codecs in maps: a cut stream against lower qualities and against larger steps."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product

from torch import Tensor

import latentopt
from latentopt import Codec, zoo
from latentopt.adapters import with_step
from latentopt.media.images import read_image
from tables.common.experiment import Cell, Request
from tables.onehot.codecs.cuts import SOURCE, Cuts
from tables.onehot.codecs.cutting import Cut, curve, point
from tables.onehot.codecs.rows import Place, shipped_cuts

Images = Callable[[], list[Tensor]]

CODECS = ("tiny-bmshj2018-factorized", "tiny-mbt2018-mean")
QUALITY = 4
STEPS = (1.0, 1.5, 2.0, 3.0, 4.0)
_MAPS = (1, 2, 4, 8, 16, 32, 64)
"""After which streams are cut."""


def _plain(codec: str, quality: int, step: float = 1.0) -> Codec:
    model = zoo.load(codec, quality)
    return latentopt.wrap(with_step(model, step) if step != 1 else model, "int", False)


def _whole(codec: Codec, images: Images, number: int) -> Cut:
    """Files as they are; ``number`` tells curves' points apart in rows."""
    return point(codec, images(), [codec.save_bytes(x) for x in images()], maps=number)


def _cut(codec: str, images: Images) -> list[Cut]:
    progressive = latentopt.wrap(zoo.load(codec, QUALITY), "int", progressive=True)
    return curve(progressive, images(), _MAPS)


def _anew(codec: str, images: Images) -> list[Cut]:
    return [_whole(_plain(codec, q), images, q) for q in zoo.qualities(codec)]


def _wider(codec: str, images: Images) -> list[Cut]:
    plain = enumerate(_plain(codec, QUALITY, step) for step in STEPS)
    return [_whole(own, images, i) for i, own in plain]


CURVES = {"cut": _cut, "coded anew": _anew, "larger steps": _wider}
"""What can be had of a codec at fewer bits."""


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
        data = request.dataset
        images = cache(lambda: [read_image(path) for path in data.paths])
        for codec, (way, measure) in product(CODECS, CURVES.items()):
            row = f"{codec}, {way}"
            place = Place(row, data.name, len(data.paths), request)
            model = partial(zoo.load, codec, QUALITY)
            yield from self.cells_of(
                row, shipped_cuts(place, model, partial(measure, codec, images))
            )


EXPERIMENT = Progressive()
