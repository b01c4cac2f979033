"""The figures of structure.py, on a package small enough to count by hand."""

from pathlib import Path

import pytest
import structure

MODEL = """
from typing import Any

Alias = dict[str, Any]
_hidden: Any = 1


class Codec:
    field: "list[Any]"

    def __call__(self, x: Any, *rest: Any) -> None: ...

    def _private(self, x: Any) -> Any: ...


class _Private:
    def method(self) -> Any: ...
"""
FORKS = """
@decorated
def fork(x: object) -> bool:
    inner: Any = isinstance(x, int)
    return inner or isinstance(x, str)
"""


def test_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "codec").mkdir()
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "codec" / "image.py").write_text(FORKS)
    assert structure.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Any in public signatures: 4",
        "    4 model.py",
        "longest class: 6 lines, Codec in model.py",
        "longest function: 4 lines, fork in codec/image.py",
        "isinstance in codec/: 2",
    ]
