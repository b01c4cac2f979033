"""Where a measurement comes from: the weights that were measured, and the code that did."""

import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path

from torch import nn

from latentopt import __version__


def weights_hash(model: nn.Module) -> str:
    """First 12 digits of the SHA-256 of a model's tensors: names, shapes and values."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:12]


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
