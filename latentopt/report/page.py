"""The page: measurements, tables and a comparison put into the template, with style and script."""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

import pandas as pd
from torch import Tensor

from latentopt import zoo
from latentopt.atomic import write_whole
from latentopt.bench.exchange import IMPORTED, imported
from latentopt.bench.published import RdCurve
from latentopt.errors import InputError, LatentoptError
from latentopt.media.download import no_downloads
from latentopt.report import data, markup, views
from latentopt.report.clip_compared import FRAMES, compare_clip
from latentopt.report.clip_markup import clip_section
from latentopt.report.page_tables import tables
from latentopt.report.slider import compare


def report(
    folder: Path,
    output: Path,
    image: str | None = None,
    weights: Sequence[Path] = (),
    frames: int = FRAMES,
) -> str | None:
    """Write the page of a harness folder; returns why nothing was coded again, None where it was.

    Args:
        folder: holds `measurements.csv`.
        output: the HTML file.
        image: which image or clip is shown before and after; None: the first.
        weights: checkpoints that were measured, where they are not the zoo's.
        frames: how many of a clip are coded again, at most.

    Raises:
        InputError: there are no measurements, none of that image, no place for the page, or an
            imported curve is none.
        WeightsError: a checkpoint is not there.
    """
    rows = data.read_folder(folder)
    measured = list(rows["image"].unique())
    if image is not None and image not in measured:
        raise InputError(f"--image {image}: not measured; these are: {', '.join(measured)}")
    shown, reason = _try(rows, image or measured[0], zoo.checkpoints(weights), frames)
    write_whole(output, page(rows, shown, imported(folder / IMPORTED)).encode("utf-8"))
    return reason


def page(rows: pd.DataFrame, shown: str, others: Sequence[RdCurve] = ()) -> str:
    """The HTML of measurements, with the HTML of what was coded again, and curves of others."""
    curves = data.charts(rows, others)
    *summaries, items = map(markup.section, tables(rows))
    main = _filled(
        "measured.html",
        facts=markup.fact_list(data.facts(rows)),
        summaries="".join(summaries),
        shown=shown,
        items=items,
        chart=markup.chart(curves),
    )
    return _whole(data.title(rows), main, _filled("data.html", data=_json(curves)))


def pair_page(before: Tensor, after: Tensor, titles: tuple[str, str], facts: dict[str, str]) -> str:
    """The HTML of a slider of two images (3, H, W) uint8 of one size.

    Args:
        titles: what each is called.
        facts: terms and what they are, shown above the images.
    """
    figures = "".join(map(markup.figure, views.pair(before, after, titles)))
    main = _filled("pair.html", facts=markup.fact_list(facts), figures=figures)
    return _whole(" and ".join(titles), main)


def _whole(title: str, main: str, data: str = "") -> str:
    """A page with style and script, of the HTML of its main part and of its data."""
    css, script = _asset("report.css"), _asset("report.js")
    policy = _policy(css, script)
    shown = {"title": markup.text(title), "main": main, "data": data}
    return _filled("page.html", policy=policy, css=css, script=script, **shown)


def _filled(name: str, **values: str) -> str:
    return Template(_asset(name)).substitute(values)


def _try(
    rows: pd.DataFrame, image: str, weights: Sequence[Path], frames: int
) -> tuple[str, str | None]:
    """The HTML of an image or clip before and after; or of why there is none, and why."""
    try:
        with no_downloads("a report downloads nothing"):  # its rows may be a stranger's
            if data.is_video(rows):
                return clip_section(compare_clip(rows, image, weights, frames)), None
            return markup.slider(compare(rows, image, weights)), None
    except LatentoptError as error:
        reason = " ".join(str(error).split())
        return markup.left_out(reason), reason


def _json(value: object) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def _policy(css: str, script: str) -> str:
    """Nothing is fetched, and nothing runs but these two."""
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(css)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _asset(name: str) -> str:
    return files("latentopt.report").joinpath(f"assets/{name}").read_text(encoding="utf-8")
