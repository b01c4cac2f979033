"""The script that measures how well targets are met."""

from pathlib import Path

import pytest
import targets
from support.models import photo
from torch.nn.functional import avg_pool2d

from latentopt.codec.target import Bpp, Psnr
from latentopt.media.images import write_png


def test_it_says_what_was_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(tmp_path / "x.png", avg_pool2d(photo(384, 512), 4))
    monkeypatch.setattr(targets, "TARGETS", {"0.5 bpp": Bpp(0.5), "90 dB": Psnr(90.0)})
    targets.main(["--data", str(tmp_path / "x.png"), "--limit", "1", "--quality", "2"])
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    by_target = {line[1]: line for line in lines if line[0] == "1"}
    assert 0 <= float(by_target["0.5 bpp"][7]) <= 1.4  # eight bytes of such a file are more
    assert by_target["90 dB"][2] == "out of reach"
    assert by_target[targets.MATCH][2] == "2" and targets.MATCH_LAMBDA in by_target
    totals = {line[0]: line[1:3] for line in lines if len(line) == 7}
    assert totals["0.5 bpp"] == ["1 of 1", "0"] and totals["90 dB"] == ["0 of 1", "1"]
    assert any(line[0].startswith("match psnr: -") for line in lines)
