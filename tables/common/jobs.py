"""Several processes that measure together: each takes a share of the images."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tables.common.keep import gather


def measure(argv: Sequence[str], jobs: int, threads: int, rows: Path) -> None:
    """Run `python -m tables` with these arguments in ``jobs`` processes, and gather their rows.

    A share that fails says why on stderr; what it lacks is measured by whoever needs it.
    """
    folders = [rows / f"share-{k}" for k in range(1, jobs + 1)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tables", *argv, "--jobs", "1"]
            + ["--share", f"{k}/{jobs}", "--rows", str(folder)]
            + ["--quiet"] * (k > 1),
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for k, folder in enumerate(folders, 1)
    ]
    for process in running:
        process.wait()
    for folder in folders:
        gather(folder, rows)
