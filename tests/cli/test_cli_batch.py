"""Folders, globs and standard streams: what becomes of each file, and what programs are told."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.commands import Refused, pixels, run
from support.folders import SIZES, photos, weights
from support.models import photo

from latentopt.cli.main import main
from latentopt.cli.sources import Kind, plan
from latentopt.media.images import write_png

__all__ = ["photos", "weights"]

KIND = Kind("image", (".png", ".jpg"), becomes=".lo")


@pytest.fixture
def model(weights: Path) -> list[str]:
    return ["--codec", "mbt2018-mean", "--weights", str(weights), "--quant", "int"]


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    return Refused(tmp_path, capsys)


class Pipe:
    """A standard stream of bytes."""

    def __init__(self, content: bytes = b""):
        self.buffer = io.BytesIO(content)

    def isatty(self) -> bool:
        return False

    def flush(self) -> None:
        self.buffer.flush()


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# -- folders and globs -----------------------------------------------------------------------------


def test_a_folder_and_back(photos: Path, model: list[str], tmp_path: Path) -> None:
    """In two processes or in this one, the files are those of single calls."""
    coded, alike, decoded = tmp_path / "coded", tmp_path / "alike", tmp_path / "decoded"
    assert run("encode", photos, "-o", coded, *model, "--jobs", 2) == 0
    assert run("encode", photos, "-o", alike, *model) == 0
    assert set(files_in(coded)) == {"a.lo", "sub/a.lo", "sub/deep/b.lo"}
    assert files_in(coded) == files_in(alike)
    assert run("encode", photos / "sub/a.png", "-o", tmp_path / "a.lo", *model) == 0
    assert (tmp_path / "a.lo").read_bytes() == (coded / "sub/a.lo").read_bytes()
    assert run("decode", coded, "-o", decoded, *model[:-2]) == 0
    assert {name: pixels(decoded / name).shape[1:] for name in files_in(decoded)} == {
        name.replace("PNG", "png"): size for name, size in SIZES.items()
    }


def test_a_broken_file_is_named_and_the_rest_done(
    photos: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "broken.png").write_text("no image")
    assert run("encode", photos, "-o", tmp_path / "coded", *model) == 1
    out, err = capsys.readouterr()
    assert out.count("\n") == len(SIZES) == len(files_in(tmp_path / "coded"))
    first, last = err.splitlines()
    assert first.startswith(f"latentopt: {photos}/broken.png: not a readable image")
    assert last == "latentopt: 1 of 4 files failed"


def test_beside_the_photographs(photos: Path, model: list[str]) -> None:
    before = set(files_in(photos))
    assert run("encode", f"{photos}/**/a.png", photos / "sub/a.png", *model) == 0
    assert set(files_in(photos)) - before == {"a.lo", "sub/a.lo"}


def test_what_exists_is_kept_or_said_to_be_replaced(
    photos: Path, model: list[str], refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    image, kept = photos / "a.png", photos / "a.lo"
    kept.write_bytes(b"precious")
    refused("a.lo: exists, and --no-clobber keeps it", "encode", image, *model, "--no-clobber")
    assert run("encode", photos, *model, "--no-clobber") == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == len(SIZES) - 1 and "(replaced)" not in out
    assert err == f"latentopt: {kept}: exists, and --no-clobber keeps it\n"
    assert kept.read_bytes() == b"precious"
    assert run("encode", image, *model) == 0
    assert capsys.readouterr().out.endswith(f": {kept} (replaced)\n")
    assert kept.read_bytes() != b"precious"


def test_plans(photos: Path, tmp_path: Path) -> None:
    found = plan([Path(f"{photos}/s*/**/*.png"), photos / "a.png"], tmp_path / "out", KIND)
    names = {str(job.output.relative_to(tmp_path / "out")) for job in found.jobs}
    assert found.is_batch and names == {"sub/a.lo", "a.lo"}
    (photos / "[1].png").write_bytes(b"")
    [job] = plan([photos / "[1].png"], None, KIND).jobs
    assert job.output == photos / "[1].lo"


def test_plans_that_would_lose_something(
    photos: Path, model: list[str], refused: Refused, tmp_path: Path
) -> None:
    encode, out = ["encode", *model], tmp_path / "out"
    refused("would both become .*/a.lo", *encode, photos / "a.png", photos / "sub/a.png", "-o", out)
    refused("no image or clip matches", *encode, f"{photos}/*.tiff", "-o", out)
    refused("is no folder, and several", *encode, photos, "-o", photos / "notes.txt")
    (tmp_path / "empty").mkdir()
    refused("no image or clip in this folder", *encode, tmp_path / "empty")
    refused("no such image", *encode, tmp_path / "absent.png")
    refused("a standard stream holds one image", *encode, photos, "-o", "-")
    refused("'0' is not a number of files at once", *encode, photos, "--jobs", "0")


def test_a_size_beyond_the_limit(
    photos: Path,
    model: list[str],
    refused: Refused,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    coded = tmp_path / "a.lo"
    limit = ["--max-pixels", 3499]
    refused("70x50 is more than .* 3499 pixels", "encode", photos / "a.png", *model, *limit)
    assert run("encode", photos / "a.png", "-o", coded, *model, "--max-pixels", 3500) == 0
    capsys.readouterr()
    decode = ["decode", coded, "-o", tmp_path / "a.png", *model[:-2]]
    refused("70x50 is more than 3499 pixels; --max-pixels", *decode, *limit)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="/proc tells of processes")
def test_an_interrupt_ends_all_processes(photos: Path, model: list[str], tmp_path: Path) -> None:
    write_png(photos / "0.png", photo(300, 400))
    for i in range(1, 40):
        shutil.copy(photos / "0.png", photos / f"{i}.png")
    argv = ["encode", str(photos), "-o", str(tmp_path / "out"), *model, "--preset", "best"]
    process = subprocess.Popen(
        [sys.executable, "-m", "latentopt", *argv, "--jobs", "2"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while len(children.read_text().split()) < 3 and process.poll() is None:
        time.sleep(0.2)  # two workers, and the process that counts their resources
    workers = children.read_text().split()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr and process.stderr.read() == "latentopt: interrupted\n"
    deadline = time.monotonic() + 20
    while any(map(lives, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(lives, workers))
    assert not (tmp_path / "out").exists()


def lives(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- standard streams ------------------------------------------------------------------------------


def test_through_pipes(
    photos: Path,
    model: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Words go to stderr, as stdout is the file."""
    assert run("encode", photos / "a.png", "-o", tmp_path / "a.lo", *model) == 0
    coded, decoded = Pipe(), Pipe()
    monkeypatch.setattr("sys.stdin", Pipe((photos / "a.png").read_bytes()))
    monkeypatch.setattr("sys.stdout", coded)
    assert run("encode", "-", *model) == 0
    assert coded.buffer.getvalue() == (tmp_path / "a.lo").read_bytes()
    monkeypatch.setattr("sys.stdin", Pipe(coded.buffer.getvalue()))
    monkeypatch.setattr("sys.stdout", decoded)
    assert run("decode", "-", "-o", "-", *model[:-2]) == 0
    monkeypatch.undo()
    assert run("decode", tmp_path / "a.lo", "-o", tmp_path / "a.png", *model[:-2]) == 0
    assert decoded.buffer.getvalue() == (tmp_path / "a.png").read_bytes()
    assert "bytes" in (err := capsys.readouterr().err) and err.endswith("70x50: -\n")


