"""Data sets of named images: `kodak`, `clic2020`, `sample`, or any folder, file or glob."""

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from glob import glob
from importlib.resources import files
from pathlib import Path

import numpy as np
import skimage

from latentopt.atomic import at_home, scratch
from latentopt.errors import DataError, InputError
from latentopt.media import IMAGE_SUFFIXES
from latentopt.media.download import fetch
from latentopt.media.images import read_samples, to_uint8

_KODAK_URL = "https://r0k.us/graphics/kodak/kodak"
_CLIC_URL = "https://data.vision.ee.ethz.ch/cvl/clic/professional_valid_2020.zip"
_LARGEST_IMAGE = 1 << 23  # bytes, of Kodak's photographs; the largest has not a megabyte
_LARGEST_SET = 1 << 30  # bytes, of CLIC's images together
# RGB photographs that every scikit-image wheel holds, so that they need no download.
_SAMPLE = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")


def _text(name: str) -> str:
    """A file's name as UTF-8 can hold it, which not every name is."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True)
class Dataset:
    """Named images in a fixed order."""

    name: str
    paths: tuple[Path, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """One distinct name per item: `label`, or the path where two items share it."""
        short = [_text(self.label(p)) for p in self.paths]
        pairs = zip(short, self.paths)
        return tuple(n if short.count(n) == 1 else _text(str(p)) for n, p in pairs)

    @staticmethod
    def label(path: Path) -> str:
        """A short name: the file's."""
        return path.name

    def first(self, n: int) -> "Dataset":
        """The first ``n`` items."""
        if n < 1:
            raise InputError(f"the first {n} of a data set: needs at least 1")
        return replace(self, paths=self.paths[:n])


@dataclass(frozen=True)
class PublishedSet:
    """What published rate-distortion curves were measured on."""

    key: str
    """Name for `published.published_curve`."""
    images: int
    """Or clips."""


_PUBLISHED = {
    "kodak": PublishedSet("kodak", 24),
    "clic2020": PublishedSet("clic2020-professional", 41),
    "uvg": PublishedSet("uvg", 7),
}


def published_set(data: str) -> PublishedSet | None:
    """The published set that ``data`` names, if any.

    >>> published_set("kodak")
    PublishedSet(key='kodak', images=24)
    """
    return _PUBLISHED.get(data)


@dataclass(frozen=True)
class _Known:
    folders: tuple[str, ...]
    minimum: int
    """Fewer images than this in a folder: it is not the data set."""


_KNOWN = {
    "kodak": _Known(("kodak",), 24),
    # 28 of the 41 images circulate as a subset: usable, but not against published curves.
    "clic2020": _Known(("clic2020", "clic"), 1),
}


def names() -> tuple[str, ...]:
    """Data sets known by name.

    >>> names()
    ('kodak', 'clic2020', 'sample')
    """
    return (*_KNOWN, "sample")


def resolve(data: str) -> Dataset:
    """The data set called ``data``, or the images of a folder, file or glob (DataError if none).

    Named sets are looked for in the folders of $LATENTOPT_DATA and the user's cache, then
    downloaded.

    >>> [p.name for p in resolve("sample").paths]
    ['astronaut.png', 'chelsea.png', 'coffee.png', 'rocket.jpg']
    """
    if data in _KNOWN:
        return _named(data)
    if data == "sample":
        return _sample()
    return Dataset(data, _from_path(Path(os.path.expanduser(data))))


