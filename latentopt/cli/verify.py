"""`latentopt verify`: whether an archive still is what its manifest says."""

import argparse
import posixpath
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt import engine
from latentopt.cli import archive, arguments, batch, dcvc, model, native
from latentopt.cli.progress import silent
from latentopt.cli.sources import STREAM, Job
from latentopt.errors import InputError

if TYPE_CHECKING:
    from latentopt.archive.inspection import Reader

EPILOG = """examples:
  latentopt verify coded/manifest.parquet
  latentopt verify s3://bucket/coded/manifest.parquet --sample 100 --jobs 4

Each output is read: its SHA-256 must be the manifest's, and it must decode to the same pixels.
What does not is named on stderr, and the exit code is 1. Another processor may round some pixel
otherwise."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("manifest", type=archive.place, metavar="MANIFEST", help="Parquet file, or its URL")
    folder = "of the outputs (default: the manifest's)"
    add("--folder", type=archive.place, metavar="DIR", help=folder)
    sample = "look at so many outputs, the same each time (default: all)"
    add("--sample", type=arguments.number, metavar="N", help=sample)
    arguments.add_max_pixels(parser)
    model.add_reader_arguments(parser)
    native.add_reader_argument(parser)
    engine.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    model.check(args)
    dcvc.check_image(args, "an archive")
    engine.check(args)
    from latentopt.archive.inspection import inspect_all
    from latentopt.archive.manifest import Manifest
    from latentopt.cli.progress import files

    place = str(args.manifest)
    manifest = Manifest(place)
    if not manifest.is_there():
        raise InputError(f"cannot read {place}: no such manifest")
    folder = str(args.folder or posixpath.dirname(place) or ".")
    seen = wrong = 0
    with files(None) as (advance, _), engine.engine_of(args) as working:
        make = partial(_prepared, args, working.threads)
        found = inspect_all(manifest, folder, make, working, args.sample)
        for row, why in found:
            advance()
            seen += 1
            if why:
                wrong += 1
                batch.complain(row.output, why)
    print(f"{seen - wrong} of {seen} outputs are what {place} says")
    return 1 if wrong else 0


def _prepared(args: argparse.Namespace, threads: int | None) -> "Reader":
    """What decodes outputs in a process: coded files, or images that were decoded before."""
    batch.settle_process(threads)
    from latentopt.cli.decoded import Decoder
    from latentopt.media import IMAGE_SUFFIXES
    from latentopt.media.checksum import pixels_sha256
    from latentopt.media.images import read_image, to_uint8

    decoder = Decoder(args)
    decoder.prepare()

    def pixels(name: str, content: bytes) -> str:
        if name.lower().endswith(IMAGE_SUFFIXES):
            return pixels_sha256(to_uint8(read_image(name, content)))
        return decoder(Job(Path(name), STREAM, content), silent).pixels

    return pixels
