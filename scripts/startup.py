"""CPU seconds of commands, most of which are imports; a folder of images against one call each.

Run: python scripts/startup.py [--image PNG] [--folder DIR --count 100]

Each command is a process of its own; its CPU seconds, unlike those of a clock, hardly depend on
what else the machine does. Of the folder the first COUNT images are coded in one call, and the
first few of them by a call each.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from shutil import copy
from time import perf_counter

from laboratory import use_laboratory_data

from latentopt.bench import datasets
from latentopt.media import IMAGE_SUFFIXES

CODEC = "--codec tiny-mbt2018-mean --quality 3"
COMMANDS = (
    "--help",
    "zoo list",
    "encode photo.png --codec mbt2018-maen",
    f"encode photo.png -o plain.lo --preset plain {CODEC}",
    f"encode photo.png -o photo.lo {CODEC}",
    f"encode photo.png -o photo.bin --format compressai --preset fast {CODEC}",
    "info photo.lo",
    "info photo.bin",
    "explain photo.lo",
    "decode photo.lo -o decoded.png",
    "compare photo.png decoded.png",
)
SINGLE = 4  # calls of one image each


def spent(words: Sequence[str], folder: Path) -> tuple[float, float, int]:
    """CPU seconds, seconds and exit code of one command."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    command = [sys.executable, "-W", "ignore", "-m", "latentopt", *words]
    code = subprocess.run(command, cwd=folder, capture_output=True).returncode
    took, after = perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return cpu, took, code


def show_commands(image: Path, folder: Path) -> None:
    copy(image, folder / "photo.png")
    for line in COMMANDS:
        cpu, took, code = spent(line.split(), folder)
        print(f"{cpu:7.2f} CPU s {took:7.2f} s, exit code {code}: latentopt {line}", flush=True)


def show_folder(images: Sequence[Path], folder: Path) -> None:
    source = folder / "photos"
    source.mkdir()
    for image in images:
        copy(image, source)
    cpu, took, code = spent(["encode", "photos", "-o", "coded"], folder)
    count = len(images)
    print(
        f"{count} images in one call: {cpu / count:.2f} CPU s, {took / count:.2f} s each ({code})"
    )
    calls = [spent(["encode", str(i), "-o", "one.lo"], folder) for i in images[:SINGLE]]
    cpu, took = (sum(column) / len(calls) for column in list(zip(*calls))[:2])
    print(f"a call for each: {cpu:.2f} CPU s, {took:.2f} s each (mean of {len(calls)})")


def main() -> None:
    use_laboratory_data()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, help="default: the first of Kodak")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--count", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        show_commands((args.image or datasets.resolve("kodak").paths[0]).resolve(), folder)
        if args.folder:
            found = sorted(p for p in args.folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
            show_folder([path.resolve() for path in found[: args.count]], folder)


if __name__ == "__main__":
    main()
