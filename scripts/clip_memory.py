"""Peak memory of `latentopt encode` and `decode` on a short and on a long clip, a process for each.

Run: python scripts/clip_memory.py [--frames 60 600] [--preset plain]
Frames of a real clip play forth and back until there are enough; memory is the command's largest
resident set, as the system counts it when the command ends.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

from common import run
from torch import Tensor

from latentopt.bench import clipsets
from latentopt.errors import InputError
from latentopt.media.clips import open_clip
from latentopt.media.clips.raw import y4m_writer

_HEAD = f"{'frames':>7} {'verb':>7} {'peak MiB':>9} {'CPU s':>7} {'bytes':>10}"


def main() -> None:
    args = _arguments()
    print(_HEAD)
    for count in args.frames:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            _write(folder / "clip.y4m", clipsets.resolve(args.data).paths[0], count)
            options = ["--codec", args.codec, "--quality", str(args.quality)]
            encode = ["encode", "clip.y4m", "-o", "clip.lov", "--preset", args.preset, *options]
            _show(count, encode, folder, "clip.lov")
            _show(count, ["decode", "clip.lov", "-o", "out.y4m"], folder, "out.y4m")


def _write(path: Path, source: Path, count: int) -> None:
    with open_clip(source) as clip, y4m_writer(path, clip.format) as put:
        for frame in islice(_forth_and_back(list(clip)), count):
            put(frame)


def _forth_and_back(frames: Sequence[Tensor]) -> Iterator[Tensor]:
    return cycle([*frames, *frames[-2:0:-1]])


def _show(count: int, words: Sequence[str], folder: Path, output: str) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "latentopt", *words]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise InputError(f"{' '.join(command)}: exit code {process.returncode}")
    size, used = (folder / output).stat().st_size, usage.ru_utime + usage.ru_stime
    peak = usage.ru_maxrss / 1024
    print(f"{count:7} {words[0]:>7} {peak:9.0f} {used:7.1f} {size:10}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[60, 600])
    parser.add_argument("--codec", default="tiny-ssf2020")
    parser.add_argument("--quality", type=int, default=2)
    parser.add_argument("--preset", default="plain")
    parser.add_argument("--data", default="video", help="of clips the first (default: video)")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
