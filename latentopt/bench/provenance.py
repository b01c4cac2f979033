"""Where a measurement comes from: the weights that were measured, and the code that did."""

import os
import subprocess
from functools import cache
from pathlib import Path

from latentopt import __version__
from latentopt.atomic import file_hash
from latentopt.codec.seal import weights_sha256 as weights_hash

__all__ = ["commit", "file_hash", "source", "weights_hash"]


@cache
def source() -> str:
    """latentopt's version and, in a checkout, the commit that this process began with."""
    head = commit()
    return f"{__version__}+{head}" if head else __version__


def commit() -> str:
    """Short hash of the last commit of the package, "-dirty" if edited since.

    Outside git it is what $LATENTOPT_COMMIT says, for copies on other machines, else "".
    """
    package = Path(__file__).resolve().parents[1]
    head = _git(package, "log", "-1", "--format=%h", "--", ".")
    if not head:
        return os.environ.get("LATENTOPT_COMMIT", "")
    return f"{head}-dirty" if _git(package, "status", "--porcelain", "--", ".") else head


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
