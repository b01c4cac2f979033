"""Every input that ever surprised is read or refused on purpose; and a short hunt for more."""

from pathlib import Path

import fuzz
import numpy as np
import pytest
from fuzz_targets import TARGETS, Target, verdict

FILES = sorted(fuzz.CORPUS.iterdir())
COUNTS = {"streams": 24, "containers": 40, "images": 60, "clips": 24, "checkpoints": 24}
"""How many damaged inputs of a kind are tried; command lines have a test below."""

targets: dict[str, Target] = {}


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
@pytest.mark.filterwarnings("ignore")
def test_the_corpus(path: Path, tmp_path: Path) -> None:
    kind, _, name = path.name.split("+", 2)
    target = targets.setdefault(kind, TARGETS[kind]())
    (tmp_path / name).write_bytes(path.read_bytes())
    took, outcome = fuzz.seconds(lambda: verdict(target, tmp_path / name))
    assert outcome and took < fuzz.SLOWEST_S


@pytest.mark.parametrize("kind, count", [*COUNTS.items(), ("commands", 20)])
def test_a_short_hunt(kind: str, count: int, tmp_path: Path) -> None:
    """The seed is fixed, so that a failure can be repeated."""
    tally = fuzz.hunt(kind, count, np.random.default_rng(7), tmp_path)
    assert tally.surprises == 0 and sum(tally.outcomes.values()) == count
    assert not list(tmp_path.iterdir()) and tally.slowest < fuzz.SLOWEST_S


def test_surprises_are_found_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that fails in its own way must not go unnoticed."""

    class Broken:
        def damaged(self, generator: np.random.Generator) -> tuple[str, bytes]:
            return "x.bin", generator.bytes(4)

        def outcome(self, path: Path) -> str:
            raise KeyError(path.name)

    monkeypatch.setitem(TARGETS, "broken", Broken)
    assert fuzz.hunt("broken", 3, np.random.default_rng(0), tmp_path).surprises == 3
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert len(kept) == 3 and all(name.startswith("broken+") for name in kept)
    assert fuzz.hunt("broken", 0, np.random.default_rng(0), tmp_path).surprises == 3
