"""From rows to tables: Bjøntegaard differences, published curves, what a reader is told."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support.measured import made_up_rows

from latentopt.bench.markdown import report
from latentopt.bench.plots import plot_rd
from latentopt.bench.published import published_curve
from latentopt.bench.summary import against_published, curves, means, summarise


def test_summary_of_known_curves() -> None:
    (line,) = summarise(made_up_rows()).to_dict("records")
    for name in ("pchip", "cubic", "per_image", "ms_ssim"):
        assert line[f"bd_rate_{name}_percent"] == pytest.approx(-10.0, abs=1e-6)
    gain_db = -3.0 * math.log2(0.9)
    assert line["bd_psnr_pchip_db"] == pytest.approx(gain_db, abs=1e-6)
    assert line["bd_psnr_cubic_db"] == pytest.approx(gain_db, abs=1e-6)
    assert line["encode_ratio"] == line["decode_ratio"] == pytest.approx(2.0)
    assert line["reason"] == "" and line["images"] == 2


def test_summary_says_why_there_is_no_bd_rate() -> None:
    (line,) = summarise(made_up_rows(points=3)).to_dict("records")
    assert math.isnan(line["bd_rate_pchip_percent"])
    assert line["reason"] == "needs 4 rate points, the first curve has 3"
    assert line["encode_ratio"] == pytest.approx(2.0)
    rows = made_up_rows()
    (line,) = summarise(rows[rows["config"] == "oct"]).to_dict("records")
    assert line["reason"] == "no baseline was measured"
    rows = made_up_rows()
    rows["ms_ssim"] = math.nan
    (line,) = summarise(rows).to_dict("records")
    assert "161 pixels" in line["reason"]
    assert line["bd_rate_pchip_percent"] == pytest.approx(-10.0, abs=1e-6)


def test_checkpoints_and_steps_make_separate_curves() -> None:
    labels = [c.label for c in curves(made_up_rows(points=1, steps=(0.5, 0.7, 1.0, 1.4)))]
    assert labels == ["q0 at 4 steps"]
    both = [c.label for c in curves(made_up_rows(points=2, steps=(0.5, 1.0)))]
    assert len(both) == 4
    (line,) = summarise(made_up_rows(points=1, steps=(0.5, 0.7, 1.0, 1.4))).to_dict("records")
    assert line["bd_rate_pchip_percent"] == pytest.approx(-10.0, abs=1e-6)


def test_images_missing_somewhere_are_left_out_of_means() -> None:
    rows = made_up_rows()
    gap = (rows["config"] == "oct") & (rows["point"] == "q1") & (rows["image"] == "b.png")
    assert set(means(rows[~gap])["images"]) == {1}
    assert "1 of 2 images were not measured everywhere" in report(rows[~gap], "t")


def test_published_curve_needs_the_whole_set() -> None:
    rows = made_up_rows()
    assert set(against_published(rows)["reason"]) == {"2 images; the curve is of all 24"}
    assert against_published(rows.assign(data="holiday")).empty
    curve = published_curve("mbt2018-mean")
    whole = pd.concat(rows[rows["image"] == "a.png"].assign(image=f"{i}.png") for i in range(24))
    whole = whole[whole["point"] == "q1"].assign(psnr_db=curve.psnr_db[1])
    whole["bpp"] = np.where(whole["config"] == "oct", 0.9, 1.1) * curve.bpp[1]
    base, own = against_published(whole).to_dict("records")
    assert base["rate_vs_published_percent"] == pytest.approx(10.0)
    assert own["rate_vs_published_percent"] == pytest.approx(-10.0)
    assert own["rate_vs_baseline_percent"] == pytest.approx(100 * (0.9 / 1.1 - 1))
    low = against_published(whole.assign(psnr_db=20.0))
    assert low["reason"].str.contains("outside the curve").all()


def test_report_and_plot(tmp_path: Path) -> None:
    text = report(made_up_rows(), "a title")
    assert text.startswith("# a title") and "| -10.00 |" in text and "nan" not in text.lower()
    plot_rd(made_up_rows(), tmp_path / "rd.png", "a title", published_curve("mbt2018-mean"))
    with Image.open(tmp_path / "rd.png") as image:
        assert image.size == (1440, 600)
