"""Reports of clips: frames before and after are those that the codecs write, and how they show."""

import argparse
import os
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest
import torch
from support import chromium
from support.models import moving
from support.pages import Parsed, curve, frame, write

from latentopt import VideoCodec, wrap, zoo
from latentopt.bench.codecs import VideoBaseline, coded_bytes
from latentopt.bench.provenance import weights_hash
from latentopt.bench.store import Measurement
from latentopt.cli.main import main
from latentopt.cli.report import add_arguments
from latentopt.codec.explain_clip import FrameExplanation, explain_clip
from latentopt.errors import DataError, InputError
from latentopt.media.clips import Format, open_clip, write_clip
from latentopt.media.images import to_uint8
from latentopt.media.quality import psnr_db
from latentopt.report.clip_compared import FRAMES, ClipComparison, CodedClip, compare_clip
from latentopt.report.clip_markup import clip_section, frame_table
from latentopt.report.frame_plot import frame_plot
from latentopt.report.page import page

CODEC, SIDE, COUNT, GOP = "tiny-ssf2020", 128, 3, 2


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "moving.y4m"
    write_clip(path, moving(COUNT, SIDE, SIDE), Format(SIDE, SIDE, Fraction(30)))
    return path


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return zoo.load(CODEC, 3)  # the middle of four


@pytest.fixture(scope="module")
def measured(clip: Path, model: torch.nn.Module) -> list[Measurement]:
    label, weights = f"{clip}/gop{GOP}", weights_hash(model)
    size = {"width": SIDE, "height": SIDE}
    return curve("moving", codec=CODEC, data=label, weights=weights, **size)


@pytest.fixture(scope="module")
def searched(measured: list[Measurement]) -> pd.DataFrame:
    """As if the best configuration were one that searches."""
    return frame(measured).replace("oct+shift", "fast")


@pytest.fixture(scope="module")
def comparison(searched: pd.DataFrame) -> ClipComparison:
    return compare_clip(searched, "moving")


def written(codec: VideoCodec, clip: Path, path: Path) -> tuple[FrameExplanation, ...]:
    """The frames of the file that a codec writes of the clip."""
    with open_clip(clip) as frames:
        codec.save(path, frames)
        return explain_clip(codec, path, frames).frames


# -- what is coded -------------------------------------------------------------------------------


@torch.no_grad()
def test_the_baseline_is_the_models_own(
    comparison: ClipComparison, clip: Path, model: torch.nn.Module
) -> None:
    codec, frames = VideoBaseline(model), comparison.baseline.frames
    assert [one.is_key for one in frames] == [True, False, True]
    with open_clip(clip) as opened:
        pictures = list(opened)
    for start in range(0, COUNT, GOP):
        group = pictures[start : start + GOP]
        strings, shapes = codec.compress(group)
        decoded = codec.decompress(strings, shapes)
        for one, coded, x, x_hat in zip(frames[start:], strings, group, decoded):
            assert one.bytes == coded_bytes(coded, 0)
            assert one.psnr_db == psnr_db(to_uint8(x), to_uint8(x_hat))
    predicted = codec.compress(pictures[:GOP])[0][1]
    assert isinstance(predicted, dict)
    for name, part in predicted.items():
        assert frames[1].parts[name] == tuple(len(latent[0]) for latent in part)


def test_ours_is_brought_to_the_baselines_quality(
    comparison: ClipComparison, clip: Path, model: torch.nn.Module, tmp_path: Path
) -> None:
    assert comparison.lmbda
    assert 0 <= comparison.ours.psnr_db - comparison.baseline.psnr_db <= 0.05
    codec = wrap(model, preset="fast", gop=GOP).with_lmbda(comparison.lmbda)
    assert comparison.ours.frames == written(codec, clip, tmp_path / "x.lov")


def test_what_does_not_search_is_coded_as_it_was_measured(
    measured: list[Measurement], clip: Path, model: torch.nn.Module, tmp_path: Path
) -> None:
    found = compare_clip(frame(measured), "moving")
    assert (found.choice.config, found.lmbda) == ("oct+shift", None)
    codec = wrap(model, "oct", shift=True, gop=GOP)
    assert found.ours.frames == written(codec, clip, tmp_path / "x.lov")


def test_so_are_strings_of_the_models_own_decoder(
    searched: pd.DataFrame, clip: Path, model: torch.nn.Module
) -> None:
    """Whose files have one key frame, where the harness has several."""
    found = compare_clip(searched.replace("fast", "compat:fast"), "moving", frames=1)
    assert (found.choice.config, found.lmbda) == ("compat:fast", None)
    with open_clip(clip, count=1) as opened:
        [strings], _ = wrap(model, preset="fast", format="compressai").compress(list(opened))
    assert found.ours.bytes == coded_bytes(strings, 0)


