"""The wheel, in an environment of its own, does what the README says, far from any checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from support.models import photo

from latentopt.media.images import write_png

SOURCE = ("latentopt", "pyproject.toml", "README.md", "LICENSE", "NOTICE")


def run(*command: object, cwd: Path) -> str:
    """Standard output of a command that knows nothing of the checkout."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    words = list(map(str, command))
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment that has the wheel, and finds what builds it and what it needs in ours."""
    home = tmp_path_factory.mktemp("wheel")
    source = home / "source"
    source.mkdir()
    for name in SOURCE:
        path = Path(name).resolve()
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, source / name)
    run(sys.executable, "-m", "venv", "--without-pip", home / "fresh", cwd=home)
    python = home / "fresh" / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(python, "-c", where, cwd=home).strip())
    (packages / "first.pth").write_text(sysconfig.get_path("purelib"))
    install = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-index")
    run(python, *install, "--no-deps", "--no-build-isolation", source, cwd=home)
    return python.parent


@pytest.mark.skipif(os.name == "nt", reason="its environment is laid out as on POSIX systems")
def test_the_wheel_codes_and_measures(bin_folder: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "photo.png", photo(64, 80))
    where = "import importlib.util as i; print(i.find_spec('latentopt').origin)"
    assert str(bin_folder.parent) in run(bin_folder / "python", "-c", where, cwd=tmp_path)
    command, codec = bin_folder / "latentopt", ("--codec", "tiny-bmshj2018-factorized")
    run(command, "encode", "photo.png", "-o", "x.lo", *codec, "--quality", 2, cwd=tmp_path)
    run(command, "decode", "x.lo", "-o", "x.png", *codec, "--quality", 2, cwd=tmp_path)
    measured = ("--data", "photo.png", "--limit", 1, "--configs", "baseline,hex", "--out", "rd")
    shown = run(command, "bdrate", *codec, "--qualities", "1,2,3,4", *measured, cwd=tmp_path)
    assert (tmp_path / "x.png").is_file() and "| hex |" in shown
