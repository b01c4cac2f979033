"""Processor time of decoding frames portably with real classes of the DCVC family, random weights.

Run: OMP_NUM_THREADS=1 python scripts/portable_timing.py --dcvc-repo PATH [--family DCVC]

A photograph of 416 x 240 that moves, a key frame and two predicted ones, `e8` without shift. What
is printed of the second predicted frame is of a decoder that is warm.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Any, cast

import dcvc_check
import torch
from common import run

import latentopt
from latentopt.adapters import adapter_class
from latentopt.adapters.dcvc_net import video
from latentopt.codec.clip_files import strings_of

_SIZE = 240, 416


@torch.no_grad()
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dcvc-repo", required=True)
    parser.add_argument("--family", default="DCVC", choices=("DCVC", *dcvc_check.MODULES))
    args = parser.parse_args(argv)
    of_key = "DCVC-HEM" if args.family == "DCVC" else args.family.removesuffix("-P")
    model, key = (dcvc_check.load(args.dcvc_repo, name) for name in (args.family, of_key))
    make: Any = video if args.family == "DCVC" else dcvc_check.MODULES[args.family].video
    adapter = make(key, cast(Any, adapter_class(key)))
    loop = latentopt.wrap(model, "e8", shift=False, adapter=adapter).frames
    x = dcvc_check.photo(max(_SIZE))[..., : _SIZE[0], :]
    frames = [strings_of(frame) for _, frame, _ in loop.encode(x.roll(k, -1) for k in (0, 2, 5))]
    reference = None
    for what, strings in zip(("key", "predicted", "predicted"), frames):
        start, wall = time.process_time(), time.perf_counter()
        reference = loop.decode_frame(strings, _SIZE, reference)
        spent, wall = time.process_time() - start, time.perf_counter() - wall
        print(f"{args.family} {what}: {spent:.2f} s of processor time, {wall:.2f} s passed")


if __name__ == "__main__":
    run(main)