def test_why_there_is_none(measured: list[Measurement]) -> None:
    rows = frame(measured)
    with pytest.raises(DataError, match="is 128x128, and 64x128 was measured"):
        compare_clip(rows.assign(width=64), "moving")
    with pytest.raises(DataError, match="names no clip"):
        compare_clip(rows.assign(data="gone.y4m/gop2"), "moving")
    with pytest.raises(InputError, match="gop 0"):
        compare_clip(rows.replace(rows["data"][0], "x/gop0"), "moving")


# -- what the page says --------------------------------------------------------------------------


def test_bars_are_the_bits_of_each_latent(comparison: ClipComparison) -> None:
    section = clip_section(comparison)
    for name, side in (("baseline", comparison.baseline), ("fast", comparison.ours)):
        for i, one in enumerate(side.frames):
            said = re.findall(rf"<title>{name}, frame {i}: (\w+), \w+, ([\d,]+) bits", section)
            assert [part for part, _ in said] == [
                n for n, sizes in one.parts.items() for _ in sizes
            ]
            bits = [8 * size for sizes in one.parts.values() for size in sizes]
            assert [int(number.replace(",", "")) for _, number in said] == bits


def test_the_page_says_on_what_terms_it_compares(comparison: ClipComparison) -> None:
    assert f" by fast with lambda {comparison.lmbda:.4g}, " in clip_section(comparison)
    assert " at equal quality: ours is coded" in clip_section(comparison)
    better = [replace(one, psnr_db=40.0) for one in comparison.ours.frames]
    other = replace(comparison, ours=CodedClip(tuple(better)), lmbda=None)
    said = clip_section(other)
    assert "Their PSNR differs: this codec cannot be" in said and "for this clip." in said


def test_every_frame_is_in_the_table(comparison: ClipComparison) -> None:
    sides = {"baseline": comparison.baseline.frames, "fast": comparison.ours.frames}
    table = frame_table(sides).frame
    assert list(table["kind"]) == ["key", "predicted", "key"] * 2
    parts = table[[name for name in table.columns if ", " in name]]
    assert parts.shape == (2 * COUNT, 6) and (parts.sum(axis=1) == table["bits"]).all()
    assert list(table["psnr_db"][COUNT:]) == [one.psnr_db for one in comparison.ours.frames]


def test_a_frame_without_loss_has_no_place_on_the_scale(comparison: ClipComparison) -> None:
    same = tuple(replace(one, psnr_db=float("inf")) for one in comparison.ours.frames)
    sides = {"baseline": comparison.baseline.frames, "fast": same}
    assert "nan" not in frame_plot(sides) and "inf" not in frame_plot(sides)
    assert frame_plot(dict.fromkeys(sides, same)).count('class="mark"') == 0


def test_names_are_escaped(comparison: ClipComparison) -> None:
    wicked = "</title><script>alert(1)</script>\"'&"
    choice = replace(comparison.choice, config=wicked, image=wicked)
    assert "<script" not in clip_section(replace(comparison, choice=choice))


def test_command(
    measured: list[Measurement], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert parser.parse_args(["results"]).frames == FRAMES
    folder = write(tmp_path, measured)
    assert main(["report", str(folder), "--frames", "1"]) == 0
    assert capsys.readouterr() == (f"{folder / 'report.html'}\n", "")
    parsed = Parsed(folder / "report.html")
    assert any("moving, its first frame, coded again" in text for text in parsed.text("p"))
    assert [table["id"] for table in parsed.all("table")][-2:] == ["frames", "images"]
    assert main(["report", str(folder), "--frames", "0"]) == 2
    assert "not a number of frames" in capsys.readouterr().err


# -- in a browser --------------------------------------------------------------------------------


def test_browser_needs_no_script(
    searched: pd.DataFrame, comparison: ClipComparison, tmp_path: Path
) -> None:
    """The plot shows without, too; with scripts its table is filtered, and a phone fits it."""
    browser_path = chromium.find()
    if browser_path is None:
        pytest.skip(f"no browser: none of {', '.join(chromium.NAMES)} is installed")
    html = tmp_path / "r.html"
    html.write_text(page(searched, clip_section(comparison)), encoding="utf-8")
    drawn = "[...document.querySelectorAll('.frames rect, .frames .mark')]"
    seen = f"{drawn}.filter(e => e.getBoundingClientRect().width > 1).length"
    latents = sum(
        len(sizes)
        for side in (comparison.baseline, comparison.ours)
        for one in side.frames
        for sizes in one.parts.values()
    )
    with chromium.opened(browser_path, tmp_path / "profile") as browser:
        browser.resize(1200, 900)
        for allowed in (False, True):
            browser.scripts(allowed)
            browser.open(html)
            assert browser.run(seen) == latents + 2 * COUNT
            assert browser.complaints() == []
        rows = "[...document.querySelectorAll('#frames tbody tr')].filter(r => !r.hidden).length"
        assert browser.run(rows) == 2 * COUNT
        where = Path(os.environ.get("LATENTOPT_ARTIFACTS") or "results/artifacts")
        browser.screenshot(where / "report-clip.png")
        browser.resize(360, 740, mobile=True)
        browser.open(html)
        assert browser.run("document.documentElement.scrollWidth") == 360
