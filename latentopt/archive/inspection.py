"""Whether the outputs that a manifest tells of are there, and decode to what was coded."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from latentopt.archive import storage
from latentopt.archive.filing import sha256
from latentopt.archive.manifest import Manifest, Row
from latentopt.engine import Engine
from latentopt.errors import reason

Reader = Callable[[str, bytes], str]
"""What :attr:`Row.pixels` says of an output, given its name and content, by decoding it anew."""


@dataclass(frozen=True)
class Claim:
    """A row, and where its output should be."""

    target: str
    row: Row


def inspect_all(
    manifest: Manifest,
    folder: str,
    make: Callable[[], Reader],
    engine: Engine,
    sample: int | None = None,
) -> Iterator[tuple[Row, str]]:
    """Each row that was looked at, with what is wrong with its output; empty: nothing.

    Args:
        manifest: which is read only.
        folder: of the outputs.
        make: makes what decodes them, in each process.
        engine: where that is done.
        sample: how many outputs to look at, the same each time; None: all.

    Raises:
        InputError: the manifest cannot be read.
    """
    coded = (row for row in manifest.rows() if not row.error)
    chosen = coded if sample is None else iter(_drawn(coded, sample))
    claims = (Claim(storage.join(folder, row.output), row) for row in chosen)
    for claim, wrong in engine.run(partial(inspecting, make), claims):
        yield claim.row, wrong


def _drawn(rows: Iterator[Row], count: int) -> Sequence[Row]:
    """So many of them, each as likely as any other."""
    draw, kept = random.Random(0), list[Row]()
    for number, row in enumerate(rows):
        if number < count:
            kept.append(row)
        elif (place := draw.randrange(number + 1)) < count:
            kept[place] = row
    return kept


def inspecting(make: Callable[[], Reader]) -> Callable[[Claim], str]:
    """What looks at outputs in a process."""
    return partial(_inspect, make())


def _inspect(reader: Reader, claim: Claim) -> str:
    try:
        content = storage.read(claim.target)
        if sha256(content) != claim.row.hash:
            return "is not the file that was written: its SHA-256 differs"
        pixels = reader(claim.row.output, content)
    except Exception as error:
        return reason(error)
    return "" if pixels == claim.row.pixels else "decodes to other pixels than where it was coded"
