"""`latentopt info`: what the header of a file says. It needs neither model nor PyTorch."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli.coded import is_video, naming, read_container

if TYPE_CHECKING:
    from latentopt.bitstream import Settings

EPILOG = """example:
  latentopt info photo.lo"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="F", help="file that encode wrote")


def run(args: argparse.Namespace) -> int:
    fields = (_clip_fields if is_video(args.file) else _image_fields)(args.file)
    for name, value in fields.items():
        print(f"{name + ':':15} {value}")
    return 0


def _image_fields(path: Path) -> dict[str, object]:
    data, container = read_container(path)
    return {
        "file": f"{path}, {len(data)} bytes",
        "format version": data[3],
        "image size": f"{container.width}x{container.height}",
        **_setting_fields(container.settings),
        "weights hash": container.weights_hash.hex(),
        "table hash": container.table_hash.hex(),
        "payload": f"{sum(map(len, container.strings))} bytes",
        "rate": f"{8 * len(data) / (container.width * container.height):.4f} bpp",
    }


def _clip_fields(path: Path) -> dict[str, object]:
    from latentopt.bitstream import count_frames, read_header

    with naming(path):
        header = read_header(path)
        keys, predicted, whole = count_frames(path)
    size = path.stat().st_size
    pixels = header.width * header.height * max(keys + predicted, 1)
    parts = {
        f"part {i} {name}": value
        for i, settings in enumerate(header.settings)
        for name, value in _setting_fields(settings).items()
    }
    return {
        "file": f"{path}, {size} bytes",
        "frame size": f"{header.width}x{header.height}",
        "frame rate": f"{float(header.rate):g} per second",
        "frames": f"{keys} key, {predicted} predicted{'' if whole else '; the file ends early'}",
        **parts,
        "weights hash": header.weights_hash.hex(),
        "table hash": header.table_hash.hex(),
        "rate": f"{8 * size / pixels:.4f} bpp",
    }


def _setting_fields(settings: "Settings") -> dict[str, object]:
    from latentopt.bitstream.headers import LATTICE

    lattice = {"lattice": settings.quant, "pmf": settings.pmf}
    return {
        **(lattice if settings.channel == LATTICE else {"channel": settings.channel}),
        "direction": settings.direction,
        "portable": "yes" if settings.portable else "no",
        "scales": "corrected" if settings.scales else "the model's",
    }
