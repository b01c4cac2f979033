"""Calls of the `latentopt` command, and what they leave behind."""

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch

from latentopt.cli.main import main
from latentopt.media.images import read_image, to_uint8


class Refused:
    """Calls the command and expects exit code 2, one line, and no file made or changed."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]):
        self.folder, self.capsys = folder, capsys

    def __call__(self, message: str, *argv: object) -> None:
        before = self.files()
        assert run(*argv) == 2
        out, err = self.capsys.readouterr()
        assert out == "" and re.fullmatch(r"latentopt: [^\n]+\n", err), err
        assert re.search(message, err), err
        assert self.files() == before

    def files(self) -> dict[str, bytes]:
        found = sorted(self.folder.rglob("*"))
        return {str(p): p.read_bytes() if p.is_file() else b"" for p in found}


def run(*argv: object) -> int:
    return main([str(arg) for arg in argv])


def captured(*argv: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr: where pytest does not capture, as in another process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(*argv)
    return code, out.getvalue(), err.getvalue()


def pixels(path: Path) -> torch.Tensor:
    """(3, H, W) uint8."""
    return to_uint8(read_image(path))