def test_broken_pipes_are_named(
    model: list[str], refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Pipe(b"no image"))
    coded = refused.folder / "y.lo"
    refused("standard input: not a readable image", "encode", "-", "-o", coded, *model)
    monkeypatch.setattr("sys.stdin", Pipe(b"no file"))
    png = refused.folder / "y.png"
    refused("standard input: not a latentopt file", "decode", "-", "-o", png, *model[:-2])


# -- what programs are told ------------------------------------------------------------------------


def test_json(
    photos: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coded = tmp_path / "coded"
    assert run("encode", photos, "-o", coded, *model, "--json", "--versus-plain") == 0
    found = lines(capsys)
    [said] = [f for f in found if f["output"] == str(coded / "sub/deep/b.lo")]
    size = (coded / "sub/deep/b.lo").stat().st_size
    assert (said["bytes"], said["width"], said["height"]) == (size, 64, 33)
    assert said["bpp"] == pytest.approx(8 * size / (64 * 33), abs=1e-6)
    assert (said["codec"], said["weights"]) == ("mbt2018-mean", "tiny.pt")
    assert said["plain"]["bytes"] > 0 and said["seconds"] > 0 and not said["replaced"]
    assert run("decode", coded, "-o", tmp_path / "decoded", *model[:-2], "--json") == 0
    assert {(f["width"], f["height"]) for f in lines(capsys)} == {(70, 50), (40, 34), (64, 33)}
    assert run("compare", photos / "a.png", tmp_path / "decoded/a.png", "--json") == 0
    [measured] = lines(capsys)
    found_again = [f["psnr_db"] for f in found if f["input"] == str(photos / "a.png")]
    assert [round(measured["psnr_db"], 4)] == found_again


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_plain_rounding_costs_what_it_costs_alone(
    photos: Path, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["encode", photos / "a.png", *model[:-2], "--json"]
    assert run(*argv, "--quant", "oct", "--versus-plain") == 0
    assert run(*argv, "--quant", "int", "--shift", "none") == 0
    both, plain = lines(capsys)
    assert both["plain"]["bytes"] == plain["bytes"]
    assert both["plain"]["psnr_db"] == plain["psnr_db"]


def test_a_pipe_in_a_folder_is_named_and_the_rest_done(
    photos: Path, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(photos / "pipe.png")
    assert run("encode", photos, "-o", tmp_path / "coded", *model) == 1
    assert "pipe.png: is not a regular file" in capsys.readouterr().err
    assert (tmp_path / "coded" / "a.lo").is_file()


def test_one_file_goes_into_a_folder_that_is_there(
    photos: Path, model: list[str], tmp_path: Path
) -> None:
    for name in ("coded", "decoded"):
        (tmp_path / name).mkdir()
    assert run("encode", photos / "a.png", "-o", tmp_path / "coded", *model) == 0
    coded = tmp_path / "coded" / "a.lo"
    assert run("decode", coded, "-o", tmp_path / "decoded", *model[:-2]) == 0
    assert pixels(tmp_path / "decoded" / "a.png").shape == (3, 50, 70)
    coded.unlink()
    coded.mkdir()
    assert run("encode", photos / "a.png", "-o", tmp_path / "coded", *model) == 2


def test_what_the_library_refuses_is_told_in_options(
    photos: Path, model: list[str], refused: Refused
) -> None:
    encode = ("encode", photos / "a.png", "-o", refused.folder / "x.lo", *model[:-2])
    refused("latentopt: --pmf paper excludes an encoder", *encode, "--pmf", "paper", "--scales")
    contextual = ("--codec", "tiny-mbt2018", "--quant", "int")
    for option in ("--progressive", "--context"):
        refused(
            f"latentopt: {option} is for codecs that know all", *encode[:4], *contextual, option
        )


def test_what_only_switches_off_leaves_the_preset(
    photos: Path, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    encode = ("encode", photos / "a.png", *model[:-2], "--json")
    assert run(*encode, "--no-postfilter", "--shift", "none", "--lmbda", 0.02) == 0
    assert run(*encode, "--scales") == 0
    assert [said["preset"] for said in lines(capsys)] == ["default", "plain"]


def test_no_coded_file_is_called_an_image(photos: Path, model: list[str], tmp_path: Path) -> None:
    assert run("encode", photos / "a.png", "-o", tmp_path / "x.jpg", *model) == 2
    assert not (tmp_path / "x.jpg").exists()


class Full(io.StringIO):
    """A standard output that takes no more."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_stdout_is_no_fault_of_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        write_png(folder / name, photo(48, 64))
    monkeypatch.setattr(sys, "stdout", Full())
    assert main(["encode", str(folder), "-o", str(out), "--preset", "plain", "--json"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == "latentopt: standard output: No space left on device"
    assert (out / "a.lo").exists()