def _from_path(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        return (path,)
    if path.is_dir():
        found = _images_in(path)
    else:
        found = tuple(sorted(p for p in map(Path, glob(str(path))) if p.is_file()))
    if not found:
        what = f"holds no image ({', '.join(IMAGE_SUFFIXES)})" if path.is_dir() else "names no file"
        raise DataError(f"{path} {what}; known data sets: {', '.join(names())}")
    return found


def _images_in(folder: Path) -> tuple[Path, ...]:
    return tuple(
        sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    )


def _sample() -> Dataset:
    folder = Path(skimage.__file__).parent / "data"
    found = tuple(folder / name for name in _SAMPLE if (folder / name).is_file())
    if not found:
        raise DataError(f"scikit-image ships no sample photographs in {folder}; use another set")
    return Dataset("sample", found)


def _named(name: str) -> Dataset:
    known = _KNOWN[name]
    folders = [root / folder for root in roots() for folder in known.folders]
    for folder in folders:
        if folder.is_dir():
            found = _images_in(folder)
            if len(found) >= known.minimum:
                return Dataset(name, found)
    target = cache_root() / name
    try:
        _DOWNLOADS[name](target)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"data set {name} is not here and cannot be downloaded ({error}); put its "
            f"{_PUBLISHED[name].images} PNG files into {target}{also_in(folders, target)}"
        ) from error
    return Dataset(name, _images_in(target))


def also_in(folders: Sequence[Path], target: Path) -> str:
    """Where else a data set was looked for than where it shall be put, for messages."""
    others = [str(folder) for folder in dict.fromkeys(folders) if folder != target]
    return f" (also looked in: {', '.join(others)})" if others else ""


def roots() -> list[Path]:
    """Where data sets are looked for: the folders of $LATENTOPT_DATA, then the user's cache.

    Folders are separated as in $PATH: by a colon, on Windows by a semicolon.
    """
    folders = os.environ.get("LATENTOPT_DATA", "").split(os.pathsep)
    return [*(Path(os.path.expanduser(folder)) for folder in folders if folder), cache_root()]


def cache_root() -> Path:
    """Where data sets are downloaded to: latentopt/data in $XDG_CACHE_HOME or ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return at_home(cache) / "latentopt" / "data"


def _download_kodak(target: Path) -> None:
    for name in _checksums("kodak"):
        if not _is_genuine(target / name, "kodak"):
            genuine = partial(_matches, "kodak", name)
            fetch(f"{_KODAK_URL}/{name}", target / name, genuine, _LARGEST_IMAGE)


def _download_clic(target: Path) -> None:
    archive = target.parent / _CLIC_URL.rsplit("/", 1)[-1]
    try:
        fetch(_CLIC_URL, archive, zipfile.is_zipfile)
        _unpack_clic(archive, target)
    finally:
        archive.unlink(missing_ok=True)


def _unpack_clic(archive: Path, target: Path) -> None:
    """Move the archive's images into place together, after those we know proved genuine."""
    with scratch(target.parent) as temporary:
        staging = temporary / target.name
        staging.mkdir()
        with zipfile.ZipFile(archive) as content:
            if sum(member.file_size for member in content.infolist()) > _LARGEST_SET:
                raise OSError(f"{_CLIC_URL} would unpack to more than {_LARGEST_SET} bytes")
            for member in content.infolist():
                name = Path(member.filename).name
                if name.lower().endswith(".png") and not name.startswith("."):
                    (staging / name).write_bytes(content.read(member))
        wrong = [n for n in _checksums("clic2020") if not _is_genuine(staging / n, "clic2020")]
        if wrong:
            raise OSError(f"{_CLIC_URL} holds other images than CLIC 2020's: {wrong[0]} differs")
        os.replace(staging, target)


_DOWNLOADS = {"kodak": _download_kodak, "clic2020": _download_clic}


@cache
def _checksums(name: str) -> dict[str, str]:
    text = files("latentopt.bench").joinpath("data/checksums.json").read_text()
    return json.loads(text)[name]


def _is_genuine(path: Path, data: str) -> bool:
    return path.is_file() and _matches(data, path.name, path)


def _matches(data: str, name: str, path: Path) -> bool:
    """Whether the pixels are those of the known image, however its PNG was compressed."""
    try:
        pixels = to_uint8(read_samples(path)).permute(1, 2, 0)
    except DataError:
        return False
    height, width, _ = pixels.shape
    digest = hashlib.sha256(f"{width}x{height}:".encode())
    digest.update(np.ascontiguousarray(pixels.numpy()).tobytes())
    return digest.hexdigest() == _checksums(data)[name]
