"""A folder of photographs and weights that code them, for tests of commands."""

from pathlib import Path

import pytest
import torch
from compressai.models import MeanScaleHyperprior

from latentopt.media.images import write_png
from support.models import photo, tiny

SIZES = {"a.png": (50, 70), "sub/a.png": (34, 40), "sub/deep/b.PNG": (33, 64)}
"""Height and width of each photograph."""


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a small mbt2018-mean."""
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save(tiny(MeanScaleHyperprior).state_dict(), path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images in folders, and what is none of them."""
    folder = tmp_path / "photos"
    for name, size in SIZES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(folder / name, photo(*size))
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    return folder
