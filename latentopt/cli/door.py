"""The command's door: whatever goes wrong leaves by it as one line on stderr and an exit code."""

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO

from latentopt.cli.noise import quiet
from latentopt.cli.words import told
from latentopt.errors import LatentoptError, LatentoptWarning, printable, reason

_FAILED, _INTERNAL = 2, 70
_SIGNAL = 128  # plus a signal's number: the exit code of what it ended, as shells have it
_ENDING = ("SIGTERM", "SIGHUP")
_DEBUG = "LATENTOPT_DEBUG"


class _Ended(BaseException):
    """A signal to end: an exception, so that files being written are removed on the way out."""

    def __init__(self, number: int):
        self.number = number


def guarded(work: Callable[[], int]) -> int:
    """What ``work`` returns, or the exit code of how it failed, said in one line on stderr.

    2 for what the user can mend, 128 and the signal's number where one ended it, 70 for mistakes of
    ours, whose traceback $LATENTOPT_DEBUG shows.
    """
    _mend_streams()
    try:
        with _signals(), _warnings():
            code = work()
            _flush()
            return code
    except LatentoptError as error:
        return _say(told(error), _FAILED)
    except KeyboardInterrupt:
        return _say("interrupted", _SIGNAL + signal.SIGINT)
    except _Ended as error:
        name = signal.Signals(error.number).name
        return _say(f"ended by {name}; what was not finished is removed", _SIGNAL + error.number)
    except BrokenPipeError:  # of stdout: who read it has seen enough
        _discard(sys.stdout)
        return _SIGNAL + signal.SIGPIPE
    except OSError as error:
        _discard(sys.stdout)
        place = f"{error.filename}: " if error.filename else ""
        return _say(f"{place}{error.strerror or error}", _FAILED)
    except MemoryError:
        return _say("not enough memory for this; use a smaller image or a cheaper preset", _FAILED)
    except Exception as error:
        if os.environ.get(_DEBUG):
            raise
        what = reason(error)
        return _say(f"a mistake of latentopt's own ({what}); {_DEBUG}=1 shows where", _INTERNAL)


def _say(message: str, code: int) -> int:
    """One line, whatever is in it."""
    with suppress(OSError):  # a full or closed stderr changes nothing
        print(f"latentopt: {printable(message)}", file=sys.stderr, flush=True)
    return code


def _flush() -> None:
    """Write out what was printed, while there is somebody to say that it cannot be."""
    with printing():
        sys.stdout.flush()


@contextmanager
def printing() -> Iterator[None]:
    """Within, what cannot be written is standard output."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error


def _mend_streams() -> None:
    """Open what is closed of stdin, stdout and stderr: files opened later would take its place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (it lives as long as the process)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:  # names of files may be no text in the terminal's encoding
        reconfigure(errors="backslashreplace")


def _discard(stream: TextIO) -> None:
    """Let go of what a stream could not write, which Python would try again at exit."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise; what ignores them, as under nohup, goes on ignoring them."""
    before = {}
    for name in _ENDING:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            with suppress(ValueError):  # only the main thread may
                before[number] = signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second one does not wait
    raise _Ended(number)


@contextmanager
def _warnings() -> Iterator[None]:
    """Ours in one line each, like errors; none of the libraries'."""
    show = warnings.showwarning

    def ours(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, LatentoptWarning):
            _say(str(message), 0)
        else:
            show(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():
        quiet()
        warnings.filterwarnings("always", category=LatentoptWarning)
        warnings.showwarning = ours
        yield
