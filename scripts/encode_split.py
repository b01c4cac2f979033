"""Where an encoder's time goes: CPU seconds of each part, as shares of CompressAI's whole encode.

Run: python scripts/encode_split.py [--codec tiny-mbt2018-mean] [--quality 3] [--presets fast]
     python scripts/encode_split.py --codec bmshj2018-factorized --weights FILE --format compressai
Of several encodes of each image the one that took least counts; a part's time is its own, without
that of parts within it. One thread, one process, so that a busy machine slows all of it alike.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from importlib import import_module
from typing import Any
from unittest.mock import patch

import torch
from common import add_codec, add_images, head, images, line, load, run

import latentopt
from latentopt.codec.formats import NATIVE, OWN

PARTS = {
    "codec.encode.Draft.analysis": "analysis",
    "adapters.side.SideAdapter.deeper": "hyper-analysis",
    "adapters.side.SideAdapter.walk": "hyper-synthesis",
    "encoder.side_search.MainBits.gradient": "gradients of the side latent",
    "encoder.side_search.SideSearch.choose": "search of the side latent, the rest",
    "encoder.refine.Objective.pull": "gradients through the synthesis",
    "encoder.refine.Field.mean": "means of random points",
    "encoder.annealer.fit_corrections": "scale corrections",
    "encoder.annealer._Fields._made": "levels, vectors, prices",
    "encoder.choice.Cheapest.__call__": "cheapest points",
    "latents.lattice.channel.LatticeChannel.nearest": "nearest points",
    "latents.lattice.context.adaptation.Context.cross": "context",
    "latents.lattice.channel.LatticeChannel.send": "crossing, the rest",
    "latents.lattice.latent.Latent.bits": "pricing",
    "latents.lattice.latent.Latent.string": "strings",
    "codec.encode.Encoder._picture": "decoding, about",
    "codec.encode.Encoder._cost": "verification, the rest",
    "codec.encode.fit": "the filter's fit",
    "codec.own_coder.OwnCoder.compress": "the model's own coder",
    "codec.own_coder.OwnCoder.decoded": "the model's own decoder",
}
"""What is timed, within the package."""


class Split:
    """Seconds of each part, by name, and how often it was entered."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self._within = [0.0]  # of the parts within each that is under way

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        @wraps(work)
        def run(*args: object, **kwargs: object) -> object:
            start = time.process_time()
            self._within.append(0.0)
            try:
                return work(*args, **kwargs)
            finally:
                took = time.process_time() - start
                self.seconds[name] = self.seconds.get(name, 0) + took - self._within.pop()
                self.calls[name] = self.calls.get(name, 0) + 1
                self._within[-1] += took

        return run


@contextmanager
def splitting() -> Iterator[Split]:
    """Times all parts while it lasts."""
    split, patches = Split(), []
    for path, name in PARTS.items():
        owner, attribute = _found(path)
        timed = split.timed(name, getattr(owner, attribute))
        patches.append(patch.object(owner, attribute, timed))
    for each in patches:
        each.start()
    try:
        yield split
    finally:
        for each in patches:
            each.stop()


def _found(path: str) -> tuple[Any, str]:
    """The module or class of ``path``, and what is meant of it."""
    *names, attribute = path.split(".")
    owner: Any = None
    for end in range(len(names), 0, -1):
        try:
            owner = import_module(f"latentopt.{'.'.join(names[:end])}")
        except ModuleNotFoundError:
            continue
        for name in names[end:]:
            owner = getattr(owner, name)
        return owner, attribute
    raise LookupError(path)


def least(work: Callable[[], object], repeats: int) -> tuple[float, Split]:
    """CPU seconds of the quickest of several runs, after one more, and where they went."""
    work()
    found = []
    for _ in range(repeats):
        with splitting() as split:
            start = time.process_time()
            work()
            found.append((time.process_time() - start, split))
    return min(found, key=lambda one: one[0])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_codec(parser, "tiny-mbt2018-mean", quality=3)
    parser.add_argument("--presets", nargs="+", default=["fast", "default"])
    parser.add_argument("--format", choices=[OWN, NATIVE], default=OWN)
    parser.add_argument("--repeats", type=int, default=5)
    add_images(parser, "kodak", limit=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    model = load(args).eval()
    for x in images(args):
        with torch.no_grad():
            own, _ = least(partial(model.compress, x), args.repeats)
        print(f"\n{args.codec}, {tuple(x.shape[-2:])}: CompressAI {own:.3f} s\n")
        for preset in args.presets:
            codec = latentopt.wrap(model, preset=preset, format=args.format)
            report(preset, own, *least(partial(codec.compress, x), args.repeats))


def report(preset: str, own: float, whole: float, split: Split) -> None:
    """A table of the parts, the longest first."""
    print(head(f"`{preset}`", "times", "seconds", "of CompressAI's"))
    for name, seconds in sorted(split.seconds.items(), key=lambda one: -one[1]):
        print(line(name, str(split.calls[name]), f"{seconds:.3f}", f"{seconds / own:.2f}"))
    rest = whole - sum(split.seconds.values())
    print(line("the rest", "", f"{rest:.3f}", f"{rest / own:.2f}"))
    print(line("in all", "", f"{whole:.3f}", f"{whole / own:.2f}"))


if __name__ == "__main__":
    run(main)
