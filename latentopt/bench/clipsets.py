"""Data sets of clips: `video`, `uvg`, or any clip file, folder of frames or of clips, or glob."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from latentopt.bench import uvg
from latentopt.bench.datasets import Dataset, also_in, cache_root, roots
from latentopt.bench.options import CLIP_SETS
from latentopt.bench.published import paper_sequences
from latentopt.errors import DataError
from latentopt.media import IMAGE_SUFFIXES
from latentopt.media.clips import READABLE

SUFFIXES = tuple(suffix for suffix in READABLE if suffix not in IMAGE_SUFFIXES)
_KINDS = f"{', '.join(SUFFIXES)}, or a folder of PNG"


@dataclass(frozen=True)
class ClipSet(Dataset):
    """Named clips in a fixed order; a path is a file, or a folder of frames."""

    @staticmethod
    def label(path: Path) -> str:
        """The sequence's name."""
        return sequence(path)


def names() -> tuple[str, ...]:
    """Data sets known by name.

    >>> names()
    ('video', 'uvg')
    """
    return CLIP_SETS


def sequence(path: Path) -> str:
    """A clip's name: the paper's, where the file is called so, else the file's or folder's.

    >>> sequence(Path("HoneyBee_1920x1080_120fps_420_8bit_YUV.yuv")), sequence(Path("beauty_2.y4m"))
    ('Honeybee', 'beauty_2')
    """
    stem = path.resolve().name if path.is_dir() else path.stem
    known = {name.lower(): name for name in paper_sequences()} | {"readysetgo": "ReadySteadyGo"}
    return known.get(re.sub(r"_\d+x\d+.*", "", stem).lower(), stem)


def resolve(data: str) -> ClipSet:
    """The data set called ``data``, or the clips of a file, folder or glob (DataError if none).

    Named sets are looked for in the folders of $LATENTOPT_DATA and the user's cache; UVG is then
    downloaded.
    """
    if data == "uvg":
        return ClipSet(data, _uvg())
    if data == "video":
        return ClipSet(data, _video())
    return ClipSet(data, _from_path(Path(os.path.expanduser(data))))


def _from_path(path: Path) -> tuple[Path, ...]:
    if _is_clip(path):
        return (path,)
    found = _clips_in(path) if path.is_dir() else _clips_of(map(Path, glob(str(path))))
    if not found:
        what = "holds" if path.is_dir() else "names"
        raise DataError(f"{path} {what} no clip ({_KINDS}); known data sets: {', '.join(names())}")
    return found


def _video() -> tuple[Path, ...]:
    folders = [root / "video" for root in roots()]
    for folder in folders:
        if found := _clips_in(folder):
            return found
    target = cache_root() / "video"
    raise DataError(
        f"data set video is not here: put clips ({_KINDS} each) into {target}, or name a path"
        f"{also_in(folders, target)}"
    )


def _uvg() -> tuple[Path, ...]:
    """The seven sequences, in the order of the paper's table."""
    folders, target = [root / "uvg" for root in roots()], cache_root() / "uvg"
    found = {sequence(path): path for folder in folders[::-1] for path in _clips_in(folder)}
    for name in uvg.SEQUENCES:
        if name in found:
            continue
        try:
            found[name] = uvg.download(name, target)
        except OSError as error:
            missing = [s for s in uvg.SEQUENCES if s not in found]
            raise DataError(
                f"UVG's {', '.join(missing)} are not here and cannot be downloaded ({error}); put "
                f"{uvg.file_name(name)} (or .y4m, or a folder of PNG called {name}) and its like "
                f"into {target}{also_in(folders, target)}"
            ) from error
    return tuple(found[name] for name in uvg.SEQUENCES)


def _clips_in(folder: Path) -> tuple[Path, ...]:
    return _clips_of(folder.iterdir()) if folder.is_dir() else ()


def _clips_of(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(sorted(path for path in paths if _is_clip(path)))


def _is_clip(path: Path) -> bool:
    if path.is_dir():
        return any(path.glob("*.png"))
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
