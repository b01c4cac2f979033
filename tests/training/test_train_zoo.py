"""scripts/train_zoo.py: runs go on where they stopped, codecs start from others, exports load."""

import argparse
import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from support.models import photo

from latentopt import zoo
from latentopt.media.images import write_png
from latentopt.zoo.embedded import EMBEDDED
from latentopt.zoo.folder import Folder

pytest.importorskip("pytorch_optimizer", reason="pip install pytorch-optimizer")
import train_zoo

COMMON = {"crop": 64, "batch": 2, "seed": 1, "warmup": 2, "learning_rate": 1e-3, "lambda": 0.01}
CONFIGS: dict[str, dict[str, Any]] = {
    "tiny-mbt2018-mean": {"architecture": "mbt2018-mean", "widths": [8, 12]},
    "tiny-mbt2018": {
        "architecture": "mbt2018",
        "widths": [8, 10],
        "start": ["tiny-mbt2018-mean", 1],
    },
}


@pytest.fixture
def args(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    steps = {"steps": 4}
    monkeypatch.setattr(train_zoo, "settings", lambda codec, _: COMMON | steps | CONFIGS[codec])
    for i in range(3):
        write_png(tmp_path / f"{i}.png", photo(140, 150, seed=i))
    return argparse.Namespace(data=tmp_path, runs=tmp_path, device="cpu", steps=steps)


def test_runs_resume_and_export(args: argparse.Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    train_zoo.Run("tiny-mbt2018-mean", 1, args).train(check_every=2)
    args.steps["steps"] = 6
    run = train_zoo.Run("tiny-mbt2018-mean", 1, args)
    assert run.step == 4
    run.train(check_every=2)
    with open(args.runs / "tiny-mbt2018-mean-1.csv") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4", "6"]

    folder = Folder(args.runs / "weights", "embedded", EMBEDDED.codecs)
    monkeypatch.setattr(train_zoo, "EMBEDDED", folder)
    train_zoo.export("tiny-mbt2018-mean", 1, args.runs)
    assert folder.metadata("tiny-mbt2018-mean", 1)["start"] == "random"
    model = zoo.load("tiny-mbt2018-mean", weights=folder.file("tiny-mbt2018-mean", 1))
    assert model(photo(64, 64))["x_hat"].isfinite().all()


def test_a_codec_starts_from_another(args: argparse.Namespace) -> None:
    train_zoo.Run("tiny-mbt2018-mean", 1, args).train(check_every=4)
    donor = torch.load(args.runs / "tiny-mbt2018-mean-1.best.pt", weights_only=True)["model"]
    own = train_zoo.Run("tiny-mbt2018", 1, args).model.state_dict()
    assert torch.equal(own["g_a.0.weight"], donor["g_a.0.weight"])
    rows = {tuple(row.flatten().tolist()) for row in donor["g_a.6.weight"]}
    assert all(tuple(row.flatten().tolist()) in rows for row in own["g_a.6.weight"])
