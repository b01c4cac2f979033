"""CompressAI's import, without what is not needed of it and with all of it once it is."""

import subprocess
import sys

import pytest

SLOW = "torchvision", "torch_geometric", "scipy.stats._continuous_distns"
LISTED = "from compressai.registry import TRANSFORMS; print(sorted(TRANSFORMS))"


def printed(code: str) -> list[str]:
    """The lines that a process of its own prints."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def put_off() -> list[str]:
    """What is loaded once wrapping is imported, and all transforms once they are asked for."""
    return printed(
        f"import latentopt.zoo, sys; latentopt.wrap; print(set({SLOW}) & set(sys.modules));"
        "import compressai.datasets, inspect;"
        "inspect.getsource(compressai.datasets);"
        "from compressai.transforms import *; from compressai.datasets import ImageFolder;"
        "from compressai.datasets.rawvideo import RawVideoSequence;"
        "import scipy.stats, torchvision; scipy.stats.norm.ppf(0.9), RGB2YCbCr;" + LISTED
    )


@pytest.fixture(scope="module")
def compressai_first() -> list[str]:
    """All transforms, and whether what they need is still there after our import."""
    return printed(
        f"import compressai.transforms; {LISTED};"
        "import latentopt.zoo, sys; print('torch_geometric' in sys.modules)"
    )


def test_wrapping_imports_nothing_of_point_clouds(put_off: list[str]) -> None:
    assert put_off[0] == "set()"


def test_what_was_put_off_is_there_when_it_is_asked_for(
    put_off: list[str], compressai_first: list[str]
) -> None:
    assert put_off[1] == compressai_first[0]


def test_it_changes_nothing_where_compressai_was_imported_before(
    compressai_first: list[str],
) -> None:
    assert compressai_first[1] == "True"
