"""Finding data sets by name and path, and fetching them."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentopt.bench import datasets
from latentopt.bench.datasets import resolve
from latentopt.errors import DataError, InputError
from latentopt.media.images import read_image
from latentopt.media.rgb import image_size

SHARED = Path("..") / "shared" / "data"


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory and cache without any data set."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LATENTOPT_DATA", raising=False)
    return tmp_path


def write_images(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        Image.new("RGB", (4, 4), (i, 0, 0)).save(folder / name)


def test_sample_needs_no_download(nowhere: Path) -> None:
    sample = resolve("sample")
    assert len(sample.paths) >= 3
    for path in sample.paths:
        width, height = image_size(path)
        assert read_image(path).shape == (1, 3, height, width)


def test_folder_file_and_glob(tmp_path: Path) -> None:
    write_images(tmp_path, ["b.png", "a.JPG", "c.png"])
    (tmp_path / "notes.txt").touch()
    assert resolve(str(tmp_path)).names == ("a.JPG", "b.png", "c.png")
    assert resolve(str(tmp_path / "*.png")).names == ("b.png", "c.png")
    assert resolve(str(tmp_path / "b.png")).names == ("b.png",)
    assert resolve(str(tmp_path)).first(2).names == ("a.JPG", "b.png")
    with pytest.raises(InputError, match="at least 1"):
        resolve(str(tmp_path)).first(0)
    with pytest.raises(DataError, match="names no file; known data sets: kodak"):
        resolve("kodiak")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        resolve(str(tmp_path / "empty"))


def test_equal_file_names_stay_distinct(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_images(tmp_path / folder, ["x.png"])
    assert len(set(resolve(str(tmp_path / "*" / "x.png")).names)) == 2


def test_named_sets_in_shared_are_the_genuine_ones() -> None:
    if not SHARED.is_dir():
        pytest.skip("../shared is absent")
    kodak = resolve("kodak")
    assert len(kodak.paths) == 24
    assert datasets._is_genuine(SHARED / "kodak" / "kodim07.png", "kodak")
    assert not datasets._matches("kodak", "kodim08.png", SHARED / "kodak" / "kodim07.png")
    assert len(resolve("clic2020").paths) >= 28


def test_several_folders_are_searched_in_order(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [nowhere / name for name in ("first", "second")]
    monkeypatch.setenv("LATENTOPT_DATA", os.pathsep.join(map(str, folders)))
    for folder in folders[::-1]:
        write_images(folder / "kodak", [f"kodim{i:02}.png" for i in range(1, 25)])
        assert resolve("kodak").paths[0].parent == folder / "kodak"


def test_environment_comes_first(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTOPT_DATA", str(nowhere / "data"))
    write_images(nowhere / "data" / "kodak", [f"kodim{i:02}.png" for i in range(1, 25)])
    assert resolve("kodak").paths[0].parent == nowhere / "data" / "kodak"


def fake_checksums(monkeypatch: pytest.MonkeyPatch, source: Path, data: str) -> None:
    """Declare the images in ``source`` to be the genuine ones."""
    import hashlib

    digests = {}
    for path in sorted(source.glob("*.png")):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        head = f"{pixels.shape[1]}x{pixels.shape[0]}:".encode()
        digests[path.name] = hashlib.sha256(head + pixels.tobytes()).hexdigest()
    monkeypatch.setattr(datasets, "_checksums", lambda name: {data: digests}[name])


def test_kodak_download_resumes_and_verifies(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, names = nowhere / "site", [f"kodim{i:02}.png" for i in range(1, 25)]
    write_images(site, names)
    fake_checksums(monkeypatch, site, "kodak")
    monkeypatch.setattr(datasets, "_KODAK_URL", site.as_uri())
    (site / "kodim24.png").rename(site / "hidden")
    with pytest.raises(DataError, match=r"cannot be downloaded.*24 PNG files into .*kodak"):
        resolve("kodak")
    write_images(site, ["kodim24.png"])  # other pixels than the genuine one
    with pytest.raises(DataError, match="checksum differs"):
        resolve("kodak")
    (site / "kodim24.png").unlink()
    (site / "hidden").rename(site / "kodim24.png")
    found = resolve("kodak")
    assert list(found.names) == names
    assert found.paths[0].parent == nowhere / "cache" / "latentopt" / "data" / "kodak"


def test_clic_archive_is_verified(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(nowhere / "clic", ["a.png", "b.png"])
    fake_checksums(monkeypatch, nowhere / "clic", "clic2020")
    archive = nowhere / "professional_valid_2020.zip"
    monkeypatch.setattr(datasets, "_CLIC_URL", archive.as_uri())
    with pytest.raises(DataError, match="41 PNG files"):
        resolve("clic2020")
    with zipfile.ZipFile(archive, "w") as content:
        content.write(nowhere / "clic" / "a.png", "valid/a.png")
    with pytest.raises(DataError, match=r"b\.png differs"):
        resolve("clic2020")
    with zipfile.ZipFile(archive, "w") as content:
        content.write(nowhere / "clic" / "a.png", "valid/a.png")
        content.write(nowhere / "clic" / "b.png", "valid/b.png")
        content.writestr("__MACOSX/valid/._a.png", b"junk")
    assert resolve("clic2020").names == ("a.png", "b.png")
    assert [p.name for p in (nowhere / "cache" / "latentopt" / "data").iterdir()] == ["clic2020"]
