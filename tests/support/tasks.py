"""What engines do in tests: tasks that other processes can be sent."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Squaring:
    """Makes what squares numbers, and notes in a folder which process made it."""

    folder: Path

    def __call__(self) -> "Squaring":
        (self.folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()
        return _Square(self.folder)


class _Square(Squaring):
    def __call__(self, number: int) -> int:
        return number * number


@dataclass(frozen=True)
class Deadly:
    """Makes what ends its process at one number: the first time, or always."""

    folder: Path
    number: int
    always: bool = False

    def __call__(self) -> "Deadly":
        return _Deadly(self.folder, self.number, self.always)


class _Deadly(Deadly):
    def __call__(self, number: int) -> int:
        mark = self.folder / "dead"
        if number == self.number and (self.always or not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number * number


def failing() -> object:
    """Makes what cannot do 3."""
    return _fail


def _fail(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number
