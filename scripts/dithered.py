"""The dithered channel: round trips in a fresh process, or bytes and PSNR against rounding.

Run: python scripts/dithered.py --trips 1000   # or --trips 1000 --piece 1/10, and so on
     python scripts/dithered.py --codec tiny-mbt2018-mean --quality 2 --data kodak --limit 4
     python scripts/dithered.py --quality 1 --data kodim12.png --picture docs/img/dither.png

Trips are of random (codec, size, lattice, soft rounding, means, latents, seed): files are written
here with one thread and read in a second process with two. Decoded latents must be equal to the
last bit; pixels may differ by 1e-5, as synthesis adds up in an order that depends on the number of
threads. --rows appends a row of each trip to a file of its codec.

A picture shows a part of the first image: as it is, rounded, dithered, and with means.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path
from time import process_time

import numpy as np
import torch
from common import run, untrained, write_parts
from compressai.models import (
    CompressionModel,
    FactorizedPrior,
    JointAutoregressiveHierarchicalPriors,
    MeanScaleHyperprior,
    ScaleHyperprior,
)
from torch import Tensor

import latentopt
from latentopt import zoo
from latentopt.bench.codecs import coded_bytes
from latentopt.bench.datasets import resolve
from latentopt.bench.provenance import commit
from latentopt.bench.store import csv_line
from latentopt.codec.image import Codec
from latentopt.latents.dither import LATENTS, Dither
from latentopt.lattices import LATTICES
from latentopt.media.images import read_image

RANDOM: dict[str, Callable[[], CompressionModel]] = {
    "factorized": lambda: FactorizedPrior(8, 12),
    "hyperprior": lambda: ScaleHyperprior(8, 12),
    "mean": lambda: MeanScaleHyperprior(8, 12),
    "autoregressive": lambda: JointAutoregressiveHierarchicalPriors(8, 12),
}
EMBEDDED = ("tiny-bmshj2018-factorized", "tiny-mbt2018-mean", "tiny-mbt2018")
TOLERANCE = 1e-5
DIFFERING = "differing"
"""The file that says how many differ."""


@cache
def model(name: str) -> CompressionModel:
    """The same weights in every process."""
    return zoo.load(name, 2) if name in EMBEDDED else untrained(RANDOM[name])


@lru_cache(maxsize=1)
def kept(name: str, quant: str, alpha: float) -> Codec:
    """A codec that keeps the tables, which all seeds share: for trips that follow each other."""
    return latentopt.wrap(model(name), quant=quant, dither=Dither(0, alpha=alpha))


@dataclass(frozen=True, order=True)
class Case:
    """One trip."""

    name: str
    quant: str
    alpha: float
    mean: bool
    latents: str
    seed: int
    size: tuple[int, int]  # (H, W)

    @staticmethod
    def drawn(random: np.random.Generator) -> "Case":
        height, width = (int(side) for side in random.integers([1, 1], [130, 130]))
        quant = str(random.choice(list(LATTICES)))
        return Case(
            name=str(random.choice([*RANDOM, *EMBEDDED])),
            quant=quant,
            alpha=float(random.choice([0.0, 4.5])) if quant == "int" else 0.0,
            mean=bool(random.integers(2)),
            latents=str(random.choice(list(LATENTS))),
            seed=int(random.integers(1 << 32)),
            size=(height, width),
        )

    @property
    def codec(self) -> Codec:
        kept(self.name, self.quant, self.alpha)
        dither = Dither(self.seed, self.latents, self.alpha, mean=self.mean)
        return latentopt.wrap(model(self.name), quant=self.quant, shift=False, dither=dither)


@dataclass(frozen=True)
class Trips:
    """So many, cut into pieces of about equal size."""

    count: int
    piece: int = 1
    pieces: int = 1

    @staticmethod
    def asked(count: int, piece: str) -> "Trips":
        """Of a piece "K/N"."""
        return Trips(count, *map(int, piece.split("/")))

    @property
    def cases(self) -> list[Case]:
        """Sorted, so that those which share tables follow each other."""
        random = np.random.default_rng(0)
        drawn = sorted(Case.drawn(random) for _ in range(self.count))
        ends = [self.count * k // self.pieces for k in (self.piece - 1, self.piece)]
        return drawn[slice(*ends)]


def encode(folder: Path, cases: Sequence[Case]) -> None:
    photographs = [read_image(path) for path in resolve("sample").paths]
    for i, case in enumerate(cases):
        x = photographs[i % len(photographs)][..., : case.size[0], : case.size[1]]
        codec = case.codec
        coded = [one for [one] in codec.encode(x).values()]
        hats = [torch.from_numpy(one.latent.hat) for one in coded]
        strings = [[one.string] for one in coded]
        x_hat = codec.decompress(strings, case.size)["x_hat"]
        written = {"case": asdict(case), "strings": strings, "hats": hats, "x_hat": x_hat}
        torch.save(written, folder / f"{i:06}")


def decode(folder: Path, rows: Path | None) -> None:
    """Count, in a file beside them, the files that decode to something else."""
    torch.set_num_threads(2)
    differing = 0
    for path in sorted(folder.iterdir()):
        written = torch.load(path, weights_only=True)
        case = Case(**written.pop("case"))
        same = _is_same(case.codec, case.size, **written)
        if not same:
            differing += 1
            print(case)
        if rows:
            _note(case, same, rows / f"{case.name}.csv")
    (folder / DIFFERING).write_text(str(differing))


def _is_same(
    codec: Codec,
    size: tuple[int, int],
    strings: list[list[bytes]],
    hats: list[Tensor],
    x_hat: Tensor,
) -> bool:
    """Whether strings decode to these latents and pixels."""
    found = codec.decode([string for [string] in strings], size)
    own = [torch.from_numpy(one.latent.hat) for one in found]
    same = all(torch.equal(a, b) for a, b in zip(own, hats, strict=True))
    error = codec.decompress(strings, size)["x_hat"] - x_hat
    return same and float(error.abs().max()) <= TOLERANCE


def _note(case: Case, same: bool, path: Path) -> None:
    """Append a row to the file of a case's codec."""
    row = {**asdict(case), "size": "x".join(map(str, case.size)), "same": same}
    row["latentopt"] = commit()
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(csv_line(row) * new + csv_line(row.values()))


