"""The commands that measure again what rows of the harness hold."""

import re
import shlex
from collections.abc import Iterator

import pandas as pd

from latentopt.bench.datasets import published_set
from latentopt.bench.items import Clips
from latentopt.errors import InputError

_CLIPS = re.compile(r"(.+)/gop(\d+)(?:/frames(\d+))?(/ahead)?(?:/([a-z+]+))?")
_QUALITY = re.compile(r"q(\d+)(-ms-ssim)?")


def commands(rows: pd.DataFrame) -> list[str]:
    """One command line per codec, to be run where data and weights are."""
    return [
        shlex.join(_command(str(codec), part)) for codec, part in rows.groupby("codec", sort=False)
    ]


def clip_options(data: str) -> list[str] | None:
    """The options that give a data label of clips (see `bench.items.Clips.label`), else None.

    >>> clip_options("video/gop8/frames16/image+residual")
    ['--data', 'video', '--gop', '8', '--frames', '16', '--parts', 'image,residual']
    >>> clip_options("kodak")
    """
    found = _CLIPS.fullmatch(data)
    if found is None:
        return None
    name, gop, frames, ahead, parts = found.groups()
    options = ["--data", name, "--gop", gop]
    options += ["--frames", frames] if frames else []
    options += ["--ahead"] if ahead else []
    return options + (["--parts", parts.replace("+", ",")] if parts else [])


def clips(data: str) -> tuple[str, Clips]:
    """The data set of a label of clips, and how they were coded.

    >>> clips("video/gop8/frames16")
    ('video', Clips(gop=8, frames=16, ahead=False, parts=None))

    Raises:
        InputError: clips cannot be coded so.
    """
    found = _CLIPS.fullmatch(data)
    if found is None:
        raise InputError(f"data {data!r}: these are no clips")
    name, gop, frames, ahead, parts = found.groups()
    names = tuple(parts.split("+")) if parts else None
    return name, Clips(int(gop), int(frames) if frames else None, bool(ahead), names)


def quality(point: str) -> tuple[int, str] | None:
    """The zoo's quality and metric of a rate point; None where it is a checkpoint's name.

    >>> quality("q3"), quality("q3-ms-ssim"), quality("mine-2")
    ((3, 'mse'), (3, 'ms-ssim'), None)
    """
    found = _QUALITY.fullmatch(point)
    return (int(found[1]), "ms-ssim" if found[2] else "mse") if found else None


def _command(codec: str, rows: pd.DataFrame) -> Iterator[str]:
    data, threads = str(rows["data"].iloc[0]), str(rows["threads"].iloc[0])
    yield from ("latentopt", "bdrate", "--codec", codec)
    yield from clip_options(data) or ("--data", data)
    yield from _weights([str(point) for point in rows["point"].unique()])
    steps = [f"{step:g}" for step in rows["step"].unique()]
    if steps != ["1"]:
        yield from ("--steps", ",".join(steps))
    yield from ("--configs", ",".join(rows["config"].unique()))
    known, items = published_set(data), rows["image"].nunique()
    if known is None or items < known.images:  # of other sets no row says how large they are
        yield from ("--limit", str(items))
    if rows["device"].iloc[0] != "cpu":
        yield from ("--device", str(rows["device"].iloc[0]))
    if rows["batch_size"].iloc[0] != 1:
        yield from ("--batch-size", str(rows["batch_size"].iloc[0]))
    yield from ("--threads", threads)


def _weights(points: list[str]) -> Iterator[str]:
    """Qualities, or names of checkpoints: which folder they were in no row says."""
    known = [quality(point) for point in points]
    pairs = [pair for pair in known if pair]
    if len(pairs) < len(known) or len({metric for _, metric in pairs}) > 1:
        yield from ("--weights", *points)
        return
    yield from ("--qualities", ",".join(str(number) for number, _ in pairs))
    if pairs[0][1] != "mse":
        yield from ("--metric", pairs[0][1])
