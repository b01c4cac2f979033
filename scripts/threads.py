"""How much more several threads do with one codec than one thread does, images and clips.

Run: python scripts/threads.py [--threads 8] [--repeats 24]
Each piece of work is a crop of a photograph, or a clip of three frames, there and back; one and
several threads take turns, and what they make must be the same. PyTorch has one thread in each, so
what several gain is processors that would be idle.
"""

import argparse
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from common import cut, head, line, run, seconds
from torch import Tensor

import latentopt
from latentopt import Codec, VideoCodec, zoo
from latentopt.bench import datasets
from latentopt.errors import InputError
from latentopt.media.images import read_image

_TURNS = 3  # of which the fastest count
_KINDS = (
    ("tiny-bmshj2018-factorized", "fast"),
    ("tiny-mbt2018-mean", "plain"),
    ("tiny-mbt2018-mean", "default"),
    ("tiny-mbt2018", "plain"),
    ("tiny-ssf2020", "plain"),
)

Work = Callable[[], bytes]
"""Codes something, there and back; returns its file's content."""


def main(argv: Sequence[str] | None = None) -> None:
    args = _arguments().parse_args(argv)
    torch.set_num_threads(1)
    x = cut(read_image(datasets.resolve(args.data).paths[0]), *args.size)
    print(head("codec", "preset", "1 thread, per s", f"{args.threads} threads, per s", "ratio"))
    for name, preset in _KINDS:
        work = work_of(name, preset, x)
        alone, together = rates(work, args.threads, args.repeats)
        cells = f"{alone:.2f}", f"{together:.2f}", f"{together / alone:.2f}"
        print(line(name, preset, *cells), flush=True)


def work_of(name: str, preset: str, x: Tensor) -> Work:
    """Of a codec, which all threads share."""
    codec = latentopt.wrap(zoo.load(name, 3), preset=preset)
    if isinstance(codec, VideoCodec):
        frames = [x.roll(2 * k, dims=-1) for k in range(3)]
        return lambda: _there_and_back(codec, codec.save_bytes(frames))
    return lambda: _there_and_back(codec, codec.save_bytes(x))


def _there_and_back(codec: Codec | VideoCodec, data: bytes) -> bytes:
    deque(codec.load_bytes(data), maxlen=0)  # a clip's frames are decoded when they are asked for
    return data


def rates(work: Work, threads: int, repeats: int) -> tuple[float, float]:
    """How often a second one thread, and several, do the work.

    Raises:
        InputError: they do not make the same of it.
    """
    expected, took = work(), dict[int, float]()
    for _ in range(_TURNS):
        for number in (1, threads):
            with ThreadPoolExecutor(number) as pool:
                spent, found = seconds(lambda: list(pool.map(lambda _: work(), range(repeats))))
            if any(one != expected for one in found):
                raise InputError(f"{number} threads make other strings than one thread alone")
            took[number] = min(spent, took.get(number, spent))
    return repeats / took[1], repeats / took[threads]


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=24, help="of each turn")
    parser.add_argument("--size", type=int, nargs=2, default=[256, 256], help="rows, columns")
    parser.add_argument("--data", default="clic2020", help="whose first image is taken")
    return parser


if __name__ == "__main__":
    run(main)
