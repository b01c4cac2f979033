"""The folder that a measurement is kept in."""

from pathlib import Path

from latentopt.errors import InputError

MEASUREMENTS = "measurements.csv"
"""The only file of such a folder that everything else can be made of again."""


def measurements(folder: Path) -> Path:
    """The rows of a folder; InputError where there are none."""
    path = folder / MEASUREMENTS
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one that `latentopt bdrate` wrote")
    if not path.is_file():
        raise InputError(f"{folder} holds no {MEASUREMENTS}; name what `latentopt bdrate` wrote")
    return path
