"""Decode thousands of corrupt files: each must end in BitstreamError, fast and in little memory.

Run: python scripts/fuzz.py [--count 10000]
Four kinds of damage in turn: bytes changed, file truncated, and strings, or the fields of a header,
changed under a checksum that is made to fit again, which is what reaches the entropy decoder, and
the reader of fields. A file of these kinds may also decode, to some other picture: nothing in it
says that it is not what the encoder wrote.
"""

import argparse
import re
import resource
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from common import run, seconds, untrained
from compressai.models import (
    CompressionModel,
    FactorizedPrior,
    JointAutoregressiveHierarchicalPriors,
    MeanScaleHyperprior,
    ScaleHyperprior,
)
from tqdm import tqdm

import latentopt
from latentopt import BitstreamError, Codec, Container
from latentopt.bench.datasets import resolve
from latentopt.bitstream import Origin
from latentopt.media.images import read_image

MODELS: tuple[Callable[[int, int], CompressionModel], ...] = (
    FactorizedPrior,
    ScaleHyperprior,
    MeanScaleHyperprior,
    JointAutoregressiveHierarchicalPriors,
)
HEIGHT, WIDTH = 96, 128
KINDS = ("changed", "truncated", "resealed", "fields")
FIELDS = slice(17, 33)
"""Where a header of version 2 has its fields, and some bytes of what follows."""
ORIGIN = Origin("tiny-mbt2018-mean", 3, step=1.4)


def damage(data: bytes, kind: str, strings: int, generator: np.random.Generator) -> bytes:
    """A corrupt version of a file, of one of the ``KINDS``."""
    if kind == "truncated":
        return data[: generator.integers(0, len(data))]
    if kind == "changed":
        return _change(data, generator)
    if kind == "fields":
        fields = _change(data[FIELDS], generator)
        body = data[: FIELDS.start] + fields + data[FIELDS.stop : -4]
        return body + zlib.crc32(body).to_bytes(4, "little")
    container = Container.from_bytes(data, strings)
    damaged = list(container.strings)
    which = generator.integers(0, strings)
    damaged[which] = _change(damaged[which], generator)
    return replace(container, strings=tuple(damaged)).to_bytes()


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


@dataclass(frozen=True)
class Victim:
    """A codec, and a good file of it."""

    codec: Codec
    data: bytes

    def outcome(self, broken: bytes) -> str:
        """What comes of decoding a corrupt version of the file."""
        try:
            x_hat = self.codec.load_bytes(broken)
        except BitstreamError as error:
            return "BitstreamError: " + re.sub(r"\d+", "N", str(error))[:32] + "…"
        assert torch.isfinite(x_hat).all() and x_hat.shape == (1, 3, HEIGHT, WIDTH)
        return "unchanged" if broken == self.data else "decoded to an image"


def victims() -> Iterator[Victim]:
    """Codecs of each family, with a lattice of two dimensions and one of eight."""
    x = read_image(resolve("sample").paths[0])[..., :HEIGHT, :WIDTH]
    for make in MODELS:
        for quant, origin in (("hex", ORIGIN), ("e8", None)):
            model = untrained(partial(make, 8, 12))
            model.origin = origin
            codec = latentopt.wrap(model, quant)
            data = codec.save_bytes(x)
            codec.load_bytes(data)  # what a good file needs is not counted
            yield Victim(codec, data)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    generator = np.random.default_rng(args.seed)
    each = list(victims())
    before, outcomes, slowest = peak_mb(), Counter[tuple[str, str]](), 0.0
    for i in tqdm(range(args.count), disable=None):
        victim, kind = each[i % len(each)], KINDS[i // len(each) % len(KINDS)]
        broken = damage(victim.data, kind, victim.codec.string_count, generator)
        took, outcome = seconds(partial(victim.outcome, broken))
        slowest = max(slowest, took)
        outcomes[kind, outcome] += 1
    for (kind, outcome), n in sorted(outcomes.items()):
        print(f"{n:6}  {kind:10} {outcome}")
    grown = f"memory grew by {peak_mb() - before:.0f} MB"
    print(f"{args.count} corrupt files; slowest {slowest:.3f} s; {grown}")


if __name__ == "__main__":
    run(main)
