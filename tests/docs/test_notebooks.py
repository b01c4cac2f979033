"""Notebooks run from top to bottom, and say what they promise."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted(Path("docs/notebooks").glob("*.ipynb"))


def cells(notebook: Path) -> list[str]:
    """The code of a notebook, which is stored without outputs."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert content["nbformat"] == 4
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in code), "clear all outputs"
    return ["".join(cell["source"]) for cell in code]


def run(notebook: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that its cells leave."""
    code, space = cells(notebook), dict[str, Any]()
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(folder)
    for i, cell in enumerate(code):
        exec(compile(cell, f"{notebook.name}[{i}]", "exec"), space)
    return space


def test_first_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [notebook] = NOTEBOOKS
    left = run(notebook, tmp_path, monkeypatch)
    assert left["x_hat"].shape == left["x"].shape
    assert left["results"]["default"][1] > left["results"]["rounding"][1] - 0.5
    assert left["gains"]["bd_rate_pchip_percent"].item() < -5
    assert "bits" in capsys.readouterr().out
