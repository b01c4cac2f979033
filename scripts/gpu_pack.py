"""Put what scripts/gpu_session.sh needs on a machine without network into one folder, small.

Run: python scripts/gpu_pack.py [--to .gpu] [--python 3.12] [--no-wheels]
Wheels of the versions that are installed here, for Linux on x86-64, of what an environment with
PyTorch and the usual packages lacks; CompressAI as source, as it has no such wheels. Photographs
to train on as JPEG of high quality, the first images of the test set, and the best weights.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from common import run
from laboratory import DATA
from PIL import Image

from latentopt.bench import datasets
from latentopt.errors import DataError, InputError

WHEELS = (
    *("autoray", "bjontegaard", "constriction", "loguru"),
    *("pytorch-msssim", "pytorch-optimizer", "torchquad"),
)
SOURCES = ("compressai",)
PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux1")
QUALITY = 95
"""Of JPEG without subsampling: about 44 dB, far above what any of the codecs reaches."""
CODEC = "tiny-mbt2018-mean"


def download(folder: Path, python: str) -> None:
    """Packages for CPython of a version."""
    platforms = [f"--platform={name}_x86_64" for name in PLATFORMS]
    target = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    _pip(folder, WHEELS, *target, *platforms)
    _pip(folder, SOURCES, "--no-binary=:all:", "--no-build-isolation")


def _pip(folder: Path, names: Sequence[str], *options: str) -> None:
    pinned = [f"{name}=={version(name)}" for name in names]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    try:
        subprocess.run([*pip, *options, *pinned], check=True)
    except subprocess.CalledProcessError as error:
        raise DataError(f"pip cannot download {', '.join(pinned)}: see above") from error


def shrink(files: Sequence[Path], folder: Path) -> None:
    """Photographs as JPEG; their order, by which some are held out, stays."""
    for file in files:
        image = Image.open(file).convert("RGB")
        image.save(folder / f"{file.stem}.jpg", quality=QUALITY, subsampling=0, optimize=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=Path(".gpu"), help="default: .gpu")
    parser.add_argument("--data", default=str(DATA / "clic"), help="photographs to train on")
    parser.add_argument("--test", default="kodak", help="images to measure on")
    parser.add_argument("--limit", type=int, default=8, help="how many of these (default: 8)")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--wheels", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--python", default="3.12", help="version there (default: 3.12)")
    args = parser.parse_args(argv)
    if args.to.exists():
        raise InputError(f"{args.to} exists already: delete it, or name another folder")
    # Half a pack would be taken for a whole one
    with tempfile.TemporaryDirectory(prefix=".pack-", dir=args.to.absolute().parent) as made:
        whole = pack(Path(made) / "whole", args)
        size = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())
        whole.rename(args.to)
    print(f"{args.to}: {size / 2**20:.1f} MiB")


def pack(to: Path, args: argparse.Namespace) -> Path:
    """Make the folder, and all that is in it."""
    photographs, images, runs = (to / name for name in ("photographs", "images", "runs"))
    for folder in (photographs, images, runs):
        folder.mkdir(parents=True)
    if args.wheels:
        download(to / "wheels", args.python)
    shrink(datasets.resolve(args.data).paths, photographs)
    for path in datasets.resolve(args.test).first(args.limit).paths:
        shutil.copy(path, images)
    for path in args.runs.glob(f"{CODEC}-?.best.pt"):
        shutil.copy(path, runs)
    return to


if __name__ == "__main__":
    run(main)
