"""Figure 3: one stream of handwritten digits, cut, one-hot max against integers."""

from collections.abc import Iterator

from latentopt import Codec
from tables.common.experiment import Cell, Request
from tables.common.places import LAB
from tables.onehot.codecs.cuts import SOURCE, Cuts
from tables.onehot.codecs.cutting import Cut, curve
from tables.onehot.codecs.digits import cut_out, digits, sheet

CODECS = {
    **{
        f"OHM, C_min {least}, lambda {span}": f"mnist-ohm-{least}-{letter}"
        for least in (8, 0)
        for letter, span in (("a", ".95 … .9999"), ("b", ".9 … .9999"), ("c", ".85 … .9"))
    },
    **{f"INT, C {maps}": f"mnist-int-{maps}" for maps in (8, 16, 32)},
    "INT, C 32, as all began": "mnist-start",
}
"""By the rows of the table, those of Figure 3a and then 3b."""

_DIGITS, _COLUMNS = 256, 16


class Digits(Cuts):
    """Figures 3a and 3b."""

    name = "onehot_digits"
    medium = None
    drawn = f"the first {_DIGITS} digits of MNIST's test set, on one sheet"
    title = "Digits: streams of feature maps, cut"
    source = f"{SOURCE}, Figures 3a and 3b, whose curves have no numbers"
    notes = (
        "Of bytes that are written, per pixel of the digits: a sheet of digits is one file, 4 "
        "pixels of black between them that count for nothing. The paper codes digit by digit; a "
        "header of 38 bytes would be 0.4 bpp there. S = 256, 16 maps; integers in as many maps as "
        "said, trained alike. All begin with the transforms of the last row.",
    )
    rates = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 1.6)

    def cells(self, request: Request) -> Iterator[Cell]:
        def measure(codec: Codec) -> list[Cut]:
            test = digits(LAB / "data" / "mnist.npz", "test")[:_DIGITS]
            return curve(codec, [sheet(test, _COLUMNS)], pixels=cut_out)

        yield from self.trained_cells(CODECS, "mnist", 1, request, measure)


EXPERIMENT = Digits()
