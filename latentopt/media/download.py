"""Fetch a file over the network: whole and verified, or not at all."""

import os
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from tqdm import tqdm

_TIMEOUT_S = 20  # a blocked network drops packets silently: without this a run would hang
_CHUNK = 1 << 20


def fetch(url: str, target: Path, verify: Callable[[Path], bool]) -> None:
    """Download ``url`` to ``target``; raise OSError where the network or ``verify`` says no.

    The file appears under its own name only after ``verify(partial file)`` returned True, so an
    interrupted download is never mistaken for the real one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        _stream(url, partial)
        if not verify(partial):
            raise OSError(f"what {url} sent is not the expected file (checksum differs)")
        os.replace(partial, target)
    except (HTTPException, ValueError) as error:
        raise OSError(f"{url}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _stream(url: str, partial: Path) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "latentopt"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as source, open(partial, "wb") as sink:
        length = source.headers.get("Content-Length")
        with tqdm(
            total=int(length) if length else None,
            unit="B",
            unit_scale=True,
            desc=partial.name.removesuffix(".part").lstrip("."),
            disable=None,
        ) as bar:
            while chunk := source.read(_CHUNK):
                sink.write(chunk)
                bar.update(len(chunk))
        if length and sink.tell() != int(length):
            raise OSError(f"{url} sent {sink.tell()} of {length} bytes")
