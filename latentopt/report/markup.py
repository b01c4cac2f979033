"""HTML of the parts of a page; every text goes through `text`, which escapes it."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Protocol

from latentopt.report.page_tables import Column, Table
from latentopt.report.slider import Comparison
from latentopt.report.subject import Choice
from latentopt.report.views import Scale, View, is_cropped, views


class Coded(Protocol):
    """One side of a comparison."""

    @property
    def bytes(self) -> int: ...

    @property
    def psnr_db(self) -> float: ...


def text(value: object) -> str:
    """
    >>> text('<b a="1">')
    '&lt;b a=&quot;1&quot;&gt;'
    """
    return escape(str(value), quote=True)


def fact_list(facts: dict[str, str]) -> str:
    """Terms and what they are; several lines are commands."""
    return "".join(f"<dt>{text(k)}</dt><dd>{_fact(k, v)}</dd>\n" for k, v in facts.items())


def section(table: Table) -> str:
    """A table under a heading."""
    key = text(table.key)
    return f"""<section aria-labelledby="{key}-title">
<h2 id="{key}-title">{text(table.title)}</h2>
{scrolled(table)}</section>
"""


def scrolled(table: Table) -> str:
    """A table in a container of its own to scroll in; a heading has the id that names both."""
    columns = table.shown()
    head = "".join(_heading(column) for column in columns)
    body = "\n".join(
        "<tr>" + "".join(_cell(c, v) for c, v in zip(columns, values)) + "</tr>"
        for values in zip(*(table.frame[c.name] for c in columns))
    )
    key = text(table.key)
    return f"""<div class="scroll" role="region" aria-labelledby="{key}-title" tabindex="0">
<table id="{key}" class="sortable">
<caption>{text(table.note)}</caption>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</div>
"""


def chart(curves: Sequence[object]) -> str:
    """Where the script draws curves."""
    if not curves:
        return "<p>No image was measured at every rate point with every configuration.</p>"
    return """<noscript><p>The curves need JavaScript. Tables have their numbers.</p></noscript>
<div id="chart" hidden></div>"""


def slider(comparison: Comparison) -> str:
    """The images one below the other; the script makes a slider of them."""
    choice, step = comparison.choice, comparison.step
    how = "" if step == 1 else f" with its step times {step:.4g}"
    what = told(choice.image, choice, comparison.baseline, comparison.ours, how)
    what += terms("image", comparison.is_equal)
    part = (
        " Shown is its middle; bytes and PSNR are of all of it." if is_cropped(comparison) else ""
    )
    figures = "".join(figure(view) for view in views(comparison))
    return f"""<p>{text(what + part)}</p>
<div id="slider" hidden></div>
<div id="views">
{figures}</div>"""


def told(what: str, choice: Choice, before: Coded, after: Coded, how: str) -> str:
    """What was coded again, and what it came to on both sides; ``how`` ours differs otherwise."""
    change = Column("bytes", "Bytes", 2, signed=True).text(100 * (after.bytes / before.bytes - 1))
    return (
        f"{what}, coded again for this page by {choice.codec} {choice.point}"
        f"{'' if choice.step == 1 else f', step {choice.step:g}'}: {before.bytes:,} bytes and "
        f"{before.psnr_db:.2f} dB by the baseline, {after.bytes:,} bytes and "
        f"{after.psnr_db:.2f} dB by {choice.config}{how}, {change} % of the bytes"
    )


def terms(unit: str, is_equal: bool) -> str:
    """On what terms the two sides are compared."""
    if is_equal:
        return " at equal quality: ours is coded to the baseline's PSNR."
    return f". Their PSNR differs: this codec cannot be brought to the baseline's for this {unit}."


def figure(view: View) -> str:
    """An image with its caption, which the script may put on a side of the slider."""
    size = f'width="{view.width}" height="{view.height}"'
    return (
        f'<figure data-view="{text(view.key)}">'
        f'<img src="{view.uri}" {size} alt="{text(view.title)}">'
        f"<figcaption>{text(view.title)}{_bar(view.scale)}</figcaption></figure>\n"
    )


def left_out(reason: str) -> str:
    """Why nothing is coded again."""
    return f"<p>Left out: {text(reason)}.</p>"


def _fact(name: str, value: str) -> str:
    return f"<pre>{text(value)}</pre>" if name == "Reproduce" else text(value)


def _heading(column: Column) -> str:
    kinds = _classes(["number"] * (column.digits is not None) + ["choose"] * column.choose)
    return f'<th scope="col"{kinds}>{text(column.heading)}</th>'


def _cell(column: Column, value: float | str) -> str:
    kinds = _classes(["number"] * (column.digits is not None))
    return f"<td{kinds}>{text(column.text(value))}</td>"


def _classes(names: Iterable[str]) -> str:
    joined = " ".join(names)
    return f' class="{joined}"' if joined else ""


def _bar(scale: Scale | None) -> str:
    if scale is None:
        return ""
    ramp = f'<img src="{scale.uri}" width="120" height="12" alt="to">'
    low, high, unit = text(scale.low), text(scale.high), text(scale.unit)
    return f' <span class="bar">{low} {ramp} {high} {unit}</span>'
