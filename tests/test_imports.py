"""CompressAI's import, without what is not needed of it and with all of it once it is."""

import subprocess
import sys

SLOW = "torchvision", "torch_geometric", "scipy.stats._continuous_distns"
LISTED = "from compressai.registry import TRANSFORMS; print(sorted(TRANSFORMS))"


def printed(code: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_wrapping_imports_nothing_of_point_clouds() -> None:
    code = f"import latentopt.zoo, sys; latentopt.wrap; print(set({SLOW}) & set(sys.modules))"
    assert printed(code) == "set()\n"


def test_what_was_put_off_is_there_when_it_is_asked_for() -> None:
    code = (
        "import latentopt.zoo, compressai.datasets, inspect;"
        "inspect.getsource(compressai.datasets);"
        "from compressai.transforms import *; from compressai.datasets import ImageFolder;"
        "from compressai.datasets.rawvideo import RawVideoSequence;"
        "import scipy.stats, torchvision; scipy.stats.norm.ppf(0.9), RGB2YCbCr;"
    )
    assert printed(code + LISTED) == printed("import compressai.transforms;" + LISTED)


def test_it_changes_nothing_where_compressai_was_imported_before() -> None:
    code = "import compressai, latentopt.zoo, sys; print('torch_geometric' in sys.modules)"
    assert printed(code) == "True\n"
