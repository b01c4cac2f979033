"""The command's door: whatever goes wrong is one line on stderr and an exit code."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.commands import run
from support.models import photo

from latentopt import atomic
from latentopt.atomic import write_whole
from latentopt.bench.datasets import cache_root
from latentopt.cli.door import guarded
from latentopt.errors import InputError
from latentopt.media.images import write_png
from latentopt.zoo.catalog import registered

CODEC = ["--codec", "tiny-bmshj2018-factorized", "--quality", "3"]

# A process whose command prints, as `info` does; no PyTorch, so that it is quick.
PRINTER = """
    import sys
    from latentopt.cli.door import guarded

    def work() -> int:
        for _ in range(int(sys.argv[1])):
            print("a line of output")
        return 0

    sys.exit(guarded(work))
"""


def raising(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("argv", "where"),
    [
        (["encode", "x.png", "-o", ""], "what follows -o"),
        (["encode", "x.png", "--output="], "--output="),
        (["encode", ""], "what follows encode"),
        (["encode", "photos", "-o", "coded", "--manifest", ""], "what follows --manifest"),
        (["decode", "", "-o", "x.png"], "what follows decode"),
        (["compare", "x.png", ""], "what follows x.png"),
        (["truncate", "x.lo", "-o", "", "--maps", "1"], "what follows -o"),
        (["bdrate", "--codec", "tiny-mbt2018-mean", "--out", ""], "what follows --out"),
        (["zoo", "add", "mine", "", "--codec", "mbt2018-mean"], "what follows mine"),
        ([""], "the first one"),
    ],
)
def test_no_name_is_empty(
    argv: Sequence[str],
    where: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*argv) == 2
    said = f"latentopt: {where}: is empty; a variable that is not set, perhaps?\n"
    assert capsys.readouterr().err == said and not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error, code, said",
    [
        (InputError("two\nlines \x1b[2J"), 2, "two lines \\x1b[2J"),
        (OSError(28, "No space left on device", "out.csv"), 2, "out.csv: No space left on device"),
        (PermissionError(13, "Permission denied", "x"), 2, "x: Permission denied"),
        (MemoryError(), 2, "not enough memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ValueError("bad"), 70, "a mistake of latentopt's own (ValueError: bad)"),
    ],
)
def test_one_line_each(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(raising(error)) == code
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"latentopt: {said}") and err.count("\n") == 1


def test_mistakes_of_ours_have_a_traceback_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTOPT_DEBUG", "1")
    with pytest.raises(ValueError, match="bad"):
        guarded(raising(ValueError("bad")))


def test_handlers_of_signals_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    assert guarded(lambda: 0) == 0
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.parametrize("count", [1, 100_000])
@pytest.mark.parametrize(
    "line, codes, said",
    [
        ('"$@" | true; exit ${PIPESTATUS[0]}', (0, 141), ""),
        ('"$@" > /dev/full', (2,), "No space left on device"),
        ('"$@" >&-', (0,), ""),
        ('"$@" 2>&- >&-', (0,), ""),
        ('"$@" 2> /dev/full > /dev/full', (2,), ""),
    ],
)
def test_closed_and_full_streams(line: str, codes: Sequence[int], said: str, count: int) -> None:
    """Of little output, which is flushed at the end, and of more than a pipe holds."""
    words = ["bash", "-c", line, "bash", sys.executable, "-c", textwrap.dedent(PRINTER), str(count)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in codes, done.stderr
    assert said in done.stderr and done.stderr.count("\n") == bool(said)
    assert count == 1 or done.returncode or ">&-" in line


def test_a_closed_stdout_does_not_keep_files_from_being_written(tmp_path: Path) -> None:
    write_png(tmp_path / "x.png", photo(48, 64))
    argv = [sys.executable, "-m", "latentopt", "encode", "x.png", "-o", "x.lo", *CODEC]
    words = ["bash", "-c", '"$@" >&- 2>&-', "bash", *argv]
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, cwd=tmp_path, env={**os.environ, **path}, check=False)
    assert done.returncode == 0 and (tmp_path / "x.lo").stat().st_size > 24


def test_names_that_are_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"caf\xe9")
    write_png(tmp_path / f"{name}.png", photo(48, 64))
    coded, decoded = tmp_path / f"{name}.lo", tmp_path / f"{name}-d.png"
    assert run("encode", tmp_path / f"{name}.png", "-o", coded, *CODEC) == 0
    assert run("decode", coded, "-o", decoded, *CODEC) == 0
    assert decoded.stat().st_size > 100
    assert run("info", tmp_path / f"{name}-none.lo") == 2
    assert "caf\\udce9-none.lo" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv, said",
    [
        ("encode x.png -o o.lo CODEC --step 1e-300", "step 1e-300"),
        ("encode x.png -o /dev/stdout CODEC", "device or pipe"),
        ("decode x.lov -o o.mkv CODEC", "x.lov: format version"),
        ("bdrate --data x.png CODEC2 --qualities inf", "whole numbers"),
        ("bdrate --data x.png CODEC2 --threads 99999999", "must be from 1 to"),
        ("bdrate --data x.png CODEC2 --device foo", "device 'foo'"),
        ("bdrate --data x.png CODEC2 --out x.png", "cannot write x.png/measurements.csv"),
    ],
)
def test_numbers_and_places(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_png(tmp_path / "x.png", photo(48, 64))
    write_whole(tmp_path / "x.lov", b"\xacLV damaged")
    line = argv.replace("CODEC2", " ".join(CODEC[:2])).replace("CODEC", " ".join(CODEC))
    assert run(*line.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("latentopt: ") and err.count("\n") == 1
    assert said in err


def test_without_a_home_or_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A container's user without a home, whose cache cannot be written either."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    monkeypatch.delenv("LATENTOPT_DATA", raising=False)
    argv = ["bdrate", "--codec", "tiny-bmshj2018-factorized", "--data", "clic2020"]
    assert run(*argv, "--out", tmp_path / "out") == 2
    err = capsys.readouterr().err
    assert "data set clic2020 is not here and cannot be downloaded" in err


@pytest.fixture
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without HOME whom the system does not know, as in many containers."""

    def unknown(number: int) -> None:
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "LATENTOPT_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.chdir(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="other systems keep homes elsewhere")
def test_a_user_whom_the_system_does_not_know(homeless: None, tmp_path: Path) -> None:
    """What needs no home works; nothing is made in a folder that is called ~, either."""
    write_png(tmp_path / "x.png", photo(48, 64))
    assert run("encode", "x.png", "--preset", "plain", *CODEC) == 0
    assert run("decode", "x.lo", "-o", "y.png") == 0
    assert run("zoo", "list") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"x.png", "x.lo", "y.png"}
    for folder in (cache_root(), registered().path):
        assert not folder.exists()
        with pytest.raises(OSError):
            folder.mkdir(parents=True)


def test_a_home_of_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_png(tmp_path / "x.png", photo(48, 64))
    weights = "~no-such-user/x.pt"
    for argv in (["encode", "x.png", "--weights", weights], ["zoo", "add", "mine", weights]):
        assert run(*argv, "--codec", "bmshj2018-factorized") == 2
        assert weights in capsys.readouterr().err


@pytest.mark.parametrize("command", ["decode -o y.png", "info", "explain", "encode -o y.lo"])
def test_files_without_an_end(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(atomic, "_LARGEST", 1 << 24)  # rather than a gibibyte
    monkeypatch.chdir(tmp_path)
    verb, *options = command.split()
    assert run(verb, "/dev/zero", *options) == 2
    err = capsys.readouterr().err
    assert "larger than" in err or "not a readable image" in err
