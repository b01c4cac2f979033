"""All files that show rows: which they are, whether they are stale, and how they are renewed."""

from collections.abc import Iterator
from pathlib import Path

from tables.common.places import ROOT
from tables.figures import images
from tables.figures.blocks import renewed
from tables.figures.reports import FOLDER, REPORTS, report


def renew(check: bool) -> int:
    """Write what is stale, and draw all plots; or only say what is stale, and return 1.

    Plots are not compared: every version of matplotlib and of its fonts draws them otherwise.
    """
    stale = {path: text for path, text in texts() if _differs(path, text)}
    for path in stale:
        print(f"{'stale' if check else 'renewed'}: {path.relative_to(ROOT)}")
    if check:
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
    for name, of in REPORTS:
        report(name, of).plot()
    images.draw()
    return 0


def texts() -> Iterator[tuple[Path, str]]:
    """Every document that shows rows, as it should be."""
    for name, of in REPORTS:
        yield from ((FOLDER / file, text) for file, text in report(name, of).texts().items())
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if FOLDER not in path.parents:
            yield path, renewed(path.read_text(encoding="utf-8"))


def _differs(path: Path, text: str) -> bool:
    return not path.exists() or path.read_text(encoding="utf-8") != text
