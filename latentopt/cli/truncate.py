"""`latentopt truncate`: the first maps of a progressive file, without model and PyTorch."""

import argparse
import os
import sys
from bisect import bisect
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt.cli import arguments
from latentopt.cli.coded import container_of, is_video, naming
from latentopt.cli.outputs import check_output
from latentopt.cli.sources import STREAM, check_stream, content, deliver, within
from latentopt.errors import InputError, counted

if TYPE_CHECKING:  # NumPy is spared those who only mistyped an option
    from latentopt.bitstream import Container

EPILOG = """examples:
  latentopt encode photo.png --progressive
  latentopt truncate photo.lo -o small.lo --bytes 8000
  latentopt truncate photo.lo -o smaller.lo --maps 12

The result is a file that could have been written: `decode` takes it as it is. Of a file with a
damaged map, the maps before that are kept, and stderr names it: without --bytes and --maps it is
mended. The exit code is 0 wherever a file was written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=Path, metavar="F", help="progressive file that encode wrote, or -")
    add(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="file to write, folder, or - for standard output",
    )
    most = parser.add_mutually_exclusive_group()
    fit = "as many maps as fit into N bytes, such as 8k"
    most.add_argument("--bytes", type=arguments.byte_count, metavar="N", help=fit)
    most.add_argument(
        "--maps",
        type=arguments.whole,
        metavar="K",
        help="the first K maps (default: all whole ones)",
    )


def run(args: argparse.Namespace) -> int:
    args.output = within(args.output, args.file.name)
    if args.output == STREAM:
        check_stream()
    else:
        check_output(args.output, [args.file])
    if args.file != STREAM and is_video(args.file):
        raise InputError(f"{args.file}: is a clip, which has no maps to be cut after")
    data = content(args.file)
    whole = container_of(args.file, data)
    with naming(args.file):
        there = len(whole.maps)
        wanted = there if args.maps is None else min(there, args.maps)
        if args.bytes is not None:
            wanted = _fitting(args, whole)
    cut, replaced = whole.cut(wanted).to_bytes(), os.path.exists(args.output)
    kept = f"{wanted} of {counted(there, 'whole map' if whole.damage else 'map')}"
    deliver(args.output, cut)
    is_stream = args.output == STREAM
    end = " (replaced)" if replaced and not is_stream else ""
    said = f"{len(cut)} of {len(data)} bytes, {kept}: {args.output}{end}"
    print(said, file=sys.stderr if is_stream else sys.stdout)
    if whole.damage:
        lost = f"{whole.damage.what}; only the {there} before it are whole"
        print(f"latentopt: {args.file}: {lost}", file=sys.stderr)
    return 0


def _fitting(args: argparse.Namespace, whole: "Container") -> int:
    """How many of the first maps fit into the bytes that are allowed."""
    sizes = whole.cut_bytes
    least = sizes[min(1, len(whole.maps))]
    if least > args.bytes:
        raise InputError(f"{args.file}: the header and the first map take {least} bytes already")
    return bisect(sizes, args.bytes) - 1