def trips(asked: Trips, rows: Path | None) -> int:
    torch.set_num_threads(1)
    cases = asked.cases
    with tempfile.TemporaryDirectory() as folder:
        encode(Path(folder), cases)
        fresh = [sys.executable, __file__, "--decode", folder]
        fresh += ["--rows", str(rows)] if rows else []
        subprocess.run(fresh, check=True)  # a process that dies is no difference
        failed = int((Path(folder) / DIFFERING).read_text())
    print(f"{len(cases)} combinations, {failed} not identical")
    return min(failed, 1)


def measure(codec: str, quality: int | None, weights: Path | None, paths: Sequence[Path]) -> None:
    """Bytes, PSNR and seconds (of the second of two runs), dithered and not, as a table."""
    torch.set_num_threads(1)
    trained = zoo.load(codec, quality, weights)
    images = [read_image(path) for path in paths]
    print("| lattice | dither | bpp | PSNR, dB | encode, s | decode, s |")
    print("|" + " --- |" * 6)
    for quant in LATTICES:
        for seed in (None, 0):
            own = latentopt.wrap(trained, quant=quant, shift=False, dither=seed)
            own.decompress(**own.compress(images[0]))
            rows = np.array([_measured(own, x) for x in images])
            bpp, _, *seconds = rows.mean(axis=0)
            psnr = -10 * np.log10(rows[:, 1]).mean()
            cells = [quant, "no" if seed is None else "yes", f"{bpp:.4f}", f"{psnr:.3f}"]
            print("| " + " | ".join([*cells, *(f"{s:.2f}" for s in seconds)]) + " |", flush=True)


def picture(codec: str, quality: int | None, weights: Path | None, image: Path, out: Path) -> None:
    """Parts of an image side by side: as it is, rounded, dithered, dithered and with means."""
    trained, x = zoo.load(codec, quality, weights), read_image(image)
    shown = [x]
    for dither in (None, Dither(0), Dither(0, mean=True)):
        own = latentopt.wrap(trained, quant="int", shift=False, dither=dither)
        shown.append(own(x)["x_hat"])
    write_parts(out, shown)


def _measured(codec: Codec, x: Tensor) -> tuple[float, float, float, float]:
    start = process_time()
    out = codec.compress(x)
    middle = process_time()
    x_hat = codec.decompress(**out)["x_hat"]
    seconds = middle - start, process_time() - middle
    bpp = 8 * coded_bytes(out["strings"], 0) / x[0, 0].numel()
    return bpp, float((x_hat - x).square().mean()), *seconds


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trips", type=int)
    parser.add_argument("--piece", default="1/1", metavar="K/N", help="only the K-th of N pieces")
    parser.add_argument("--rows", type=Path, help="folder for a row of each trip")
    parser.add_argument("--decode", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--codec", default="tiny-mbt2018-mean")
    parser.add_argument("--quality", type=int)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--data", default="sample")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--picture", type=Path, help="PNG to write, in place of measuring")
    args = parser.parse_args(argv)
    if args.decode:
        decode(args.decode, args.rows)
        return 0
    if args.trips:
        return trips(Trips.asked(args.trips, args.piece), args.rows)
    paths = resolve(args.data).paths[: args.limit]
    if args.picture:
        picture(args.codec, args.quality, args.weights, paths[0], args.picture)
    else:
        measure(args.codec, args.quality, args.weights, paths)
    return 0


if __name__ == "__main__":
    run(main)
