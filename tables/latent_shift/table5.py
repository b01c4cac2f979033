"""Table 5: what hex and oct gain in image and latent, without a coder's losses."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from torch import Tensor, nn

from tables.common.experiment import Cell, CodecExperiment, Request, attempt
from tables.common.harness import bd_psnr, bd_rate
from tables.common.latents import View, plain
from tables.common.plots import bars
from tables.common.probes import Measure, Probe, curve, db, label, probed
from tables.common.subjects import Subject
from tables.latent_shift import PAPER

LATTICES = ("hex", "oct", "e8")
COLUMNS = {"BD-PSNR": "dB", "BD-SNR": "dB", "BD-rate": "%"}
"""Column and unit."""

_QUANTITIES = ("bpp", "psnr_db", "snr_db")
PUBLISHED = {
    "mbt2018-mean": {
        "hex": {"BD-PSNR": 0.0374, "BD-SNR": 0.0600, "BD-rate": -0.748},
        "oct": {"BD-PSNR": 0.0480, "BD-SNR": 0.0736, "BD-rate": -0.957},
    }
}


def prepare(model: nn.Module) -> Measure:
    """Ideal rate, PSNR, and SNR of the latent, with each lattice."""
    codecs = {name: plain(model, name) for name in ("int", *LATTICES)}

    def measure(x: Tensor) -> dict[str, float]:
        found = {}
        for name, codec in codecs.items():
            view = View(codec, x)
            noise = float((view.y - view.y_hat).square().mean())
            found[f"{name} bpp"] = view.bits / view.pixels
            found[f"{name} psnr_db"] = db(view.error(view.y_hat))
            found[f"{name} snr_db"] = db(noise, float(view.y.square().mean()))
        return found

    return measure


PROBE = Probe(
    "lattices", tuple(f"{n} {q}" for n in ("int", *LATTICES) for q in _QUANTITIES), prepare
)


class Table5(CodecExperiment):
    """BD differences of the means, against rounding."""

    name = "table5"
    title = "lattices with ideal rates, against rounding"
    source = f"{PAPER}, Table 5 (Kodak)"
    notes = (
        "Ideal rates: −log2 of the probabilities of all points, side latent included. SNR is the "
        "latent's energy over its quantization error; PSNR is of the decoded image before it is "
        "rounded to 8 bits.",
    )
    columns = COLUMNS

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        published = PUBLISHED.get(subject.architecture, {}) if request.data == "kodak" else {}
        rows = probed(PROBE, subject, request)
        means = curve(rows, PROBE.quantities)
        if means.empty:
            return
        for name in LATTICES:
            known = published.get(name, {})
            row = f"{label(subject, rows, request)}: {name}"
            for column, found in zip(COLUMNS, _differences(means, name)):
                yield Cell(row, column, found[0], known.get(column), COLUMNS[column], found[1])

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        bars([c for c in cells if c.column == "BD-rate"], path, self.title)


def _differences(means: pd.DataFrame, name: str) -> Iterator[tuple[float, str]]:
    """What `COLUMNS` say, of a lattice."""
    base, psnr, snr = (means[f"int {q}"].to_numpy() for q in _QUANTITIES)
    own, own_psnr, own_snr = (means[f"{name} {q}"].to_numpy() for q in _QUANTITIES)
    yield attempt(lambda: bd_psnr(base, psnr, own, own_psnr))
    yield attempt(lambda: bd_psnr(base, snr, own, own_snr))
    yield attempt(lambda: bd_rate(base, psnr, own, own_psnr))


EXPERIMENT = Table5()
