"""Rows lost, doubled or measured twice where clients and workers are killed as they go.

Run: python scripts/kills.py [--kills 20] [--images 120]
A cluster of two workers; `encode` and `bdrate` in turn, of which the client or a worker is killed
as soon as it has kept another row, and which then goes on. In the end both run undisturbed.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common import run
from distributed import Client

from latentopt.archive.manifest import Manifest
from latentopt.bench import datasets
from latentopt.bench.kept import MEASUREMENTS
from latentopt.engine.cluster import local_cluster
from latentopt.errors import InputError, LatentoptError
from latentopt.media.images import read_image, write_png

_SIDE = 96  # pixels
_CODEC = "tiny-bmshj2018-factorized"
_WORKERS = 2
_PATIENCE_S = 300
_SETTLED_S = 2.0  # Dask does not start a worker again that dies before its nanny saw it come up


@dataclass
class Command:
    """A command that keeps rows, and what is known of them."""

    name: str
    argv: list[str]
    expected: int
    rows: Callable[[], list[tuple[str, ...]]]
    """Key of each row, then all that a second measurement would change."""
    client: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it, unless it runs."""
        if self.client is None or self.client.poll() is not None:
            argv = [sys.executable, "-m", "latentopt", *self.argv]
            self.client = subprocess.Popen(argv, stdout=subprocess.DEVNULL)

    def goes_on(self, count: int) -> bool:
        """Wait for more rows than ``count``; False where it ended before."""
        assert self.client
        while self.client.poll() is None:
            if len(self.rows()) > count:
                return True
            time.sleep(0.05)
        return False


def main() -> None:
    args = _arguments()
    draw, seen = random.Random(0), Counter[str]()
    with (
        tempfile.TemporaryDirectory() as folder,
        local_cluster(_WORKERS) as cluster,
        Client(cluster) as client,
    ):
        commands = _commands(args, Path(folder), cluster.scheduler_address)
        for number in range(args.kills):
            command = commands[number % len(commands)]
            before = command.rows()
            command.start()
            if not command.goes_on(len(before)):
                raise InputError(f"{command.name} ended after {number} kills: give it more images")
            victim = "client" if number // len(commands) % 2 else "worker"
            _kill(command, client, victim, draw)
            seen[f"{command.name}, {victim} killed"] += 1
            print(f"{number + 1}: {command.name}, {victim}: {len(command.rows())} rows", flush=True)
            _count(seen, before, command.rows())
        for command in commands:
            before = command.rows()
            command.start()
            assert command.client
            command.client.wait()
            _count(seen, before, command.rows())
            keys = Counter(key for key, *_ in command.rows())
            seen["rows"] += len(keys)
            seen["lost"] += command.expected - len(keys)
            seen["doubled"] += sum(keys.values()) - len(keys)
    for what, count in sorted(seen.items()):
        print(f"{what:>24} {count}")


def _kill(command: Command, client: Client, victim: str, draw: random.Random) -> None:
    if victim == "worker":
        client.wait_for_workers(_WORKERS, timeout=_PATIENCE_S)
        time.sleep(_SETTLED_S)
        pid = draw.choice(sorted(client.run(os.getpid).values()))
        os.kill(pid, signal.SIGKILL)  # another starts in its place, and the client goes on
        return
    assert command.client
    command.client.kill()
    command.client.wait()


def _count(seen: Counter[str], before: list[tuple[str, ...]], after: list[tuple[str, ...]]) -> None:
    """Rows that were there must stay as they were."""
    seen["measured twice"] += len(set(before) - set(after))


def _commands(args: argparse.Namespace, folder: Path, address: str) -> list[Command]:
    images, coded, rows = folder / "images", folder / "coded", folder / "rows"
    images.mkdir()
    paths = datasets.resolve(args.data).paths
    for number in range(args.images):
        x = read_image(paths[number % len(paths)])
        top = 8 * (number // len(paths))
        write_png(images / f"{number}.png", x[..., top : top + _SIDE, :_SIDE])
    there = ["--engine", "dask", "--scheduler", address]
    encode = ["encode", str(images), "-o", str(coded), *there]
    bdrate = ["bdrate", "--codec", _CODEC, "--data", str(images), "--qualities", "1,2", "--quiet"]
    bdrate += ["--configs", "baseline,default", "--out", str(rows), *there]
    manifest = Manifest(str(coded / "manifest.parquet"))
    file = rows / MEASUREMENTS
    return [
        Command("encode", encode, args.images, lambda: _of_manifest(manifest)),
        Command("bdrate", bdrate, 4 * args.images, lambda: _of_csv(file)),
    ]


def _of_manifest(manifest: Manifest) -> list[tuple[str, ...]]:
    try:
        return [(row.path, str(row.seconds), row.hash) for row in manifest.rows() if not row.error]
    except LatentoptError:
        return []  # parts are becoming one at this moment


def _of_csv(file: Path) -> list[tuple[str, ...]]:
    lines = file.read_text().splitlines()[1:] if file.exists() else []
    cells = [line.split(",") for line in lines if line.count(",") > 20]
    return [(",".join(row[1:4] + row[5:6]), *row) for row in cells]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--images", type=int, default=120)
    parser.add_argument("--data", default="clic2020", help="photographs (default: clic2020)")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
