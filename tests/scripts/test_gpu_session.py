"""scripts/gpu_session.sh and gpu_pack.py: each step is taken whatever failed, eight files come out.

Steps themselves are a stand-in's here: they take minutes, and have tests of their own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import gpu_pack
import pytest
from support.models import photo

from latentopt.errors import InputError
from latentopt.media.images import read_image, write_png

SCRIPT = Path(__file__).parents[2] / "scripts/gpu_session.sh"
CODEC = "tiny-mbt2018-mean"

PYTHON = f"""#!{sys.executable} -IS
import os, sys
from pathlib import Path

line = " ".join(sys.argv[1:])
with open(os.environ["CALLS"], "a") as calls:
    print(line, file=calls)

def given(option):
    folder = Path(sys.argv[sys.argv.index(option) + 1])
    folder.mkdir(parents=True, exist_ok=True)
    return folder

if os.environ["BROKEN"] in line:
    sys.exit(3)
if "--export" in line:
    (given("--to") / f"{CODEC}-{{sys.argv[3]}}.safetensors").write_text("weights")
elif "train_zoo.py" in line:
    for suffix in ("pt", "best.pt"):
        (given("--runs") / f"{CODEC}-{{sys.argv[3]}}.{{suffix}}").write_text("weights")
    (given("--runs") / f"{CODEC}-{{sys.argv[3]}}.csv").write_text("step,loss\\n0,2\\n5,1\\n")
elif "table1" in line:
    (given("--rows") / "any.csv").write_text("rows")
    (given("--out") / "table1-kodak.md").write_text("table")
"""


@pytest.mark.skipif(not shutil.which("timeout"), reason="GNU coreutils are absent")
@pytest.mark.parametrize(
    ("broken", "measured", "fewer"),
    [
        ("nothing", "trained", []),
        ("test_cuda.py", "trained", []),
        (f"train_zoo.py {CODEC} 2 --device", "trained", [f"{CODEC}-2.best.pt"]),
        (f"train_zoo.py {CODEC} 4 --export", CODEC, []),
        ("table1", "trained", ["table1.md", "table1-rows.csv"]),
    ],
)
def test_a_session(broken: str, measured: str, fewer: list[str], tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    shutil.copytree(SCRIPT.parent, tmp_path / "checkout/scripts", ignore=_all_but_the_session)
    calls, out = tmp_path / "calls", tmp_path / "out"
    own = {"PYTHON": str(python), "CALLS": str(calls), "BROKEN": broken}
    done = subprocess.run(
        [tmp_path / "checkout/scripts/gpu_session.sh", out],
        env=os.environ | own | {"DEVICE": "cpu", "MINUTES": "0.1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == (broken != "nothing"), done.stdout + done.stderr
    lines = calls.read_text().splitlines()
    pieces = ["import torch", "test_cuda.py", *4 * ["--minutes 0.016"], *4 * ["--export"]]
    pieces += ["table1", "timing.py"]
    assert len(lines) == len(pieces)
    assert all(piece in line for piece, line in zip(pieces, lines))
    assert all(f"--codec{s} {measured} " in line for s, line in zip(("s", ""), lines[-2:]))
    files = {"session.log", "training.csv", "table1.md", "table1-rows.csv"}
    files |= {f"{CODEC}-{quality}.best.pt" for quality in (1, 2, 3, 4)}
    assert {path.name for path in out.iterdir()} == files - set(fewer)
    checks = (out / "training.csv").read_text().splitlines()
    assert checks[:2] == ["run,step,loss", f"{CODEC}-1.csv,0,2"]
    assert len(checks) == 9 - 2 * (f"{CODEC}-2.best.pt" in fewer)


def _all_but_the_session(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name != SCRIPT.name]


def test_what_is_packed_is_small_and_complete(tmp_path: Path) -> None:
    for folder in ("data", "test", "runs"):
        (tmp_path / folder).mkdir()
    for i in range(3):
        write_png(tmp_path / f"data/{i}.png", photo(96, 128, seed=i))
        write_png(tmp_path / f"test/{i}.png", photo(64, 64, seed=i))
    (tmp_path / f"runs/{CODEC}-2.best.pt").write_bytes(b"weights")
    (tmp_path / f"runs/{CODEC}-2.pt").write_bytes(b"all of the state")
    to = tmp_path / "packed"
    options = [f"--{name}={tmp_path / name}" for name in ("data", "test", "runs")]
    argv = [f"--to={to}", "--limit=2", "--no-wheels", *options]
    gpu_pack.main(argv)
    found = sorted(str(path.relative_to(to)) for path in to.rglob("*.*"))
    assert found == [
        *("images/0.png", "images/1.png"),
        *("photographs/0.jpg", "photographs/1.jpg", "photographs/2.jpg"),
        f"runs/{CODEC}-2.best.pt",
    ]
    error = (read_image(to / "photographs/0.jpg") - photo(96, 128, seed=0)).square().mean()
    assert -10 * error.log10() > 30  # of a picture with noise
    with pytest.raises(InputError, match="packed exists already: delete it"):
        gpu_pack.main(argv)
