"""A headless Chromium, driven over the two pipes of its DevTools protocol: no library is needed."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT_S = 60.0

_OPTIONS = (
    *("--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage"),
    "--no-sandbox",  # which root may not have; the pages are our own
)
# The browser reads commands from descriptor 3 and writes to 4.
_START = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
_KEYS = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39}


def find() -> str | None:
    """The browser's path, None where none is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def opened(path: str, profile: Path) -> Iterator["Browser"]:
    """A browser that ends with the block; ``profile`` is a folder for its files."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs_in, theirs_out)]
    command = [path, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(
        [sys.executable, "-c", _START, *map(str, theirs), *command],
        pass_fds=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for fd in (theirs_in, theirs_out, *theirs):
        os.close(fd)
    try:
        yield Browser(ours_in, ours_out)
    finally:
        process.kill()
        process.wait()
        os.close(ours_in)
        os.close(ours_out)


class Browser:
    """One tab, and what it complained of and asked for since its page was opened."""

    def __init__(self, reads: int, writes: int):
        self._reads, self._writes = reads, writes
        self._buffer, self._count, self._session = b"", 0, ""
        self._runs_scripts = True
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def open(self, page: Path) -> None:
        """Load a page from its file."""
        self.events.clear()
        self.send("Page.navigate", url=page.resolve().as_uri())
        self._wait(lambda: self._named("Page.loadEventFired"))
        self._settle()

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited."""
        options = {"returnByValue": True, "awaitPromise": True}
        out = self.send("Runtime.evaluate", expression=script, **options)
        assert "exceptionDetails" not in out, out["exceptionDetails"]
        return out["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key, as a person at the keyboard."""
        text = {"Enter": "\r", " ": " "}.get(key)
        code = {"key": key, "code": "Space" if key == " " else key}
        code |= {"windowsVirtualKeyCode": _KEYS[key]}
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self.send("Input.dispatchKeyEvent", **down, **code)
        self.send("Input.dispatchKeyEvent", type="keyUp", **code)
        self._settle()

    def hover(self, selector: str) -> None:
        """Move the mouse to the middle of an element."""
        box = f"document.querySelector({selector!r}).getBoundingClientRect()"
        place = f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})"
        x, y = self.run(place)
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self._settle()

    def resize(self, width: int, height: int, mobile: bool = False) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.send("Emulation.setDeviceMetricsOverride", **size)

    def colours(self, scheme: str) -> None:
        """Prefer a colour scheme, "light" or "dark"."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.send("Emulation.setEmulatedMedia", features=[feature])

    def scripts(self, allowed: bool) -> None:
        """Whether pages opened from now on may run scripts of their own."""
        self.send("Emulation.setScriptExecutionDisabled", value=not allowed)
        self._runs_scripts = allowed

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the whole page."""
        out = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(out["data"]))

    def complaints(self) -> list[dict[str, Any]]:
        """Errors and warnings of the console, exceptions, failed requests."""
        self.run("0")  # what came before its answer has been read
        kinds = ("Runtime.exceptionThrown", "Network.loadingFailed", "Log.entryAdded")
        calls = [e["params"] for e in self._named("Runtime.consoleAPICalled")]
        loud = [call for call in calls if call["type"] in ("error", "warning", "assert")]
        return loud + [e["params"] for kind in kinds for e in self._named(kind)]

    def requests(self) -> set[str]:
        """What was asked for, data: apart."""
        sent = (e["params"]["request"]["url"] for e in self._named("Network.requestWillBeSent"))
        return {url for url in sent if not url.startswith("data:")}

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The browser's answer to a command."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        answer = self._wait(lambda: [e for e in self.events if e.get("id") == self._count])[0]
        self.events.remove(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _settle(self) -> None:
        """Wait until what was just done has been drawn; without scripts nothing changes."""
        if self._runs_scripts:
            frame = "requestAnimationFrame"
            self.run(f"new Promise(done => {frame}(() => {frame}(done)))")

    def _named(self, method: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("method") == method]

    def _wait(self, found: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Read until ``found`` finds something."""
        deadline = time.monotonic() + TIMEOUT_S
        while not (events := found()):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._reads], [], [], left)[0]:
                raise TimeoutError(f"the browser said nothing for {TIMEOUT_S:g} s")
            self._read()
        return events

    def _read(self) -> None:
        data = os.read(self._reads, 1 << 16)
        if not data:
            raise EOFError("the browser has ended")
        *whole, self._buffer = (self._buffer + data).split(b"\0")
        self.events += map(json.loads, whole)
