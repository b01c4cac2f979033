"""Results in CompressAI's JSON: its own tools read ours, and we read its."""

import json
from pathlib import Path

import numpy as np
import pytest
from compressai.utils.plot.__main__ import main as plot
from compressai.utils.plot.__main__ import parse_json_file
from support.measured import made_up_rows
from support.models import photo

from latentopt.bench.exchange import IMPORTED, export, imported, keep, read_curve
from latentopt.bench.plots import plot_rd
from latentopt.bench.summary import means
from latentopt.cli.main import main
from latentopt.errors import InputError
from latentopt.media.images import write_png
from latentopt.report import data

VTM = {
    "name": "VTM",
    "description": "VTM",
    "results": {
        "psnr": [31.2, 26.1, 28.5],
        "ms-ssim": [0.956, 0.861, 0.918],
        "bpp": [0.246, 0.048, 0.112],
        "encoding_time": [71.2, 18.9, 39.8],
    },
}
"""As CompressAI's repository has it, rounded; the names are those of its older tools."""


@pytest.fixture
def vtm(tmp_path: Path) -> Path:
    path = tmp_path / "vtm.json"
    path.write_text(json.dumps(VTM))
    return path


def test_compressai_draws_ours(tmp_path: Path) -> None:
    rows = made_up_rows()
    paths = export(rows, tmp_path / "out")
    assert [path.name for path in paths] == ["mbt2018-mean-baseline.json", "mbt2018-mean-oct.json"]
    mean = means(rows)
    for path, config in zip(paths, ("baseline", "oct")):
        expected = mean[mean["config"] == config].sort_values("bpp")
        curve = parse_json_file(path, "psnr")
        assert curve["name"] == f"mbt2018-mean {config}"
        np.testing.assert_array_equal(curve["xs"], expected["bpp"])
        np.testing.assert_array_equal(curve["ys"], expected["psnr_db"])
        decibels = parse_json_file(path, "ms-ssim")["ys"]
        np.testing.assert_allclose(decibels, -10 * np.log10(1 - expected["ms_ssim"]))
    plot(["-f", *map(str, paths), "-o", str(tmp_path / "rd.png"), "-m", "psnr"])
    assert (tmp_path / "rd.png").stat().st_size > 1000


def test_ours_come_back_as_they_went(tmp_path: Path) -> None:
    rows = made_up_rows()
    for path, (_, part) in zip(export(rows, tmp_path), means(rows).groupby("config")):
        curve = read_curve(path)
        assert list(curve.bpp) == part["bpp"].tolist()
        assert list(curve.psnr_db) == part["psnr_db"].tolist()
        assert list(curve.ms_ssim) == part["ms_ssim"].tolist()


def test_curves_of_one_codec_have_names_of_their_own(tmp_path: Path) -> None:
    names = [path.name for path in export(made_up_rows(steps=(1.0, 2.0)), tmp_path)]
    assert len(set(names)) == len(names) and "mbt2018-mean-oct-q0-at-2-steps.json" in names


def test_what_is_no_number_is_left_out(tmp_path: Path) -> None:
    """Small images have no MS-SSIM, and JSON no NaN."""
    path = export(made_up_rows().assign(ms_ssim=float("nan")), tmp_path)[0]
    assert "ms-ssim-rgb" not in json.loads(path.read_text())["results"]
    assert read_curve(path).ms_ssim == ()


def test_the_curves_of_others(vtm: Path) -> None:
    curve = read_curve(vtm)
    assert (curve.codec, curve.bpp, curve.psnr_db) == (
        "VTM",
        (0.048, 0.112, 0.246),
        (26.1, 28.5, 31.2),
    )
    assert curve.ms_ssim == (0.861, 0.918, 0.956)


def test_they_are_drawn_beside_ours(vtm: Path, tmp_path: Path) -> None:
    folder = tmp_path / IMPORTED
    keep([vtm, vtm], folder)
    [curve] = imported(folder)
    assert curve == read_curve(vtm) and imported(tmp_path / "nowhere") == []
    rows = made_up_rows()
    plot_rd(rows, tmp_path / "with.png", "a title", imported=[curve])
    plot_rd(rows, tmp_path / "without.png", "a title")
    assert (tmp_path / "with.png").read_bytes() != (tmp_path / "without.png").read_bytes()
    [chart] = data.charts(rows, [curve])
    assert [other["label"] for other in chart["imported"]] == ["VTM"]
    assert [p["psnr_db"] for p in chart["imported"][0]["points"]] == [26.1, 28.5, 31.2]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("no JSON", "is not JSON"),
        ("[1]", "holds no results by name"),
        ('{"results": [1]}', "are no lists by name"),
        ('{"results": {"bpp": [1]}}', "has no psnr-rgb, only bpp"),
        ('{"bpp": [1], "psnr": [30, 31]}', "1 bpp, 2 PSNR and 0 MS-SSIM values make no curve"),
        ('{"bpp": [], "psnr": []}', "make no curve"),
        ('{"bpp": [0], "psnr": [30]}', "rates must be positive"),
        ('{"bpp": [1], "psnr": [30], "ms-ssim": [14.2]}', "MS-SSIM linear, from 0 to 1"),
        ('{"bpp": [1], "psnr": [NaN]}', "its psnr is no list of numbers"),
        ('{"bpp": ["1"], "psnr": [30]}', "its bpp is no list of numbers"),
        ('{"bpp": [true], "psnr": [30]}', "its bpp is no list of numbers"),
    ],
)
def test_what_is_no_curve(content: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(InputError, match=rf"x\.json: .*{reason}"):
        keep([path], tmp_path / IMPORTED)
    assert not (tmp_path / IMPORTED).exists()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_curve(tmp_path / "x.json")


def test_no_curve_replaces_another(vtm: Path, tmp_path: Path) -> None:
    keep([vtm], tmp_path / IMPORTED)
    vtm.write_text(json.dumps({**VTM, "name": "VTM 23"}))
    with pytest.raises(InputError, match="is another curve: rename one of them"):
        keep([vtm], tmp_path / IMPORTED)


def test_the_command(vtm: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "x.png", photo(64, 96))
    out, options = tmp_path / "out", ["--configs", "baseline,int", "--qualities", "1,2", "--quiet"]
    argv = ["bdrate", "--codec", "tiny-mbt2018-mean", "--data", str(tmp_path / "x.png"), *options]
    exchange = ["--export", "compressai", "--import", str(vtm), "--out", str(out)]
    assert main([*argv, *exchange]) == 0
    assert parse_json_file(out / "compressai/tiny-mbt2018-mean-int.json", "psnr")["ys"]
    assert main(["report", str(out)]) == 0
    assert '"label": "VTM"' in (out / "report.html").read_text(encoding="utf-8")
