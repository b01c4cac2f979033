"""Fixtures that several tests share: real images and weights, a small model of each family."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import latentopt  # noqa: F401 - first: it has CompressAI imported without what takes seconds

# isort: split
import pytest
import torch
from compressai.models import MeanScaleHyperprior
from laboratory import use_laboratory_data
from support.models import FAMILIES, tiny
from support.once import Shelf, integrate_once, keep_dithers, load_once, measure_once, price_once
from torch import Tensor, nn

from latentopt import zoo
from latentopt.media.images import read_image

SHARED = Path("../shared")

use_laboratory_data()
torch.set_num_threads(1)  # small tensors: threads would wait for each other


def pytest_collection_finish() -> None:
    """Modules and thousands of tests stay: nobody need look for garbage among them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def densities_are_worked_out_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shelf"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for once in (integrate_once, price_once, measure_once):
            once(patch, Shelf(folder))
        load_once(patch)
        keep_dithers(patch)
        yield


@pytest.fixture(params=FAMILIES)
def tiny_model(request: pytest.FixtureRequest) -> nn.Module:
    """One tiny model of each supported family."""
    return tiny(FAMILIES[request.param])


@pytest.fixture(scope="session")
def tiny_mean() -> nn.Module:
    return tiny(MeanScaleHyperprior)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("../shared is absent")
    return SHARED


@pytest.fixture(scope="session")
def kodak(shared: Path) -> list[Path]:
    return sorted((shared / "data/kodak").glob("*.png"))


@pytest.fixture(scope="session")
def kodak_crop(kodak: list[Path]) -> Tensor:
    """(1, 3, 200, 300), not a multiple of any stride."""
    return read_image(kodak[3])[..., 100:300, 50:350]


@pytest.fixture(scope="session")
def real_mean(shared: Path) -> nn.Module:
    return zoo.load("mbt2018-mean", weights=shared / "weights/lab-mean-2.pt")


@pytest.fixture(scope="session")
def real_factorized(shared: Path) -> nn.Module:
    return zoo.load("bmshj2018-factorized", weights=shared / "weights/bmshj2018-factorized-q2.pt")
