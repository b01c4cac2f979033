"""Downloads: within limits of time and size, what was asked for, and nothing left behind."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import torch

from latentopt import zoo
from latentopt.errors import WeightsError
from latentopt.media import download
from latentopt.media.download import fetch, no_downloads
from latentopt.zoo.names import URLS

Answer = Callable[[socket.socket], None]
OK = b"HTTP/1.0 200 OK\r\n"


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """Starts a server that answers one request as told; gives its address."""
    listeners = []

    def start(answer: Answer) -> str:
        listeners.append(listener := socket.create_server(("127.0.0.1", 0)))

        def run() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                connection.recv(65536)
                with suppress(OSError):  # hung up on, as it should be
                    answer(connection)

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/file"

    yield start
    for listener in listeners:
        listener.close()


def drip(connection: socket.socket, head: bytes) -> None:
    connection.sendall(head)
    for _ in range(100):
        connection.sendall(b"x")
        time.sleep(0.05)


def refused(url: str, target: Path, message: str, **options: int) -> None:
    with pytest.raises(OSError, match=message):
        fetch(url, target, lambda path: True, **options)
    assert not list(target.parent.iterdir())


def test_what_is_sent_arrives(tmp_path: Path, serve: Callable[[Answer], str]) -> None:
    for head in (OK + b"\r\n", OK + b"Content-Length: 4\r\n\r\n"):
        url = serve(lambda connection, head=head: connection.sendall(head + b"data"))
        fetch(url, tmp_path / "new" / "file", lambda path: path.read_bytes() == b"data", 4)
        assert [p.read_bytes() for p in (tmp_path / "new").iterdir()] == [b"data"]


@pytest.mark.parametrize("head", [b"", OK, OK + b"\r\n", OK + b"Content-Length: 100000\r\n\r\n"])
def test_a_server_that_drips_is_left(
    tmp_path: Path,
    serve: Callable[[Answer], str],
    monkeypatch: pytest.MonkeyPatch,
    head: bytes,
) -> None:
    """Whether it drips its status, its headers or the content."""
    monkeypatch.setattr(download, "_PATIENCE_S", 0.3)
    url, start = serve(lambda connection: drip(connection, head)), time.monotonic()
    refused(url, tmp_path / "file", "too slow" if head.endswith(b"\r\n\r\n") else "no answer")
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("stated", [b"", b"Content-Length: 5000000\r\n"])
def test_more_than_expected_is_not_taken(
    tmp_path: Path, serve: Callable[[Answer], str], stated: bytes
) -> None:
    url = serve(lambda connection: connection.sendall(OK + stated + b"\r\n" + bytes(5_000_000)))
    refused(url, tmp_path / "file", "more than the 1000 bytes", largest=1000)


def test_less_than_stated_is_not_taken(tmp_path: Path, serve: Callable[[Answer], str]) -> None:
    url = serve(lambda c: c.sendall(OK + b"Content-Length: 9\r\n\r\ndata"))
    refused(url, tmp_path / "file", "sent 4 of 9 bytes")


def test_what_a_server_says_is_escaped(tmp_path: Path, serve: Callable[[Answer], str]) -> None:
    """A reason phrase that clears the screen, or writes a title, must not reach a terminal."""
    url = serve(lambda c: c.sendall(b"HTTP/1.0 404 \x1b[2J\x1b]0;owned\x07 gone\r\n\r\n"))
    with pytest.raises(OSError) as caught:
        fetch(url, tmp_path / "file", lambda path: True)
    assert str(caught.value).isprintable() and "owned" in str(caught.value)


def test_a_page_is_no_checkpoint(
    tmp_path: Path, serve: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a name has no hash, what a captive portal sends must not be kept as weights."""
    url = serve(lambda c: c.sendall(OK + b"\r\n<!DOCTYPE html><title>Log in</title>"))
    monkeypatch.setitem(URLS["mbt2018-mean"]["mse"], 1, f"{url}/plain.pth.tar")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(WeightsError, match="not the expected file"):
        zoo.load("mbt2018-mean", 1)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_downloads_can_be_ruled_out(tmp_path: Path) -> None:
    with no_downloads("not here"), pytest.raises(OSError, match="not here"):
        fetch("http://127.0.0.1:9/x", tmp_path / "file", lambda path: True)
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match="127"):
        fetch("http://127.0.0.1:9/x", tmp_path / "file", lambda path: True)
