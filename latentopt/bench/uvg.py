"""The UVG data set (https://ultravideo.fi): seven 1080p sequences, each a raw file in a 7z archive.

A. Mercat, M. Viitanen, J. Vanne, "UVG dataset: 50/120fps 4K sequences for video codec analysis and
development", ACM MMSys 2020; CC BY-NC. The site publishes no checksums: the unpacker checks
those inside the archive.
"""

import os
import shutil
import subprocess
from pathlib import Path

from latentopt.atomic import scratch
from latentopt.media.download import fetch

SEQUENCES = {
    "Beauty": "Beauty",
    "Bosphorus": "Bosphorus",
    "Honeybee": "HoneyBee",
    "Jockey": "Jockey",
    "ReadySteadyGo": "ReadySetGo",
    "ShakeNDry": "ShakeNDry",
    "YachtRide": "YachtRide",
}
"""The paper's name of each sequence, and the site's."""

_URL = "https://ultravideo.fi/video"
_MAGIC = b"7z\xbc\xaf\x27\x1c"
_LARGEST = 3 << 30  # bytes of an archive; the largest has about one GB
_FRAME_BYTES = 1920 * 1080 * 3 // 2
_TOOLS = {
    "7z": ("x", "-y", "-o{folder}", "{archive}"),
    "7zz": ("x", "-y", "-o{folder}", "{archive}"),
    "7za": ("x", "-y", "-o{folder}", "{archive}"),
    "bsdtar": ("-x", "-f", "{archive}", "-C", "{folder}"),
}


def file_name(name: str) -> str:
    """The raw file of a sequence, as the site calls it.

    >>> file_name("Honeybee")
    'HoneyBee_1920x1080_120fps_420_8bit_YUV.yuv'
    """
    return f"{SEQUENCES[name]}_1920x1080_120fps_420_8bit_YUV.yuv"


def download(name: str, folder: Path) -> Path:
    """Fetch a sequence into ``folder``: about 1 GB to download, 2 GB unpacked.

    Raises:
        OSError: no network, no tool to unpack 7z archives with, or another file than expected.
    """
    tool = _tool()
    target = folder / file_name(name)
    archive = target.with_name(f"{target.stem}_RAW.7z")
    try:
        fetch(f"{_URL}/{archive.name}", archive, _is_7z, _LARGEST)
        _unpack(tool, archive, target)
    finally:
        archive.unlink(missing_ok=True)
    return target


def _tool() -> str:
    found = next(filter(shutil.which, _TOOLS), None)
    if found is None:
        raise OSError(f"unpacking 7z archives needs one of {', '.join(_TOOLS)}: install p7zip")
    return found


def _is_7z(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _unpack(tool: str, archive: Path, target: Path) -> None:
    """Put the one raw file of an archive into place, after its size proved right."""
    with scratch(target.parent) as folder:
        arguments = [part.format(archive=archive, folder=folder) for part in _TOOLS[tool]]
        done = subprocess.run([tool, *arguments], capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"{tool} cannot unpack {archive.name}: {done.stderr.strip()}")
        found = list(folder.rglob("*.yuv"))
        if len(found) != 1 or found[0].stat().st_size % _FRAME_BYTES:
            raise OSError(f"{archive.name} holds no file of whole 1920x1080 frames")
        os.replace(found[0], target)
