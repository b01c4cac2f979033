"""Encoding and decoding of archives: files in object stores or on disks, with a manifest."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from latentopt import __version__, engine
from latentopt.cli import arguments, batch, model, targets
from latentopt.cli.progress import silent
from latentopt.cli.sources import STREAM, Job, Kind
from latentopt.errors import BitstreamError, InputError, counted

if TYPE_CHECKING:
    from latentopt.archive.filing import Coder
    from latentopt.archive.manifest import Row, Settings

MANIFEST = "manifest.parquet"
"""In the output folder, unless another is named."""

_NOT_SAID = (
    *("inputs", "output", "manifest", "weights", "dcvc_repo", "max_pixels"),
    *("run", "engine", "scheduler", "jobs", "any_quality"),
)
"""What outputs do not depend on: where files lie, and who makes them."""
_OF_BATCHES = ("json", "no_clobber", "versus_plain")


class Url(str):
    """A place that is no path of this machine's."""

    @property
    def suffix(self) -> str:
        """As that of a path."""
        return PurePosixPath(self).suffix


def place(text: str) -> Path | Url:
    """An argument that is a path or a URL, such as s3://bucket/photos."""
    head, mark, _ = text.partition("://")
    return Url(text) if mark and len(head) > 1 and head.isalnum() else Path(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that :func:`is_meant` and :func:`run` read."""
    what = (
        "Parquet file with a row for each input, from which a run that was ended goes on; of URLs, "
        f"such as s3://…, and with --engine dask there is one (default: {MANIFEST} in OUT)"
    )
    add = parser.add_argument_group("archives (docs/scale.md)").add_argument
    add("--manifest", type=place, metavar="FILE", help=what)


def is_meant(args: argparse.Namespace) -> bool:
    """Whether inputs are an archive's, whose workers read and write by themselves."""
    away = any(isinstance(found, Url) for found in (*args.inputs, args.output))
    return bool(away or args.manifest or args.engine == "dask")


def run(
    kind: Kind, coder: "Callable[[argparse.Namespace], Coder]", args: argparse.Namespace
) -> int:
    """Code what the manifest does not have: 0, or 1 where something failed, of which it tells.

    Raises:
        InputError: an input is not there, or the options are not for archives.
    """
    _check(args, kind)
    from latentopt.archive import storage
    from latentopt.archive.filing import Archive, file_all
    from latentopt.archive.manifest import Manifest
    from latentopt.cli.progress import files

    folder = str(args.output)
    if storage.exists(folder):
        raise InputError(f"cannot write to {folder}: it is no folder, and an archive needs one")
    manifest = Manifest(str(args.manifest or storage.join(folder, MANIFEST)))
    sources = [str(found) for found in args.inputs]
    archive = Archive(sources, folder, kind.suffixes, kind.becomes, _settings(args))
    with files(None) as (advance, _), engine.engine_of(args) as working:

        def say(row: "Row") -> None:
            advance()
            if row.error:
                batch.complain(row.path, row.error)

        make = partial(prepared, coder, args, working.threads)
        tally = file_all(archive, manifest, make, working, say)
    known = f", {tally.before} done before" if tally.before else ""
    replaced = f", {tally.replaced} replaced" if tally.replaced else ""
    print(f"{counted(tally.done, 'file')} coded{known}, {tally.failed} failed{replaced}: {folder}")
    return 1 if tally.failed else 0


def prepared(
    coder: "Callable[[argparse.Namespace], Coder]", args: argparse.Namespace, threads: int | None
) -> "Coder":
    """What codes files in a process of so many threads at most."""
    batch.settle_process(threads)
    return coder(args)


def encoding(args: argparse.Namespace) -> "Coder":
    """What encodes images in a process."""
    from latentopt.archive.filing import Made
    from latentopt.cli.images import ImageEncoder

    worker = ImageEncoder(args)
    worker.prepare()

    def encode(name: str, content: bytes) -> Made:
        said = worker(Job(Path(name), STREAM, content), silent)
        image, words = said.image, " ".join(str(said.codec[k]) for k in _CODEC if k in said.codec)
        size = image.width, image.height
        return Made(image.data, words, *size, image.bpp, image.psnr_db, image.seconds, image.pixels)

    return encode


_CODEC = ("codec", "weights", "quality")  # of what is said of an image, which names its model


def decoding(args: argparse.Namespace) -> "Coder":
    """What decodes files in a process."""
    from latentopt.archive.filing import Made
    from latentopt.cli.decoded import Decoder

    worker = Decoder(args)
    worker.prepare()

    def decode(name: str, content: bytes) -> Made:
        image = worker(Job(Path(name), STREAM, content), silent)
        if image.lost:
            refused = "which an archive does not take: decode this file by itself"
            raise BitstreamError(f"{name}: {image.lost}, {refused}")
        bpp = 8 * len(content) / (image.width * image.height)
        size = image.width, image.height
        return Made(image.data, "", *size, bpp, float("nan"), image.seconds, image.pixels)

    return decode


def _check(args: argparse.Namespace, kind: Kind) -> None:
    engine.check(args)
    if args.output is None:
        raise InputError("an archive needs a folder or URL for its outputs: name one with -o")
    if STREAM in (*args.inputs, args.output):
        raise InputError("-: a standard stream is no archive; leave out --manifest and --engine")
    if args.manifest and str(args.manifest).lower().endswith((kind.becomes, *kind.suffixes)):
        raise InputError(
            f"--manifest {args.manifest}: inputs or outputs are called so, and a file cannot be "
            f"both: name it otherwise, such as {MANIFEST}"
        )
    given = [name for name in _OF_BATCHES if getattr(args, name, False)]
    arguments.refuse(args, given, "for files without a manifest", "an archive has one")


def _settings(args: argparse.Namespace) -> "Settings":
    """What outputs follow from, which takes the model to know."""
    from latentopt.archive.manifest import Settings
    from latentopt.codec.formats import asked

    said = {k: v for k, v in sorted(vars(args).items()) if k not in _NOT_SAID}
    words = (f"{k}={v}" for k, v in asked(said).items())
    return Settings(_weights(args), " ".join(words), __version__)


def _weights(args: argparse.Namespace) -> str:
    """Hashes of the models that images are coded with; of decode, whose files name them, none."""
    from latentopt.codec.seal import weights_sha256

    if not hasattr(args, "any_quality"):
        return ""
    if targets.is_aimed(args):
        return " ".join(weights_sha256(load()) for load in targets.models(args).values())
    return weights_sha256(model.model(args, silent))
