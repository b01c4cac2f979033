"""What README and docs show is what the committed rows say."""

import doctest
from pathlib import Path

import pandas as pd
import pytest

from latentopt.errors import InputError
from tables.common.places import CODED, LATER, MEASURED, PROBES, ROOT
from tables.figures import blocks, documents, rows, worst


@pytest.fixture(scope="module")
def wanted() -> dict[Path, str]:
    return dict(documents.texts())


def test_no_document_is_stale(wanted: dict[Path, str]) -> None:
    """If this fails: `make figures`, and look at what changed."""
    stale = [str(p.relative_to(ROOT)) for p, text in wanted.items() if p.read_text() != text]
    assert stale == []


def test_every_report_has_its_plot(wanted: dict[Path, str]) -> None:
    reports = [path for path in wanted if path.parent == documents.FOLDER]
    assert reports and all(path.with_suffix(".png").is_file() for path in reports)
    assert {p.stem for p in documents.FOLDER.iterdir()} == {p.stem for p in reports}


def test_a_changed_figure_is_found(wanted: dict[Path, str]) -> None:
    path = ROOT / "docs" / "measurements.md"
    text = wanted[path]
    wrong = text.replace("−12.51 %", "−13.51 %", 1)
    assert wrong != text and blocks.renewed(wrong) == text


def test_every_block_is_shown_somewhere(wanted: dict[Path, str]) -> None:
    shown = "".join(wanted.values())
    missing = [name for name in blocks.BLOCKS if f"<!-- figures: {name} -->" not in shown]
    assert missing == []


def test_blocks_are_replaced_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCKS", {"a-b": lambda: "| new |"})
    text = "before\n<!-- figures: a-b -->\nold\n\nold\n<!-- /figures -->\nafter\n"
    assert blocks.renewed(text) == text.replace("old\n\nold", "| new |")
    with pytest.raises(InputError, match="no block 'other'"):
        blocks.renewed(text.replace("a-b", "other"))


def test_one_naming_scheme() -> None:
    """measured/KIND/WHICH/DATA/CODEC.csv, and nothing besides."""
    files = [p.relative_to(MEASURED) for p in MEASURED.rglob("*.csv")]
    assert files and {p.parts[0] for p in files} == {CODED, LATER, PROBES}
    assert {len(p.parts) for p in files} == {4}


def test_no_row_is_measured_twice_in_a_run() -> None:
    for path in (MEASURED / CODED).rglob("*.csv"):
        found = pd.read_csv(path)
        assert not found.duplicated(["codec", "point", "step", "config", "image"]).any(), path


def test_worst_image_is_by_the_cost_in_bits() -> None:
    base = {"point": "p", "step": 1.0, "width": 10, "height": 10, "bytes": 100, "psnr_db": 30.0}
    found = pd.DataFrame(
        [
            {**base, "config": "baseline", "image": "a"},
            {**base, "config": "fast", "image": "a", "bytes": 90},
        ]
    )
    error = 0.01 * 255**2 * 1e-3 * 100  # lambda, and a PSNR of 30 dB
    change = worst.changes(found, {"p": 0.01})["fast"].item()
    assert change == pytest.approx(100 * (720 + error) / (800 + error) - 100)


def test_examples() -> None:
    found = doctest.testmod(rows)
    assert found.attempted > 0 == found.failed
