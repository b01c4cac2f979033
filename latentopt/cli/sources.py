"""What is coded from where to where: files, folders, globs and standard streams."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path

from latentopt.atomic import all_of, read_whole, write_whole
from latentopt.cli.outputs import check_folder, check_output
from latentopt.errors import InputError

STREAM = Path("-")
"""Standard input, or standard output."""

CODED = (".lo", ".lov", ".bin")
"""What coded files are called: latentopt's, of images and of clips, and CompressAI's."""


@dataclass(frozen=True)
class Kind:
    """What a command makes of what."""

    name: str
    """Of an input, in messages."""
    suffixes: Sequence[str]
    """Of the inputs in a folder."""
    becomes: str
    """The suffix of an output beside its input, or in a folder."""


@dataclass(frozen=True)
class Job:
    """One input and where its output goes."""

    source: Path
    output: Path
    content: bytes | None = None
    """Where it was read already, as of standard input."""

    @property
    def name(self) -> Path:
        """The input, in messages."""
        return Path("standard input") if self.source == STREAM else self.source

    def data(self) -> bytes:
        """The content; InputError where it cannot be read."""
        return content(self.source) if self.content is None else self.content


@dataclass(frozen=True)
class Plan:
    """Inputs and their outputs."""

    jobs: Sequence[Job]
    is_batch: bool
    """Whether one failure leaves the others to be done."""

    def checked(self, check: Callable[[Job], object]) -> "Plan":
        """The same, where an only job was checked before anything slow is imported.

        Of a batch each job is checked as it is done, so that one failure leaves the others.
        """
        if self.is_batch:
            return self
        jobs = [replace(job, content=job.data()) for job in self.jobs]  # a pipe is read but once
        for job in jobs:
            check(job)
        return replace(self, jobs=jobs)


def content(path: Path) -> bytes:
    """All that a file holds, or standard input; InputError where it cannot be read."""
    if path == STREAM:
        return all_of(sys.stdin.buffer, "standard input")
    return read_whole(path)


def deliver(path: Path, data: bytes) -> None:
    """Write a file whole, or to standard output."""
    if path == STREAM:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_whole(path, data)


def check_stream() -> None:
    """Refuse a standard output that would be of no use."""
    if getattr(sys.stdout, "name", None) == os.devnull:
        raise InputError("standard output is closed: redirect it, or name a file with -o")
    if sys.stdout.isatty():
        raise InputError("standard output is a terminal: redirect it, or name a file with -o")


def check_size(job: Job, max_pixels: int) -> None:
    """Refuse an image that the format cannot hold, or that the decoder would refuse.

    Raises:
        DataError: it is no image, or one that cannot be coded.
        InputError: it is too large.
    """
    from latentopt.bitstream.image_file import MAX_SIDE
    from latentopt.media.rgb import image_size

    width, height = image_size(job.name, job.content)
    if max(width, height) > MAX_SIDE or width * height > max_pixels:
        raise InputError(
            f"{job.name}: {width}x{height} is more than {MAX_SIDE} a side or {max_pixels} pixels; "
            "cut it into tiles, or raise the number of pixels with --max-pixels there and in decode"
        )


def plan(
    inputs: Sequence[Path], output: Path | None, kind: Kind, others: Sequence[Path | None] = ()
) -> Plan:
    """The inputs that files, folders and globs stand for, each with its output.

    Args:
        inputs: as the user named them.
        output: a file or a folder that is there for one input, a folder for several; None:
            beside each input.
        kind: what is made of what.
        others: files that must not be written to either.

    Raises:
        InputError: an input is not there, two have one output, or an output cannot be written.
    """
    if STREAM in inputs or output == STREAM:
        return _streamed(inputs, output, kind, others)
    [first, *more] = inputs
    if more or os.path.isdir(first) or _is_glob(first):
        return Plan(_mirrored(inputs, output, kind), is_batch=True)
    check_input(first, kind)
    beside = first.with_suffix(kind.becomes)
    job = Job(first, within(output, beside.name) if output else beside)
    check_output(job.output, [first, *others])
    return Plan([job], is_batch=False)


def within(output: Path, name: str) -> Path:
    """Where one output goes: into a folder that is there, under its own name, as with ``cp``."""
    return output / name if os.path.isdir(output) else output


def _check_several(output: Path, kind: Kind) -> None:
    """Refuse what is called like one output, and so is no folder for several."""
    if not os.path.exists(output) and output.suffix.lower() in (kind.becomes, *CODED):
        raise InputError(
            f"-o {output}: several inputs need a folder, and this is called like one file"
        )


def check_input(path: Path, kind: Kind) -> None:
    """Raises InputError unless there is something at the path, which costs no import."""
    if path != STREAM and not _is_glob(path) and not os.path.exists(path):
        raise InputError(f"cannot read {path}: no such {kind.name}")


def _streamed(
    inputs: Sequence[Path], output: Path | None, kind: Kind, others: Sequence[Path | None]
) -> Plan:
    """Of one input, either end or both are standard streams."""
    source, target = inputs[0], output or STREAM
    if len(inputs) > 1 or os.path.isdir(source) or _is_glob(source):
        raise InputError("-: a standard stream holds one image; name one input, or files")
    if target != STREAM:
        check_output(target, others)
    else:
        check_stream()
    if source != STREAM:
        check_input(source, kind)
        return Plan([Job(source, target)], is_batch=False)
    return Plan([Job(source, target, content(source))], is_batch=False)


def _mirrored(inputs: Sequence[Path], output: Path | None, kind: Kind) -> list[Job]:
    """Outputs are called as their inputs, in the same subfolders of ``output``."""
    jobs = dict[Path, Job]()
    for source, relative in _found(inputs, kind):
        place = source if output is None else output / relative
        target = place.with_suffix(kind.becomes)
        twin = jobs.setdefault(target, Job(source, target)).source
        if twin.resolve() != source.resolve():
            raise InputError(f"{twin} and {source} would both become {target}; rename one")
    both = {job.source.resolve() for job in jobs.values()} & {path.resolve() for path in jobs}
    if both:
        raise InputError(f"{min(both)}: would be an output, and is an input too")
    if output is not None:
        _check_several(output, kind)
        check_folder(output)
    return list(jobs.values())


def _found(inputs: Sequence[Path], kind: Kind) -> Iterator[tuple[Path, Path]]:
    """Every input, and its name relative to the folder or the fixed part of the glob."""
    for path in inputs:
        if os.path.isdir(path):
            yield from _within(path, kind)
        elif _is_glob(path):
            yield from _matches(path, kind)
        else:
            yield path, Path(path.name)


def _within(folder: Path, kind: Kind) -> Iterator[tuple[Path, Path]]:
    """The inputs in a folder and its subfolders, hidden ones apart."""
    count = 0
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and name.lower().endswith(tuple(kind.suffixes)):
                count += 1
                path = Path(root, name)
                yield path, path.relative_to(folder)
    if not count:
        raise InputError(f"{folder}: no {kind.name} in this folder ({', '.join(kind.suffixes)})")


def _is_glob(path: Path) -> bool:
    return has_magic(str(path)) and not os.path.exists(path)


def _matches(pattern: Path, kind: Kind) -> Iterator[tuple[Path, Path]]:
    """The files that a glob matches."""
    fixed = pattern
    while has_magic(str(fixed)):
        fixed = fixed.parent
    paths = [Path(name) for name in sorted(glob(str(pattern), recursive=True))]
    files = [path for path in paths if not path.is_dir()]
    if not files:
        raise InputError(f"{pattern}: no {kind.name} matches")
    yield from ((path, path.relative_to(fixed)) for path in files)
