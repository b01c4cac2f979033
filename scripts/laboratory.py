"""The folder of real data that stands beside a checkout in the laboratory."""

import os
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def use_laboratory_data() -> None:
    """Let named data sets be found there, where it exists and $LATENTOPT_DATA names no other."""
    if DATA.is_dir():
        os.environ.setdefault("LATENTOPT_DATA", str(DATA))
