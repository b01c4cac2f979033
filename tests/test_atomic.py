"""Writing files: whole or not at all, through links, with the mode of what is replaced."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from latentopt.atomic import place, scratch, sweep, whole, write_whole
from latentopt.errors import InputError, LatentoptWarning

WRITER = """
    import os, signal, sys, time
    from pathlib import Path
    from latentopt.atomic import whole
    from latentopt.cli.door import guarded

    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever started the tests may ignore them
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def write() -> int:
        with whole(Path(sys.argv[1])) as temporary:
            if sys.argv[2] == "folder":
                temporary.mkdir()
                temporary = temporary / "0.png"
            temporary.write_bytes(b"half")
            print("writing", flush=True)
            time.sleep(60)
        return 0

    sys.exit(guarded(write))
"""


def start_writer(path: Path, kind: str) -> subprocess.Popen[str]:
    """A process that is in the middle of writing ``path``."""
    argv = [sys.executable, "-c", textwrap.dedent(WRITER), str(path), kind]
    writer = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert writer.stdout is not None and writer.stdout.readline() == "writing\n"
    return writer


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_signals_leave_nothing(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / "out").write_text("before") if kind == "file" else None
    writer = start_writer(tmp_path / "out", kind)
    writer.send_signal(number := getattr(signal, name))
    _, err = writer.communicate(timeout=30)
    assert writer.returncode == 128 + number
    assert err.startswith("latentopt: ") and err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == (["out"] if kind == "file" else [])
    assert kind == "folder" or (tmp_path / "out").read_text() == "before"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_is_swept_by_the_next(tmp_path: Path, kind: str) -> None:
    writer = start_writer(tmp_path / "out", kind)
    running = start_writer(tmp_path / "other", "file")  # its file is in use, and stays
    writer.kill()
    writer.communicate(timeout=30)
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.warns(LatentoptWarning, match=rf"removed {tmp_path}/\.latentopt-.*killed"):
        write_whole(tmp_path / "out", b"whole")
    (left,) = [p for p in tmp_path.iterdir() if p.name != "out"]
    assert f"-{running.pid}-" in left.name and (tmp_path / "out").read_bytes() == b"whole"
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=30)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_scratch_folder_is_removed_and_so_is_a_killed_processs(tmp_path: Path) -> None:
    writer = start_writer(tmp_path / "out", "folder")
    writer.kill()
    writer.communicate(timeout=30)
    with pytest.warns(LatentoptWarning, match="killed"), scratch(tmp_path) as folder:
        assert [p.name for p in tmp_path.iterdir()] == [folder.name]
        (folder / "x").touch()
    assert not list(tmp_path.iterdir())


def test_files_of_other_machines_and_names_are_not_swept(tmp_path: Path) -> None:
    for name in (".latentopt-00000000-1-00000000", ".latentopt-x", ".out.0123abcd"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("there", [True, False])
def test_links_stay_links(tmp_path: Path, there: bool) -> None:
    """Of one link and of a link to a link the file behind is written, in its own folder."""
    (tmp_path / "far").mkdir()
    if there:
        (tmp_path / "far/file").write_text("before")
    (tmp_path / "link").symlink_to("far/file")
    (tmp_path / "second").symlink_to("link")
    write_whole(tmp_path / "second", b"after")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "second").is_symlink()
    assert (tmp_path / "far/file").read_bytes() == b"after"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["far", "link", "second"]


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InputError, match="a link in a circle"):
        write_whole(tmp_path / "a", b"data")
    assert (tmp_path / "a").is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_the_mode_of_what_is_replaced_is_kept(tmp_path: Path, mode: int) -> None:
    (tmp_path / "out").touch()
    (tmp_path / "out").chmod(mode)
    write_whole(tmp_path / "out", b"data")
    assert (tmp_path / "out").stat().st_mode & 0o777 == mode
    write_whole(tmp_path / "new", b"data")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o666 & ~umask


def test_devices_pipes_and_sockets_are_refused(tmp_path: Path) -> None:
    """Replacing /dev/stdout by a file is what root can do by accident."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/stdout")
    (tmp_path / "null").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        names = ["/dev/null", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]
        names += [str(tmp_path / name) for name in ("pipe", "link", "null", "socket")]
        for name in names:
            with pytest.raises(InputError, match="not a regular file"):
                write_whole(name, b"data")
    assert place(Path("/dev/shm/a")) == Path("/dev/shm/a")


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    write_whole(tmp_path / ("x" * 255), b"data")
    with pytest.raises(InputError, match="File name too long"):
        write_whole(tmp_path / ("x" * 256), b"data")
    assert len(list(tmp_path.iterdir())) == 1


def test_an_empty_folder_is_replaced_and_a_full_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with whole(tmp_path / "empty") as temporary:
        temporary.mkdir()
        (temporary / "0.png").touch()
    assert [p.name for p in (tmp_path / "empty").iterdir()] == ["0.png"]
    with pytest.raises(InputError, match="folder with files"), whole(tmp_path / "empty"):
        pass
