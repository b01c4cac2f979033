"""The code of README and guide runs: Python blocks, page by page, and `latentopt` commands.

Pages find a photograph, a clip and a folder of photographs where they run, as their readers would.
A block after a comment `<!-- not run: why -->` does not run.
"""

import re
import shlex
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from support.dcvc_models import (
    Diverse,
    DualPrior,
    FourPart,
    Modulated,
    Predicted,
    WithMemory,
    lively,
)
from support.dcvc_rt_models import Unmoved
from support.dcvc_tcm_models import Mined
from support.models import moving, photo

from latentopt import Codec
from latentopt.cli.main import main
from latentopt.media.clips import Format, write_clip
from latentopt.media.images import write_png

PAGES = [Path("README.md"), *sorted(Path("docs/guide").glob("*.md"))]
SHELL = "sh"

_BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^>]+ -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    flags=re.S | re.M,
)
_STAND_IN = "from {module} import {ours} as {theirs}\n"


class Block(NamedTuple):
    """Code of a page, and the line it begins at, so that a traceback names it."""

    code: str
    line: int


def blocks(page: Path, language: str) -> list[Block]:
    """Those of a language that are to run."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found["code"], text[: found.start("code")].count("\n"))
        for found in _BLOCK.finditer(text)
        if found["language"] == language and not found["skip"]
    ]


PYTHON = {page: found for page in PAGES if (found := blocks(page, "python"))}
COMMANDS = {
    page: commands
    for page in PAGES
    if (
        commands := [
            line
            for block in blocks(page, SHELL)
            for line in block.code.splitlines()
            if line.startswith("latentopt ")
        ]
    )
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder, which is the working directory."""
    (tmp_path / "photos").mkdir()
    write_png(tmp_path / "photo.png", photo(60, 64))
    write_png(tmp_path / "photos" / "one.png", photo(161, 176))  # MS-SSIM needs as much
    write_clip(tmp_path / "clip.mp4", moving(3, 48, 64), Format(64, 48, Fraction(25)))
    monkeypatch.setenv("LATENTOPT_HOME", str(tmp_path / "registered"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PYTHON, ids=str)
def test_python_blocks_run(page: Path, home: Path) -> None:
    run(page, given(page, home))


def test_adapters_of_the_guide_decode_what_they_encode(home: Path) -> None:
    space = run(Path("docs/guide/your-own-codec.md"), {})
    codecs = [value for value in space.values() if isinstance(value, Codec)]
    assert len(codecs) == 2
    for codec in codecs:
        out = codec.compress(space["x"])
        x_hat = codec.decompress(out["strings"], out["shape"])["x_hat"]
        assert torch.equal(x_hat, codec(space["x"])["x_hat"])


@pytest.mark.parametrize("page", COMMANDS, ids=str)
def test_commands_run(page: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS[page]:
        assert main(shlex.split(command)[1:]) == 0, command + capsys.readouterr().err


def run(page: Path, space: dict[str, Any]) -> dict[str, Any]:
    """The names that a page's Python blocks leave, one after the other."""
    for block in PYTHON[page]:
        exec(compile("\n" * block.line + block.code, str(page), "exec"), space)
    return space


def given(page: Path, home: Path) -> dict[str, Any]:
    """What a page says its reader has: of DCVC a checkout, here of stand-ins, and frames."""
    if page.stem != "dcvc":
        return {}
    for family, module, stand_in, name in (
        ("DCVC-HEM", "image_model", DualPrior, "IntraNoAR"),
        ("DCVC-HEM", "video_model", WithMemory, "DMC"),
        ("DCVC-DC", "image_model", FourPart, "IntraNoAR"),
        ("DCVC-DC", "video_model", Diverse, "DMC"),
        ("DCVC-FM", "video_model", Modulated, "DMC"),
        ("DCVC-TCM", "video_net_dmc", Mined, "DMC"),
        ("DCVC-RT", "video_model", Unmoved, "DMC"),
        ("DCVC", "DCVC_net", Predicted, "DCVC_net"),
    ):
        folder = home / "DCVC-family" / family / "src" / "models"
        folder.mkdir(parents=True, exist_ok=True)
        ours = {"module": stand_in.__module__, "ours": stand_in.__name__}
        source = _STAND_IN.format(**ours, theirs=name)
        (folder / f"{module}.py").write_text(source)
    for model, kind in ((DualPrior, "image"), (WithMemory, "video")):
        state = {"state_dict": lively(model).state_dict()}
        torch.save(state, home / f"cvpr2022_{kind}_psnr.pth.tar")
    x = photo(60, 64)
    return {"repo": home, "x": x, "frames": [x, x.roll(1, -1)]}
