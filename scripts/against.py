"""This checkout against another one: are their streams the same, and how do their times compare?

Run: python scripts/against.py --other PATH --images FILE… [--codec mbt2018-mean --weights FILE]
One process for each checkout; they take turns image by image, so that both meet the same machine.
Prints the median over the images of the ratio of seconds (this one's over the other's), and how
many streams differ. The other checkout needs `latentopt.wrap` and `latentopt.zoo.load`, no more.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

_WORKER = """
import hashlib, json, sys, time
import numpy as np, torch
from PIL import Image
import latentopt
torch.set_num_threads(1)
say = sys.stdout
sys.stdout = sys.stderr
codec, quality, weights, configs = json.loads(sys.argv[1])
model = latentopt.zoo.load(codec, quality, weights)
codecs = {name: latentopt.wrap(model, **words) for name, words in configs.items()}
print("ready", file=say, flush=True)
for line in sys.stdin:
    name, path = json.loads(line)
    pixels = np.asarray(Image.open(path).convert("RGB"))
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
    start = time.perf_counter()
    out = codecs[name].compress(x)
    middle = time.perf_counter()
    codecs[name].decompress(out["strings"], out["shape"])
    end = time.perf_counter()
    digest = hashlib.sha256(b"|".join(s for part in out["strings"] for s in part)).hexdigest()
    print(json.dumps([middle - start, end - middle, digest]), file=say, flush=True)
"""
CONFIGS: dict[str, dict[str, object]] = {
    "oct+shift": {"quant": "oct", "shift": True},
    "default": {"preset": "default"},
}


class Checkout:
    """A process that codes images with one checkout's code."""

    def __init__(self, path: Path, given: tuple[str, int | None, str | None]):
        argument = json.dumps([*given, CONFIGS])
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _WORKER, argument],
            env=os.environ | {"PYTHONPATH": str(path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def code(self, config: str, path: Path) -> tuple[float, float, str]:
        """Seconds to encode and to decode an image, and a hash of its strings."""
        assert self._process.stdin is not None
        print(json.dumps([config, str(path)]), file=self._process.stdin, flush=True)
        encode_s, decode_s, digest = json.loads(self._answer())
        return encode_s, decode_s, digest

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a checkout failed: see above")
        return line


def compare(here: Checkout, there: Checkout, config: str, paths: list[Path]) -> str:
    """A line of figures for one configuration."""
    ratios, differing = [], 0
    for checkout in (here, there):
        checkout.code(config, paths[0])  # what is made on first use is not counted
    for i, path in enumerate(tqdm(paths, desc=config, disable=None)):
        order = (here, there) if i % 2 else (there, here)
        taken = {checkout: checkout.code(config, path) for checkout in order}
        (encode_s, decode_s, own), (other_encode_s, other_decode_s, other) = (
            taken[checkout] for checkout in (here, there)
        )
        ratios.append((encode_s / other_encode_s, decode_s / other_decode_s))
        differing += own != other
    encode, decode = (statistics.median(column) for column in zip(*ratios))
    return (
        f"{config:10} encode {encode:.3f}, decode {decode:.3f} of the other's time; "
        f"{differing} of {len(paths)} streams differ"
    )


def main(argv: list[str] | None = None) -> None:
    """Print a line for each configuration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other", type=Path, required=True, help="the other checkout")
    parser.add_argument("--codec", default="tiny-mbt2018-mean")
    parser.add_argument("--quality", type=int)
    parser.add_argument("--weights", help="a checkpoint instead of a quality")
    parser.add_argument("--images", nargs="+", type=Path, required=True, help="image files")
    parser.add_argument("--configs", nargs="+", default=list(CONFIGS), choices=CONFIGS)
    args = parser.parse_args(argv)
    quality = args.quality if args.quality or args.weights else 3
    given = (args.codec, quality, args.weights)
    here, there = (Checkout(path, given) for path in (Path.cwd(), args.other))
    for config in args.configs:
        print(compare(here, there, config, args.images), flush=True)


if __name__ == "__main__":
    main()
