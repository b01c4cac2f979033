"""Decode thousands of corrupt files: each must end in BitstreamError, fast and in little memory.

Run: python scripts/fuzz.py [--count 10000]
Three kinds of damage in turn: bytes changed, file truncated, and strings changed under a checksum
that is made to fit again, which is what reaches the entropy decoder. A file of the third kind may
also decode, to some other picture: nothing in it says that it is not what the encoder wrote.
"""

import argparse
import dataclasses
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import latentopt
from latentopt import BitstreamError, Container

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from support.models import FAMILIES, photo, tiny


def damage(data: bytes, kind: int, strings: int, generator: np.random.Generator) -> bytes:
    """A corrupt version of a file; ``kind`` 0: bytes changed, 1: truncated, 2: resealed."""
    if kind == 1:
        return data[: generator.integers(0, len(data))]
    if kind == 0:
        return _change(data, generator)
    container = Container.from_bytes(data, strings)
    damaged = list(container.strings)
    which = generator.integers(0, strings)
    damaged[which] = _change(damaged[which], generator)
    return dataclasses.replace(container, strings=tuple(damaged)).to_bytes()


def _change(data: bytes, generator: np.random.Generator) -> bytes:
    """One to eight bytes replaced, or a stretch removed, doubled or filled with noise."""
    out = bytearray(data)
    at = int(generator.integers(0, len(out)))
    length = int(generator.integers(1, 1 + len(out) - at))
    match int(generator.integers(0, 4)):
        case 0:
            for _ in range(int(generator.integers(1, 9))):
                out[generator.integers(0, len(out))] ^= int(generator.integers(1, 256))
        case 1:
            del out[at : at + length]
        case 2:
            out[at:at] = out[at : at + length]
        case 3:
            out[at : at + length] = generator.bytes(length)
    return bytes(out)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    generator = np.random.default_rng(args.seed)
    victims = []
    for family, cls in FAMILIES.items():
        for quant in ("hex", "e8"):
            codec = latentopt.wrap(tiny(cls), quant)
            with tempfile.TemporaryDirectory() as folder:
                codec.save(Path(folder) / "x.lo", photo(96, 128))
                data = (Path(folder) / "x.lo").read_bytes()
            codec.load_bytes(data)  # what a good file needs is not counted
            victims.append((f"{family} {quant}", codec, data))
    before, outcomes, slowest = peak_mb(), Counter(), 0.0
    for i in tqdm(range(args.count), disable=None):
        _, codec, data = victims[i % len(victims)]
        kind = i // len(victims) % 3
        broken = damage(data, kind, codec.string_count, generator)
        start = time.perf_counter()
        try:
            x_hat = codec.load_bytes(broken)
            outcome = "unchanged" if broken == data else "decoded to an image"
            assert torch.isfinite(x_hat).all() and x_hat.shape == (1, 3, 96, 128)
        except BitstreamError as error:
            outcome = "BitstreamError: " + str(error)[:32] + "…"
        slowest = max(slowest, time.perf_counter() - start)
        outcomes[("changed", "truncated", "resealed")[kind], outcome] += 1
    for (kind, outcome), n in sorted(outcomes.items()):
        print(f"{n:6}  {kind:10} {outcome}")
    print(f"{args.count} corrupt files; slowest {slowest:.3f} s; "
          f"memory grew by {peak_mb() - before:.0f} MB")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
