"""Peak memory and CPU seconds of encoding and decoding large images, a process for each.

Run: python scripts/memory.py [--megapixels 12 48] [--presets none default]
Images are photographs side by side; memory is the process's largest resident set.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from common import run
from torch import Tensor

import latentopt
from latentopt import zoo
from latentopt.bench import datasets
from latentopt.media.images import read_image

_PLAIN = "none"
_HEAD = f"{'pixels':>12} {'preset':>8} {'verb':>7} {'peak MiB':>9} {'CPU s':>7} {'bytes':>10}"


def main() -> None:
    args = _arguments()
    if args.child:
        return _measure(args, *args.child)
    print(_HEAD)
    for megapixels in args.megapixels:
        for preset in args.presets:
            with tempfile.TemporaryDirectory() as folder:
                path = str(Path(folder) / "photo.lo")
                for verb in ("encode", "decode"):
                    words = ["--child", verb, str(megapixels), preset, path]
                    subprocess.run([sys.executable, *sys.argv, *words], check=True)


def _measure(args: argparse.Namespace, verb: str, megapixels: str, preset: str, path: str) -> None:
    model = zoo.load(args.codec, args.quality)
    plain = preset == _PLAIN
    codec = latentopt.wrap(model, quant="int", shift=False) if plain else None
    codec = codec or latentopt.wrap(model, preset=preset)
    width = round((float(megapixels) * 4 / 3) ** 0.5 * 1000)
    size = height, width = width * 3 // 4, width
    if verb == "encode":
        codec.save(path, mosaic(datasets.resolve(args.data).paths, size))
    else:
        codec.load(path)
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak, seconds = used.ru_maxrss / 1024, used.ru_utime + used.ru_stime
    written = Path(path).stat().st_size
    what = f"{width}x{height}"
    print(f"{what:>12} {preset:>8} {verb:>7} {peak:9.0f} {seconds:7.1f} {written:10}", flush=True)


def mosaic(paths: Sequence[Path], size: tuple[int, int]) -> Tensor:
    """Photographs in rows, cut to a picture (1, 3, H, W)."""
    out, row, number = torch.empty(1, 3, *size), 0, 0
    while row < size[0]:
        column, tall = 0, size[0] - row
        while column < size[1]:
            tile = read_image(paths[number % len(paths)])[..., :tall, : size[1] - column]
            number += 1
            tall = tile.shape[-2]
            out[..., row : row + tall, column : column + tile.shape[-1]] = tile
            column += tile.shape[-1]
        row += tall
    return out


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[12, 48])
    parser.add_argument("--presets", nargs="+", default=[_PLAIN, "default"])
    parser.add_argument("--codec", default="tiny-mbt2018-mean")
    parser.add_argument("--quality", type=int, default=3)
    parser.add_argument("--data", default="clic2020", help="photographs (default: clic2020)")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
