"""Results in CompressAI's JSON: ours for its tools, and the curves of others for our plots.

    {"name": "VTM", "description": "…", "results": {"bpp": […], "psnr-rgb": […], …}}

is one curve: `compressai.utils.bench` and `eval_model` print it, `compressai.utils.plot` draws it.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict, cast

import pandas as pd

from latentopt.atomic import all_of, write_whole
from latentopt.bench.published import RdCurve
from latentopt.bench.summary import Curve, curves, means
from latentopt.errors import InputError

IMPORTED = "imported"
"""The folder, beside the measurements, of the curves of others."""
EXPORTED = "compressai"
"""The folder, beside the measurements, of what :func:`export` writes."""

_COLUMNS = {
    "bpp": "bpp",
    "psnr-rgb": "psnr_db",
    "ms-ssim-rgb": "ms_ssim",
    "encoding_time": "encode_s",
    "decoding_time": "decode_s",
}
"""Names of CompressAI's `eval_model`, and columns of means over a data set."""


class Results(TypedDict):
    """One curve as CompressAI writes it."""

    name: str
    description: str
    results: dict[str, list[float]]


def export(rows: pd.DataFrame, folder: Path) -> list[Path]:
    """Write a JSON file for each configuration of each curve; the paths.

    Args:
        rows: the measurements.
        folder: for the files; made where it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = list(curves(means(rows)))
    paths = []
    for curve in found:
        label = f" {curve.label}" if len(found) > 1 else ""
        for results in _results(curve, label):
            path = folder / f"{_slug(results['name'])}.json"
            write_whole(path, json.dumps(results, indent=2).encode())
            paths.append(path)
    return paths


def _results(curve: Curve, label: str) -> Iterator[Results]:
    """The configurations of a curve, lowest rate first."""
    for config, part in curve.rows.groupby("config", sort=False):
        line = part.sort_values("bpp")
        columns = {ours: line[theirs].tolist() for ours, theirs in _COLUMNS.items()}
        yield {
            "name": f"{curve.codec} {config}{label}",
            "description": f"latentopt, {curve.label}: bytes written, quality of 8-bit RGB",
            # MS-SSIM is not defined of small images, and JSON has no NaN
            "results": {k: v for k, v in columns.items() if all(map(math.isfinite, v))},
        }


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9+-]+", "-", name).strip("-")


def keep(paths: Sequence[Path], folder: Path) -> None:
    """Copy curves of others into ``folder``, where plots and reports find them.

    Raises:
        InputError: a file is no such curve, or two of different content share a name.
    """
    for path in paths:
        read_curve(path)
        kept, content = folder / f"{path.stem}.json", path.read_bytes()
        if kept.exists() and kept.read_bytes() != content:
            raise InputError(f"{path}: {kept} is another curve: rename one of them")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(kept, content)


def imported(folder: Path) -> list[RdCurve]:
    """The curves in a folder that :func:`keep` filled, by file name; none where there is none.

    Raises:
        InputError: a file is no such curve.
    """
    return [read_curve(path) for path in sorted(folder.glob("*.json"))]


def read_curve(path: Path) -> RdCurve:
    """A curve from CompressAI's JSON, of this year or of older ones, lowest rate first.

    Raises:
        InputError: the file cannot be read, or holds no curve of bpp and PSNR.
    """
    content = _content(path)
    results = content.get("results", content)
    if not isinstance(results, dict):
        raise InputError(f"{path}: its results are no lists by name, as CompressAI writes them")
    bpp, psnr_db = _numbers(path, results, "bpp"), _numbers(path, results, "psnr-rgb", "psnr")
    ms_ssim = _numbers(path, results, "ms-ssim-rgb", "ms-ssim", missing=())
    if not bpp or len(bpp) != len(psnr_db) or len(ms_ssim) not in (0, len(bpp)):
        counts = f"{len(bpp)} bpp, {len(psnr_db)} PSNR and {len(ms_ssim)} MS-SSIM values"
        raise InputError(f"{path}: {counts} make no curve")
    if min(bpp) <= 0 or any(not 0 <= value <= 1 for value in ms_ssim):
        raise InputError(f"{path}: rates must be positive, and MS-SSIM linear, from 0 to 1")
    order = sorted(range(len(bpp)), key=lambda i: bpp[i])
    return RdCurve(
        str(content.get("name", path.stem)),
        "as imported",
        tuple(bpp[i] for i in order),
        tuple(psnr_db[i] for i in order),
        tuple(ms_ssim[i] for i in order if ms_ssim),
    )


def _content(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            content = json.loads(all_of(file, str(path)).decode())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no results by name, as CompressAI writes them")
    return content


def _numbers(
    path: Path, results: dict[str, object], *names: str, missing: tuple[()] | None = None
) -> Sequence[float]:
    """The list under the first of some names; ``missing`` where there is none, if that may be."""
    name = next((name for name in names if name in results), None)
    if name is None:
        if missing is not None:
            return missing
        raise InputError(f"{path}: has no {names[0]}, only {', '.join(map(str, results))}")
    values = results[name]
    numbers = isinstance(values, list) and all(type(v) in (int, float) for v in values)
    if not numbers or not all(map(math.isfinite, cast(list[float], values))):
        raise InputError(f"{path}: its {name} is no list of numbers")
    return cast(list[float], values)
