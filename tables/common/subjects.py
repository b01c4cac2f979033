"""The codecs that tables are about, in groups: `tiny`, `lab` and `zoo`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from latentopt import zoo
from latentopt.errors import InputError
from latentopt.zoo.catalog import source_of
from latentopt.zoo.embedded import EMBEDDED
from latentopt.zoo.names import OWN, SAMPLED
from tables.common.harness import MIN_POINTS, RatePoint, checkpoint_points, quality_points
from tables.common.places import LAB

if TYPE_CHECKING:
    from tables.common.experiment import Request

NEEDS_ZOO = "needs zoo weights"


@dataclass(frozen=True)
class Subject:
    """A codec with its rate points: what fills a row of a table."""

    label: str
    codec: str
    """Name for the zoo."""
    points: tuple[RatePoint, ...] = ()
    """None where the weights are not here: then committed rows are shown as they are."""
    steps: tuple[float, ...] = (1.0,)
    architecture: str = ""
    """Name of the architecture in the paper's tables."""
    needs: str = ""
    """What it needs that does not ship with the package; empty: nothing."""

    @property
    def lacking(self) -> str:
        """Why it has no rows."""
        return "not measured" if self.points or not self.needs else self.needs

    def shown_in(self, request: "Request") -> "Subject":
        """Itself, or where only committed rows are to be shown, without its weights."""
        return self.recorded() if request.rows == request.committed else self

    def at(self, point: str, label: str) -> "Subject":
        """The same at one of its rate points alone, and under another label."""
        points = tuple(own for own in self.points if own.name == point)
        return replace(self, label=label, points=points, steps=(1.0,))

    def recorded(self) -> "Subject":
        """The same without its weights: what was measured of it, not what can be."""
        return replace(self, points=())


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
    enough = len(here) >= MIN_POINTS
    points = tuple(quality_points(codec, here)) if enough else ()
    published = NEEDS_ZOO if codec == family else f"needs {codec} weights"
    needs = "" if codec in EMBEDDED.names() else published
    return Subject(codec, codec, points, architecture=family, needs=needs)


def _tiny() -> Iterator[Subject]:
    """The codecs of four qualities that ship, but for those of latentopt's own architectures."""
    found = map(_of_zoo, (name for name in EMBEDDED.names() if name.startswith("tiny-")))
    return (subject for subject in found if subject.architecture not in (*SAMPLED, *OWN))


def _zoo() -> Iterator[Subject]:
    """CompressAI's published weights of the paper's codecs, and the paper's other codecs."""
    for codec in ("bmshj2018-factorized", "mbt2018-mean", "mbt2018", "cheng2020-attn", "ssf2020"):
        yield _of_zoo(codec)
    for codec in ("invcompress", "dcvc-intra"):
        yield Subject(codec, codec, architecture=codec, needs=f"needs {codec} weights")


def _lab() -> Iterator[Subject]:
    """Codecs of a laboratory: a trained ladder, and the steps of one published checkpoint."""
    ladder = [LAB / f"weights/lab-mean-{k}.pt" for k in (1, 2, 3, 4)]
    yield _of_files("lab-mean-1…4", "mbt2018-mean", ladder)
    file = LAB / "weights/bmshj2018-factorized-q2.pt"
    steps = (0.7, 1.0, 1.4, 2.0)
    yield _of_files("factorized q2, steps", "bmshj2018-factorized", [file], steps)


def _of_files(
    label: str, codec: str, files: Sequence[Path], steps: tuple[float, ...] = (1.0,)
) -> Subject:
    here = all(file.is_file() for file in files)
    points = tuple(checkpoint_points(codec, files)) if here else ()
    return Subject(label, codec, points, steps, codec, f"needs {files[0].parent}")


_GROUPS = {"tiny": _tiny, "lab": _lab, "zoo": _zoo}
