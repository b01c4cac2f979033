"""Figure 4c: what the shift gains, against how its direction correlates with the true gradient."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tables.common.experiment import Cell, Experiment, Request, missing
from tables.common.latents import View, best_alone, plain
from tables.common.plots import canvas, save
from tables.common.probes import Measure, Probe, curve, db, label, probed
from tables.latent_shift import PAPER

ALL = "all rate points"
PUBLISHED = -0.76


def prepare(model: nn.Module) -> Measure:
    """Correlation of both gradients over the elements of the latent, and the shift's gain."""
    codec = plain(model)

    def measure(x: Tensor) -> dict[str, float]:
        view = View(codec, x)
        entropy, distortion = view.decodable("density"), view.error_gradient()
        gain = db(best_alone(view, entropy)[1] / view.error(view.y_hat))
        return {"correlation": correlation(entropy, distortion), "gain_db": gain}

    return measure


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's, over all elements."""
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]).double())[0, 1])


PROBE = Probe("correlation", ("correlation", "gain_db"), prepare)


def points(request: Request) -> pd.DataFrame:
    """Means over the images, per codec and rate point."""
    of_codecs = []
    for subject in request.subjects:
        rows = probed(PROBE, subject, request)
        means = curve(rows, PROBE.quantities)
        of_codecs.append(means.assign(label=label(subject, rows, request)))
    return pd.concat(of_codecs) if of_codecs else pd.DataFrame(columns=["label", *PROBE.quantities])


class Figure4c(Experiment):
    """One dot per codec and rate point: mean correlation, and mean gain of the shift in dB."""

    name = "figure4c"
    title = "gain of the shift against the gradients' correlation"
    source = f"{PAPER}, Figure 4c"
    notes = (
        "Correlation: Pearson's over the elements of a latent, of the gradient of −log density "
        "and that of the squared error, both at the rounded latent; means over the images. Gain: "
        "PSNR after one step along the former, less before. The last row has the coefficient "
        "between the two over all rate points of all codecs.",
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        found = points(request)
        for name, part in found.groupby("label", sort=False):
            yield Cell(str(name), "correlation", float(part["correlation"].mean()), None, "")
            yield Cell(str(name), "gain", float(part["gain_db"].mean()), None, "dB")
        for subject in request.subjects:
            if probed(PROBE, subject, request).empty:
                yield from missing(subject, {"correlation": ""}, {})
        enough = len(found) > 2
        value = np.corrcoef(found["correlation"], found["gain_db"])[0, 1] if enough else math.nan
        yield Cell(ALL, "correlation", float(value), PUBLISHED, "", f"of {len(found)} dots")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        figure, [axes] = canvas()
        for name, part in points(request).groupby("label", sort=False):
            axes.plot(part["correlation"], part["gain_db"], "o", label=name)
        axes.set(xlabel="correlation of the gradients", ylabel="gain of the shift, dB")
        axes.set_title(self.title)
        axes.legend()
        save(figure, path)


EXPERIMENT = Figure4c()
