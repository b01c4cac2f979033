"""`latentopt truncate`, and what the other commands say and do with files in maps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.commands import Refused, pixels, run
from support.models import photo
from support.one_hot import one_hot

from latentopt import Container, zoo
from latentopt.media.images import to_uint8, write_png

Printed = pytest.CaptureFixture[str]

_WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from latentopt.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    write_png(tmp_path / "x.png", photo(50, 70))
    return tmp_path / "x.png"


@pytest.fixture
def coded(image: Path) -> Path:
    """Of the default codec."""
    assert run("encode", image, "--progressive", "--quant", "int") == 0
    return image.with_suffix(".lo")


@pytest.fixture
def refused(tmp_path: Path, capsys: Printed) -> Refused:
    return Refused(tmp_path, capsys)


def maps_of(path: Path) -> int:
    return len(Container.from_bytes(path.read_bytes()).maps)


def test_a_file_is_cut_without_its_model(coded: Path, tmp_path: Path, capsys: Printed) -> None:
    data, count = coded.read_bytes(), maps_of(coded)
    capsys.readouterr()
    argv = ["truncate", str(coded), "-o", str(tmp_path / "a.lo"), "--maps", "2"]
    done = subprocess.run([sys.executable, "-c", _WITHOUT_TORCH, *argv], capture_output=True)
    assert done.returncode == 0, done.stderr
    cut = (tmp_path / "a.lo").read_bytes()
    said = f"{len(cut)} of {len(data)} bytes, 2 of {count} maps: {tmp_path / 'a.lo'}\n"
    assert done.stdout.decode() == said
    assert data.startswith(cut) and maps_of(tmp_path / "a.lo") == 2
    assert run("decode", tmp_path / "a.lo", "-o", tmp_path / "a.png") == 0
    codec = zoo.load("tiny-mbt2018-mean", 3)
    import latentopt

    codec = latentopt.wrap(codec, quant="int", progressive=True)
    assert torch.equal(pixels(tmp_path / "a.png"), to_uint8(codec.load(coded, maps=2)))


def test_the_standard_output_is_one(coded: Path) -> None:
    argv = ["truncate", str(coded), "-o", "-", "--maps", "2"]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, *argv], capture_output=True, cwd=coded.parent
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == Container.from_bytes(coded.read_bytes()).cut(2).to_bytes()
    assert b"2 of" in done.stderr and not (coded.parent / "-").exists()


def test_as_many_maps_as_fit(coded: Path, tmp_path: Path, capsys: Printed) -> None:
    whole = Container.from_bytes(coded.read_bytes())
    sizes = [len(whole.cut(k).to_bytes()) for k in range(maps_of(coded) + 1)]
    for most in (sizes[1], sizes[3] - 1, sizes[3], sizes[-1], 10 * sizes[-1]):
        assert run("truncate", coded, "-o", tmp_path / "b.lo", "--bytes", most) == 0
        size = (tmp_path / "b.lo").stat().st_size
        assert size == max(own for own in sizes if own <= most)
    capsys.readouterr()
    assert run("truncate", coded, "-o", tmp_path / "b.lo", "--maps", 999) == 0
    assert (tmp_path / "b.lo").read_bytes() == coded.read_bytes()
    assert capsys.readouterr().out.endswith(f"maps: {tmp_path / 'b.lo'} (replaced)\n")
    (tmp_path / "folder").mkdir()
    assert run("truncate", coded, "-o", tmp_path / "folder") == 0
    assert (tmp_path / "folder" / coded.name).read_bytes() == coded.read_bytes()


def test_the_preset_stays_the_default(image: Path) -> None:
    assert run("encode", image, "--progressive") == 0
    unnamed = image.with_suffix(".lo").read_bytes()
    assert run("encode", image, "--progressive", "--preset", "default") == 0
    assert image.with_suffix(".lo").read_bytes() == unnamed


def test_what_cannot_be_cut(coded: Path, image: Path, tmp_path: Path, refused: Refused) -> None:
    assert run("encode", image, "-o", tmp_path / "plain.lo", "--preset", "plain") == 0
    refused.capsys.readouterr()
    out = tmp_path / "c.lo"
    refused("the header and the first map take", "truncate", coded, "-o", out, "--bytes", 20)
    refused("not allowed with argument", "truncate", coded, "-o", out, "--maps", 1, "--bytes", 9)
    refused("is an input too", "truncate", coded, "-o", coded, "--maps", 1)
    refused("this file is in one piece", "truncate", tmp_path / "plain.lo", "-o", out, "--maps", 1)
    refused("--progressive excludes --context: ", "encode", image, "--progressive", "--context")
    assert not out.exists()


def test_damage_is_named_and_what_is_before_it_decoded(
    coded: Path, tmp_path: Path, capsys: Printed
) -> None:
    data, whole = bytearray(coded.read_bytes()), Container.from_bytes(coded.read_bytes())
    data[len(whole.cut(4).to_bytes()) - 5] ^= 4
    coded.write_bytes(data)
    capsys.readouterr()
    assert run("decode", coded, "-o", tmp_path / "d.png") != 0
    error = capsys.readouterr().err
    assert f"{coded}: map 4 is corrupt: its checksum differs; decoded from the 3 before" in error
    assert run("truncate", coded, "-o", tmp_path / "d.lo", "--maps", 5) == 0
    said = capsys.readouterr()
    assert f", 3 of 3 whole maps: {tmp_path / 'd.lo'}\n" in said.out
    wrong = "map 4 is corrupt: its checksum differs; only the 3 before it are whole"
    assert said.err == f"latentopt: {coded}: {wrong}\n"
    assert run("truncate", coded, "-o", tmp_path / "m.lo", "--maps", 3) == 0
    assert run("truncate", coded, "-o", tmp_path / "d.lo") == 0  # mends it
    assert (tmp_path / "d.lo").read_bytes() == (tmp_path / "m.lo").read_bytes()
    capsys.readouterr()
    assert run("explain", coded) == 2
    error = capsys.readouterr().err
    assert error.endswith(
        "latentopt decode shows the 3 before it, latentopt truncate mends the file\n"
    )
    assert run("decode", tmp_path / "d.lo", "-o", tmp_path / "e.png") == 0
    assert (tmp_path / "d.png").read_bytes() == (tmp_path / "e.png").read_bytes()
    assert run("info", coded, "--json") == 0
    found = json.loads(capsys.readouterr().out.partition("{")[2].join(["{", ""]))
    assert found["maps"] == 3 and found["damage"] == "map 4 is corrupt: its checksum differs"


def test_of_several_files_the_damaged_one_counts_as_failed(
    coded: Path, tmp_path: Path, capsys: Printed
) -> None:
    folder = tmp_path / "coded"
    folder.mkdir()
    data = coded.read_bytes()
    (folder / "good.lo").write_bytes(data)
    (folder / "short.lo").write_bytes(data[:-3])
    assert run("decode", folder, "-o", tmp_path / "out") == 1
    assert "ends early; decoded from the" in capsys.readouterr().err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["good.png", "short.png"]


def test_info_and_explain(coded: Path, capsys: Printed) -> None:
    count = maps_of(coded)
    capsys.readouterr()
    assert run("info", coded) == 0
    assert f"progressive:    {count} maps\n" in capsys.readouterr().out
    assert run("explain", coded, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["string_bytes"] == sum(latent["string_bytes"] for latent in found["latents"])
    assert run("explain", coded) == 0
    said = capsys.readouterr().out
    assert "progressive" in said and "lengths" not in said


def test_a_codec_of_ones_own(image: Path, tmp_path: Path, capsys: Printed) -> None:
    torch.save(one_hot().state_dict(), tmp_path / "w.pt")
    named = ("--codec", "tiny-ohm", "--weights", tmp_path / "w.pt")
    assert run("encode", image, *named) == 0
    assert run("truncate", image.with_suffix(".lo"), "-o", tmp_path / "s.lo", "--maps", 2) == 0
    assert run("decode", tmp_path / "s.lo", "-o", tmp_path / "s.png", *named) == 0
    assert pixels(tmp_path / "s.png").shape == (3, 50, 70)
    capsys.readouterr()
    assert run("explain", tmp_path / "s.lo", *named) == 0
    assert "absent" in capsys.readouterr().out
