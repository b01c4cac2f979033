"""Fetch a file over the network: whole and verified, within limits, or not at all."""

import queue
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPException
from http.client import HTTPResponse as Response
from pathlib import Path

from tqdm import tqdm

from latentopt.atomic import whole
from latentopt.errors import printable

_TIMEOUT_S = 20  # a blocked network drops packets silently: without this a run would hang
_PATIENCE_S = 60.0  # for an answer, and then for a server that sends nothing worth it
_SLOWEST = 20_000  # bytes per second that earn more time
_CHUNK = 1 << 20

_why_not: ContextVar[str | None] = ContextVar("why_not", default=None)


@contextmanager
def no_downloads(why: str) -> Iterator[None]:
    """Within it, `fetch` raises OSError with this reason."""
    token = _why_not.set(why)
    try:
        yield
    finally:
        _why_not.reset(token)


def fetch(url: str, target: Path, verify: Callable[[Path], bool], largest: int = 1 << 30) -> None:
    """Download ``url``, of at most ``largest`` bytes, to ``target``.

    The file appears under its own name only after ``verify(partial file)`` returned True, so an
    interrupted download is never mistaken for the real one. A server may take a minute to answer,
    and from then on a minute plus a second for every 20 kB that it sent.

    Raises:
        OSError: the network, the limits or ``verify`` say no.
    """
    if why := _why_not.get():
        raise OSError(why)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole(target) as partial:
        try:
            _stream(url, partial, target.name, largest)
        except (OSError, HTTPException, ValueError) as error:
            raise OSError(printable(f"{url}: {error}")) from error  # a server may word it
        if not verify(partial):
            raise OSError(f"what {url} sent is not the expected file (checksum differs)")


def _stream(url: str, partial: Path, name: str, largest: int) -> None:
    with _answer(url) as source, partial.open("wb") as sink:
        stated = source.headers.get("Content-Length")
        length = None if stated is None else int(stated)
        _check_size(length or 0, largest)
        until = time.monotonic() + _PATIENCE_S
        with tqdm(total=length, unit="B", unit_scale=True, desc=name, disable=None) as bar:
            while chunk := source.read1(_CHUNK):
                sink.write(chunk)
                bar.update(len(chunk))
                _check_size(sink.tell(), largest)
                if time.monotonic() > until + sink.tell() / _SLOWEST:
                    raise OSError(f"too slow: {sink.tell()} bytes in {_PATIENCE_S:g} s and more")
        if length is not None and sink.tell() != length:
            raise OSError(f"sent {sink.tell()} of {length} bytes")


def _check_size(size: int, largest: int) -> None:
    if size > largest:
        raise OSError(f"more than the {largest} bytes that are expected at most")


def _answer(url: str) -> Response:
    """The server's answer, headers read. A thread waits for it, since a server can drip those."""
    request = urllib.request.Request(url, headers={"User-Agent": "latentopt"})
    answers: queue.SimpleQueue[Response | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(request, timeout=_TIMEOUT_S))
        except Exception as error:  # all are raised again, in the thread that waits
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=_PATIENCE_S)
    except queue.Empty:
        raise OSError(f"no answer within {_PATIENCE_S:g} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer
