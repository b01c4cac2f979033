"""`latentopt info`: what the header of a file says. It needs neither model nor PyTorch."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from latentopt.cli.described import Described, describe
from latentopt.errors import counted

EPILOG = """examples:
  latentopt info photo.lo
  latentopt info clip.lov --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="F", help="file that encode wrote, or -")
    parser.add_argument("--json", action="store_true", help="print JSON: docs/reference/json.md")


def run(args: argparse.Namespace) -> int:
    found = describe(args.file)
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    for name, value in _lines(found):
        print(f"{name + ':':15} {value}")
    return 0


def _lines(found: Described) -> Iterator[tuple[str, object]]:
    """Names and values for people to read."""
    clip = found["kind"] == "clip"
    yield "file", f"{found['file']}, {found['bytes']} bytes"
    yield "format version", found.get("format_version", "none: for CompressAI's own decoder")
    grey = ", grey" if found.get("grey") else ""
    yield f"{'frame' if clip else 'image'} size", f"{found['width']}x{found['height']}{grey}"
    yield from _codec_lines(cast(Described | None, found["codec"]))
    if found["format"] == "latentopt":
        yield from _own_lines(found)
    else:
        yield "weights", "the header says the architecture, not whose they are"
        if clip:
            yield "frames", found["frames"]
    yield "rate", f"{found['bpp']:.4f} bpp"


def _own_lines(found: Described) -> Iterator[tuple[str, object]]:
    """What latentopt's own header says besides."""
    clip = found["kind"] == "clip"
    if clip:
        yield from _clip_lines(found)
    for part in cast(list[Described], found["parts"]):
        settings = list(_setting_lines(part))
        if clip:
            yield str(part["name"]), ", ".join(f"{name} {value}" for name, value in settings)
        else:
            yield from settings
    yield "weights hash", found["weights_hash"]
    yield "table hash", found["table_hash"]
    if not clip:
        yield from _map_lines(found)
        yield "payload", f"{found['string_bytes']} bytes"


def _map_lines(found: Described) -> Iterator[tuple[str, object]]:
    """Of a progressive image, how many maps there are, and whether another one is damaged."""
    if found["maps"] is not None:
        maps = counted(cast(int, found["maps"]), "whole map" if found["damage"] else "map")
        damage = f"; {found['damage']}" if found["damage"] else ""
        yield "progressive", f"{maps}{damage}"


def _clip_lines(found: Described) -> Iterator[tuple[str, object]]:
    frames, keys = cast(int, found["frames"]), cast(int, found["key_frames"])
    early = "" if found["whole"] else "; the file ends early"
    yield "frame rate", f"{found['frames_per_second']:g} per second"
    yield "frames", f"{keys} key, {frames - keys} predicted{early}"
    yield "duration", f"{found['seconds']:.2f} s"


def _codec_lines(codec: Described | None) -> Iterator[tuple[str, object]]:
    if codec is None:
        yield "codec", "not in the header"
        return
    quality, metric = codec["quality"], "" if codec["metric"] == "mse" else f", {codec['metric']}"
    recognized = "" if codec["in_header"] else ", recognized by the weights hash"
    yield "codec", f"{codec['name']}{recognized}"
    yield "quality", "weights of one's own" if quality is None else f"{quality}{metric}"
    yield "step", f"{codec['step']:g}"


_DRAWN = ("channel", "lattice", "spread", "sampler", "seed", "alpha", "sigma")
"""What is said of channels that are not of a lattice's points alone."""


def _setting_lines(part: Described) -> Iterator[tuple[str, object]]:
    for name in ("lattice", "pmf") if part["pmf"] else _DRAWN:
        if part[name] is not None:
            yield name, part[name]
    yield "direction", part["direction"]
    yield "portable", "yes" if part["portable"] else "no"
    yield "scales", "corrected" if part["scales_corrected"] else "the model's"
    if part["mean"]:
        yield "decoded", "means of what may have been sent"
    for name, word in (("context", "context"), ("side latent", "side_adaptive")):
        if part[word]:
            yield name, "adapts"
    if part["prepacked"]:
        yield "vectors", "formed ahead"
    if part["postfilter"]:
        yield "image filter", "yes"
