"""What works without the optional dependencies, and the line that says which one is missing."""

import json
import re
import subprocess
import sys
import textwrap
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
    "distributed",
    "fsspec",
    "matplotlib",
    "pandas",
    "pyarrow",
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
    assert run("encode", folder / "x.y4m", "-o", folder / "x.lov", "--quant", "oct", *flow) == 0
    return folder


MODEL, FLOW = " ".join(IMAGE), "--codec ssf2020 --weights flow.pt"
WORKING = {
    "images": (
        f"encode x.png -o x.lo --preset fast {MODEL}",
        "info x.lo",
        f"decode x.lo -o decoded.png {MODEL}",
        f"explain x.lo {MODEL}",
        "zoo list",
    ),
    "plain clips": (
        f"encode x.y4m -o x.lov --quant oct {FLOW}",
        "info x.lov",
        *(f"decode x.lov -o {out} {FLOW}" for out in ("decoded.y4m", "decoded.yuv", "decoded")),
    ),
}
LACKING = {
    f"encode x.mp4 -o y.lov {FLOW}": "video",
    f"decode x.lov -o y.mp4 {FLOW}": "video",
    f"decode x.lov -o y.mkv {FLOW}": "video",
    f"explain x.lo --plot y.png {MODEL}": "bench",
    "bdrate --codec tiny-mbt2018-mean": "bench",
    "report .": "bench",
    f"encode x.png -o y --manifest y.parquet {MODEL}": "cluster",
    "verify y.parquet": "cluster",
}
# CompressAI itself needs some of the extras, so it comes first and keeps what it has.
PROGRAM = """
    import contextlib, io, json, sys, latentopt, compressai.models, compressai.latent_codecs
    optional, commands = map(json.loads, sys.argv[1:])
    sys.modules.update(dict.fromkeys(optional))
    from latentopt.cli.main import main

    def ended(command):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(command.split())
        assert "latentopt.bench" not in sys.modules, f"{command}: the core imports the harness"
        return code, out.getvalue(), err.getvalue()

    print(json.dumps([ended(command) for command in commands]))
"""
Ended = dict[str, tuple[int, str, str]]


@pytest.fixture(scope="module")
def ended(folder: Path) -> Ended:
    """Exit code, stdout and stderr of commands in a process that can import no extra."""
    commands = [*WORKING["images"], *WORKING["plain clips"], *LACKING]
    words = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(PROGRAM)]
    done = subprocess.run(
        [*words, json.dumps(OPTIONAL), json.dumps(commands)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return {command: tuple(found) for command, found in zip(commands, json.loads(done.stdout))}


@pytest.mark.parametrize("what", WORKING)
def test_images_and_plain_clips_need_the_core_only(what: str, folder: Path, ended: Ended) -> None:
    for command in WORKING[what]:
        assert ended[command][0] == 0, ended[command]
    decoded = {"images": "decoded.png", "plain clips": "decoded/000001.png"}[what]
    assert (folder / decoded).exists()


@pytest.mark.parametrize("command", LACKING)
def test_a_missing_extra_is_named(command: str, folder: Path, ended: Ended) -> None:
    line = rf"latentopt: this needs [\w, ]+: pip install 'latentopt\[{LACKING[command]}\]'\n"
    code, out, err = ended[command]
    assert (code, out) == (2, "") and re.fullmatch(line, err), ended[command]
    assert not list(folder.glob("y.*"))
