"""Reports of measurements that somebody else made: nothing is fetched, nothing is believed."""

from pathlib import Path

import pytest

from latentopt import zoo
from latentopt.bench.store import COLUMNS
from latentopt.cli.main import main
from latentopt.media import download

LINE = {
    **{"codec": "mbt2018-mean", "point": "q3", "step": "1.0", "data": "kodak", "width": "768"},
    **{"image": "kodim01.png", "height": "512", "bytes": "1000", "bpp": "0.1", "psnr_db": "30"},
    **{"ms_ssim": "0.9", "encode_s": "1", "decode_s": "1", "batch_size": "1", "device": "cpu"},
    **{"threads": "1", "weights": "0" * 12, "latentopt": "0.1.0"},
    **{"sha256": "0" * 12, "engine": "local", "load": "0.5"},
}


def folder(tmp_path: Path, **more: str) -> Path:
    """What bdrate would have left, of one image in two configurations."""
    rows = [{**LINE, **more, "config": config} for config in ("baseline", "oct")]
    lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in rows)]
    (tmp_path / "measurements.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.parametrize("data, codec", [("kodak", "mbt2018-mean"), ("clic2020", "mbt2018-mean")])
def test_a_strangers_rows_start_no_download(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: str,
    codec: str,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(download, "_stream", lambda url, *_: asked.append(url))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("LATENTOPT_DATA", raising=False)
    assert main(["report", str(folder(tmp_path, data=data, codec=codec))]) == 0
    assert asked == [] and "a report downloads nothing" in capsys.readouterr().err
    with pytest.raises(Exception, match=r"the expected file|No such file"):
        zoo.load("mbt2018-mean", 3)  # whereas this does ask
    assert asked
