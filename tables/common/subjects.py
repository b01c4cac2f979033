"""The codecs that tables are about, in groups: `tiny`, `lab` and `zoo`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from latentopt import zoo
from latentopt.bench.bdrate import MIN_POINTS
from latentopt.bench.evaluate import RatePoint, checkpoint_points, quality_points
from latentopt.errors import InputError
from latentopt.zoo.catalog import source_of
from latentopt.zoo.embedded import EMBEDDED

LAB = Path("..") / "shared" / "weights"
NEEDS_ZOO = "needs zoo weights"


@dataclass(frozen=True)
class Subject:
    """A codec with its rate points: what fills a row of a table."""

    label: str
    codec: str
    """Name for the zoo."""
    points: tuple[RatePoint, ...] = ()
    steps: tuple[float, ...] = (1.0,)
    architecture: str = ""
    """Name of the architecture in the paper's tables."""
    missing: str = ""
    """Why it cannot be measured on this machine; empty: it can."""


def resolve(names: Iterable[str], video: bool = False) -> list[Subject]:
    """Subjects of groups and of single codecs, images' or videos', in the order of the names."""
    found = [s for name in names for s in _of_name(name, video)]
    if not found:
        raise InputError(f"no codec given; groups: {', '.join(_GROUPS)}; or any of the zoo")
    return found


def _of_name(name: str, video: bool) -> Iterator[Subject]:
    if name in _GROUPS:
        yield from (s for s in _GROUPS[name]() if video == _is_video(s))
    else:
        yield _of_zoo(zoo.canonical(name))


def _is_video(subject: Subject) -> bool:
    return subject.codec in zoo.names() and zoo.is_video(subject.codec)


def _of_zoo(codec: str) -> Subject:
    """A codec known by name, with those of its qualities that need no download."""
    source = source_of(codec)
    here = [q for q in zoo.qualities(codec) if source.status(codec, q) != "downloadable"]
    family = zoo.family(codec)
    if len(here) < MIN_POINTS:
        published = codec == family
        lacking = NEEDS_ZOO if published else f"needs {codec} weights"
        return Subject(codec, codec, architecture=family, missing=lacking)
    return Subject(codec, codec, tuple(quality_points(codec, here)), architecture=family)


def _tiny() -> Iterator[Subject]:
    """The codecs that ship with the package."""
    return map(_of_zoo, EMBEDDED.names())


def _zoo() -> Iterator[Subject]:
    """CompressAI's published weights of the paper's codecs, and the paper's other codecs."""
    for codec in ("bmshj2018-factorized", "mbt2018-mean", "mbt2018", "cheng2020-attn", "ssf2020"):
        yield _of_zoo(codec)
    for codec in ("invcompress", "dcvc-intra"):
        yield Subject(codec, codec, architecture=codec, missing=f"needs {codec} weights")


def _lab() -> Iterator[Subject]:
    """Codecs of a laboratory: a trained ladder, and the steps of one published checkpoint."""
    ladder = [LAB / f"lab-mean-{k}.pt" for k in (1, 2, 3, 4)]
    yield _of_files("lab-mean-1…4", "mbt2018-mean", ladder)
    file = LAB / "bmshj2018-factorized-q2.pt"
    steps = (0.7, 1.0, 1.4, 2.0)
    yield _of_files("factorized q2, steps", "bmshj2018-factorized", [file], steps)


def _of_files(
    label: str, codec: str, files: Sequence[Path], steps: tuple[float, ...] = (1.0,)
) -> Subject:
    if not all(file.is_file() for file in files):
        return Subject(label, codec, architecture=codec, missing=f"needs {files[0].parent}")
    points = tuple(checkpoint_points(codec, files))
    return Subject(label, codec, points, steps, architecture=codec)


_GROUPS = {"tiny": _tiny, "lab": _lab, "zoo": _zoo}
