"""One process at a time writes a file of rows; it lets go when it ends, however it does."""

from io import FileIO
from pathlib import Path

from latentopt.errors import InputError

try:
    import fcntl
except ImportError:  # Windows lets two processes append to one file, and we cannot tell
    fcntl = None  # type: ignore[assignment]


def lock(file: FileIO, path: Path | str, option: str = "--out") -> None:
    """Hold an open file until it is closed.

    Args:
        file: what is held.
        path: its name, in messages.
        option: what names another, in messages.

    Raises:
        InputError: another process holds it.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"{path} is being written by another process: let it finish, or name another folder "
            f"with {option}"
        ) from error
    except OSError:
        pass  # a file system without locks
