"""What works without the optional dependencies, and the line that says which one is missing."""

import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from support.commands import run
from support.models import moving, photo, tiny_flow

from latentopt.media.clips import Format, write_clip
from latentopt.media.images import write_png

OPTIONAL = (
    "av",
    "bjontegaard",
    "matplotlib",
    "pandas",
    "pytorch_msssim",
    "pytorch_optimizer",
    "skimage",
)
IMAGE = ("--codec", "tiny-mbt2018-mean", "--quality", "3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image, and a clip as planes, both coded, too; a clip in name only; a video model."""
    folder = tmp_path_factory.mktemp("extras")
    write_png(folder / "x.png", photo(50, 70))
    write_clip(folder / "x.y4m", moving(2, 50, 70), Format(70, 50, Fraction(30)))
    (folder / "x.mp4").write_bytes(b"never looked at")
    torch.save(tiny_flow().state_dict(), folder / "flow.pt")
    assert run("encode", folder / "x.png", "-o", folder / "x.lo", *IMAGE) == 0
    flow = ("--codec", "ssf2020", "--weights", folder / "flow.pt")
    assert run("encode", folder / "x.y4m", "-o", folder / "x.lov", *flow) == 0
    return folder


def without_extras(folder: Path, *commands: str) -> "subprocess.CompletedProcess[str]":
    """Runs commands in a folder, in a process that can import no optional dependency.

    CompressAI itself needs some of them, so it comes first and keeps what it has.
    """
    script = (
        "import sys, compressai.models, compressai.latent_codecs\n"
        f"sys.modules.update(dict.fromkeys({OPTIONAL!r}))\n"
        "from latentopt.cli.main import main\n"
        f"codes = [main(command.split()) for command in {commands!r}]\n"
        "assert 'latentopt.bench' not in sys.modules, 'the core imports the harness'\n"
        "sys.exit(max(codes))"
    )
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_images_need_the_core_only(folder: Path) -> None:
    model = " ".join(IMAGE)
    done = without_extras(
        folder,
        f"encode x.png -o x.lo --preset fast {model}",
        "info x.lo",
        f"decode x.lo -o decoded.png {model}",
        f"explain x.lo {model}",
        "zoo list",
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "decoded.png").exists()


def test_plain_clips_need_the_core_only(folder: Path) -> None:
    model = "--codec ssf2020 --weights flow.pt"
    done = without_extras(
        folder,
        f"encode x.y4m -o x.lov {model}",
        "info x.lov",
        *(f"decode x.lov -o {out} {model}" for out in ("decoded.y4m", "decoded.yuv", "decoded")),
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "decoded" / "000001.png").exists()


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("encode x.mp4 -o y.lov --codec ssf2020 --weights flow.pt", "video"),
        ("decode x.lov -o y.mp4 --codec ssf2020 --weights flow.pt", "video"),
        ("decode x.lov -o y.mkv --codec ssf2020 --weights flow.pt", "video"),
        (f"explain x.lo --plot y.png {' '.join(IMAGE)}", "bench"),
        ("bdrate --codec tiny-mbt2018-mean", "bench"),
        ("report .", "bench"),
    ],
)
def test_a_missing_extra_is_named(command: str, extra: str, folder: Path) -> None:
    done = without_extras(folder, command)
    line = rf"latentopt: this needs [\w, ]+: pip install 'latentopt\[{extra}\]'\n"
    assert (done.returncode, done.stdout) == (2, "") and re.fullmatch(line, done.stderr), done
    assert not list(folder.glob("y.*"))
