"""scripts/latent_noise.py: shares are of a whole, and a lattice against itself changes nothing."""

from pathlib import Path

import pytest
import torch
from latent_noise import EDGES, compared
from support.models import photo

from latentopt import zoo
from latentopt.bench.datasets import Dataset
from latentopt.media.images import write_png


@torch.no_grad()
def test_bands_make_up_the_whole(tmp_path: Path) -> None:
    write_png(tmp_path / "x.png", photo(96, 128))
    images, model = Dataset("toy", (tmp_path / "x.png",)), zoo.load("tiny-mbt2018-mean", 4)
    same, e8 = (compared(model, lattice, images) for lattice in ("int", "e8"))
    assert len(same) == len(EDGES) + 1
    changes = [c for c in same if c.endswith("change")]
    assert (same[changes] == 0).all(axis=None) and (e8[changes] != 0).any(axis=None)
    shares = [c for c in same if c.endswith("share")]
    assert same.loc["all", ["elements", *shares]].to_numpy() == pytest.approx(100)
    assert e8.loc["all", "latent change"] < 0  # its second moment is the least
