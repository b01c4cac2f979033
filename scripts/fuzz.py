"""Damage inputs of every kind by thousands: each is read or refused on purpose, fast and cheaply.

Run: python scripts/fuzz.py [--count 10000] [--kinds streams,clips]    # an hour: --count 500000
Kinds: coded streams, their containers, images, clips, checkpoints, command lines. An input that
ends in anything else, or takes too long, is a surprise: it is kept in tests/corpus, whose files are
tried first, here and by the tests, and the exit code is 1.
"""

import argparse
import hashlib
import resource
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from common import run, seconds
from fuzz_targets import TARGETS, Target, verdict
from tqdm import tqdm

KINDS = tuple(TARGETS)
CORPUS = Path(__file__).parents[1] / "tests" / "corpus"
SLOWEST_S = 20.0
"""An input that takes longer is a surprise."""


@dataclass
class Tally:
    """What came of the inputs of a kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    surprises: int = 0
    slowest: float = 0.0
    grown_mb: float = 0.0

    def lines(self, kind: str) -> list[str]:
        return [f"{n:6}  {kind:11} {outcome}" for outcome, n in sorted(self.outcomes.items())]

    def costs(self, kind: str) -> str:
        return f"{kind} {self.slowest:.2f} s, {self.grown_mb:.0f} MB"


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def attempt(target: Target, path: Path, tally: Tally) -> str | None:
    """Try one input; returns how it surprised, None where it did not."""
    before = peak_mb()
    try:
        took, outcome = seconds(partial(verdict, target, path))
    except Exception:  # which is what is looked for
        return traceback.format_exc()
    tally.outcomes[outcome] += 1
    tally.slowest = max(tally.slowest, took)
    tally.grown_mb += peak_mb() - before
    return f"took {took:.1f} s" if took > SLOWEST_S else None


def keep(kind: str, name: str, data: bytes, folder: Path) -> Path:
    """Put an input into the corpus; its name ends in that of the file that it was."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}+{hashlib.sha256(data).hexdigest()[:8]}+{name}"
    path.write_bytes(data)
    return path


def hunt(kind: str, count: int, generator: np.random.Generator, corpus: Path) -> Tally:
    """Damage inputs of a kind, and try what is in the corpus before."""
    target, tally = TARGETS[kind](), Tally()
    for path in sorted(corpus.glob(f"{kind}+*")):
        if how := attempt(target, path, Tally()):
            tally.surprises += 1
            print(f"{path}: still: {how}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        for _ in tqdm(range(count), desc=kind, disable=None):
            name, data = target.damaged(generator)
            path = Path(folder) / name
            path.write_bytes(data)
            if how := attempt(target, path, tally):
                tally.surprises += 1
                print(f"{keep(kind, name, data, corpus)}: {how}", file=sys.stderr)
    return tally


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="of all kinds together")
    parser.add_argument("--kinds", default=",".join(KINDS), help="which, between commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="where surprises are kept")
    args = parser.parse_args(argv)
    kinds = args.kinds.split(",")
    tallies: dict[str, Tally] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, kind in enumerate(kinds):
            count = args.count // len(kinds) + (i < args.count % len(kinds))
            generator = np.random.default_rng([args.seed, i])
            tallies[kind] = hunt(kind, count, generator, args.corpus)
            print("\n".join(tallies[kind].lines(kind)))
    surprises = sum(tally.surprises for tally in tallies.values())
    costs = "; ".join(tally.costs(kind) for kind, tally in tallies.items())
    print(f"{args.count} damaged inputs, {surprises} surprises; slowest and memory: {costs}")
    if surprises:
        sys.exit(1)


if __name__ == "__main__":
    run(main)
