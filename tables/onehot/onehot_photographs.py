"""Figure 4: one stream of photographs, cut, one-hot max against integers."""

from collections.abc import Iterator

from latentopt import Codec
from latentopt.media.images import read_image
from tables.common.experiment import Cell, Request
from tables.onehot.codecs.cuts import SOURCE, Cuts
from tables.onehot.codecs.cutting import Cut, curve

CODECS = {"OHM": "clic-ohm", **{f"INT, C {maps}": f"clic-int-{maps}" for maps in (8, 16, 32)}}

_MAPS = (1, 2, 4, 8, 12, 16)


class Photographs(Cuts):
    """Figure 4."""

    name = "onehot_photographs"
    title = "Photographs: streams of feature maps, cut"
    source = f"{SOURCE}, Figure 4"
    notes = (
        "Of bytes that are written. S = 32; integers in as many maps as said, trained alike, from "
        "the same transforms: those of tiny-bmshj2018-factorized, quality 3.",
    )
    rates = (0.04, 0.06, 0.08, 0.1, 0.14, 0.18, 0.25, 0.3, 0.4, 0.5)
    published = {  # noqa: RUF012 (read only)
        ("OHM", 0.1): 24.0,
        ("INT, C 16", 0.18): 22.5,
    }

    def cells(self, request: Request) -> Iterator[Cell]:
        data = request.dataset

        def measure(codec: Codec) -> list[Cut]:
            return curve(codec, [read_image(path) for path in data.paths], _MAPS)

        yield from self.trained_cells(CODECS, data.name, len(data.paths), request, measure)


EXPERIMENT = Photographs()
