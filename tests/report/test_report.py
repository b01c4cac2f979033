"""Reports: what they say and escape, when they have a slider, and how a browser shows them."""

import argparse
import base64
import hashlib
import io
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from compressai.models import MeanScaleHyperprior
from PIL import Image
from support import chromium
from support.models import photo, tiny
from support.pages import CODEC, CONFIGS, Parsed, curve, frame, row, write

from latentopt import wrap, zoo
from latentopt.adapters import with_step
from latentopt.bench import command as bdrate
from latentopt.bench import options
from latentopt.bench.codecs import BaselineCodec, coded_bytes
from latentopt.bench.items import Clips
from latentopt.bench.provenance import weights_hash
from latentopt.bench.summary import summarise
from latentopt.cli.main import main
from latentopt.errors import DataError, InputError, WeightsError
from latentopt.media.images import read_image, write_png
from latentopt.report import data, report
from latentopt.report.commands import commands
from latentopt.report.markup import slider
from latentopt.report.page_tables import Column, tables
from latentopt.report.slider import Comparison, compare
from latentopt.report.views import is_cropped, views

HOSTILE = "<img src=x onerror=alert(1)>\"'&.png"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose images and weights are at hand; one of the images has a wicked name."""
    root = tmp_path_factory.mktemp("report")
    (root / "photos").mkdir()
    for seed, name in enumerate(("a.png", HOSTILE)):
        write_png(root / "photos" / name, photo(180, 200, seed=seed)[0])
    weights = weights_hash(zoo.load(CODEC, 3))
    rows = curve("a.png", HOSTILE, data=str(root / "photos"), weights=weights)
    return write(root / "out", rows)


@pytest.fixture(scope="module")
def rows(measured: Path) -> pd.DataFrame:
    return data.read_folder(measured)


@pytest.fixture(scope="module")
def page(measured: Path) -> Path:
    assert report(measured, measured / "report.html") is None
    return measured / "report.html"


@pytest.fixture(scope="module")
def comparison(rows: pd.DataFrame) -> Comparison:
    return compare(rows, "a.png")


# -- what the page says --------------------------------------------------------------------------


def test_gains_are_the_harness_own(page: Path, rows: pd.DataFrame) -> None:
    cells = Parsed(page).text("td")
    for line in summarise(rows).to_dict("records"):
        shown = Column("", "", 2, signed=True).text(line["bd_rate_pchip_percent"])
        assert shown == {"oct": "−4.00", "oct+shift": "−7.00"}[line["config"]]
        start = cells.index(line["config"])
        assert cells[start : start + 3] == [line["config"], "2", shown]


def test_facts(page: Path) -> None:
    facts = dict(zip(Parsed(page).text("dt"), Parsed(page).text("dd")))
    assert facts["Codec"] == CODEC and facts["Images"] == "2"
    assert facts["Rate points"] == "q1, q2, q3, q4" and facts["latentopt"] == "0.1.0+abcdef0"
    assert facts["Machine"] == "cpu, 1 CPU thread(s)"


def test_every_measurement_is_in_the_table(rows: pd.DataFrame) -> None:
    items = tables(rows)[-1]
    assert items.key == "images" and len(items.frame) == len(rows)
    line = items.frame[(items.frame["config"] == "oct") & (items.frame["point"] == "q2")].iloc[0]
    assert line["bytes_percent"] == pytest.approx(100 * (1296 / 1350 - 1))
    assert items.frame.loc[items.frame["config"] == "baseline", "bytes_percent"].isna().all()


def test_the_published_curve_is_shown_beside_all_of_kodak() -> None:
    names = [f"kodim{i:02}.png" for i in range(1, 25)]
    whole = frame(curve(*names, codec="mbt2018-mean", data="kodak"))
    assert data.charts(whole)[0]["published"]["label"] == "mbt2018-mean, published"
    assert "published" in [table.key for table in tables(whole)]
    part = whole[whole["image"] != "kodim07.png"]
    assert data.charts(part)[0]["published"] is None
    foreign = whole.assign(codec="a codec of mine")
    assert data.charts(foreign)[0]["published"] is None


def test_video_has_the_papers_values_and_no_slider_where_it_is_not_here(tmp_path: Path) -> None:
    clips = curve("Beauty", codec="tiny-ssf2020", data="uvg/gop8/frames16")
    reason = report(write(tmp_path, clips), tmp_path / "r.html")
    assert "UVG's Beauty" in str(reason)
    by_key = {table.key: table for table in tables(frame(clips))}
    for key in ("gains", "sequences"):
        shown = by_key[key].frame.set_index("config")["paper_percent"]
        assert shown["oct"] == -1.6 and shown["oct+shift"] == -1.76
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Left out: " in text and 'id="slider"' not in text and "Per clip" in text


def test_one_configuration_of_a_codec_unknown_here(tmp_path: Path) -> None:
    """Nothing to compare, nothing published: still a page."""
    few = [row("q1", "baseline", "a.png", codec="mine", ms_ssim=float("nan"))]
    assert "no configuration but the baseline" in str(report(write(tmp_path, few), tmp_path / "r"))
    few = [replace(few[0], config="oct", data="x/gop8", psnr_db=float("inf"))]
    assert report(write(tmp_path / "b", few), tmp_path / "r")


@pytest.mark.parametrize(
    ("codec", "data_", "medium"),
    [
        ("tiny-mbt2018", "my photos/*.png", None),
        ("tiny-ssf2020", "uvg", Clips(gop=12)),
        ("tiny-ssf2020", "a/b", Clips(frames=16, ahead=True, parts=("image", "residual"))),
    ],
)
def test_the_command_measures_the_same(codec: str, data_: str, medium: Clips | None) -> None:
    label = medium.label(data_) if medium else data_
    [line] = commands(frame(curve("a", codec=codec, data=label, threads=2)))
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    program, command, *argv = shlex.split(line)
    args = parser.parse_args(argv)
    assert (program, command, args.codec, args.data) == ("latentopt", "bdrate", codec, data_)
    assert (args.qualities, args.threads) == ("1,2,3,4", 2)
    assert args.configs.split(",") == list(CONFIGS) and args.weights is None
    again = bdrate._medium(args, codec, [1.0])
    assert again == medium if medium else again.label(data_) == data_


def test_the_command_says_what_is_not_the_default() -> None:
    other = {"step": 1.4, "device": "cuda", "batch_size": 4, "data": "kodak"}
    one = row("q1", "oct", "a", **other)
    [line] = commands(frame([one]))
    assert "--steps 1.4" in line and "--device cuda --batch-size 4" in line and "--limit 1" in line
    [line] = commands(frame([replace(one, point="q1-ms-ssim")]))
    assert "--qualities 1 --metric ms-ssim" in line
    [line] = commands(frame([replace(one, point="my best")]))
    assert "--weights 'my best'" in line


def test_nothing_measured_everywhere(tmp_path: Path) -> None:
    apart = [row("q1", "baseline", "a.png"), row("q1", "oct", "b.png")]
    assert "everywhere" in str(report(write(tmp_path, apart), tmp_path / "r.html"))
    parsed = Parsed(tmp_path / "r.html")
    assert [t["id"] for t in parsed.all("table")] == ["images"]
    assert not [div for div in parsed.all("div") if div.get("id") == "chart"]


# -- what it must not do -------------------------------------------------------------------------


def test_texts_are_escaped(page: Path, tmp_path: Path) -> None:
    wicked = "</script><script>alert(1)</script>"
    injected = curve(HOSTILE, codec=wicked, data=wicked, latentopt=f"1+{wicked}", device=wicked)
    injected += [replace(one, config=wicked) for one in injected if one.config == "oct"]
    report(write(tmp_path, injected), tmp_path / "r.html")
    for path in (page, tmp_path / "r.html"):
        parsed = Parsed(path)
        assert len(parsed.all("script")) == 2
        assert not [a for _, attributes in parsed.elements for a in attributes if a[:2] == "on"]
        assert not [img for img in parsed.all("img") if not str(img["src"]).startswith("data:")]
        assert HOSTILE in parsed.text("td")


def test_nothing_is_fetched(page: Path) -> None:
    """The policy forbids it, and nothing tries."""
    parsed = Parsed(page)
    [policy] = [m["content"] for m in parsed.all("meta") if "http-equiv" in m]
    assert policy and policy.startswith("default-src 'none'; img-src data:;")
    [css], [script] = parsed.text("style"), [t for t in parsed.text("script") if "use strict" in t]
    for name, content in (("style-src", css), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    links = [a.get(k) for _, a in parsed.elements for k in ("src", "href", "srcset")]
    assert all(link.startswith("data:") for link in links if link)
    assert not [a for _, a in parsed.elements if "style" in a]  # which the policy would ignore
    assert "url(" not in css and "@import" not in css
    assert page.stat().st_size < 4e6


# -- the slider ----------------------------------------------------------------------------------


def test_the_images_are_what_the_codecs_decode(comparison: Comparison, rows: pd.DataFrame) -> None:
    choice = comparison.choice
    assert (choice.point, choice.config, choice.image) == ("q3", "oct+shift", "a.png")
    x = read_image(Path(rows["data"].iloc[0]) / "a.png")
    model = zoo.load(CODEC, 3)
    baseline = BaselineCodec(model).compress(x)
    assert comparison.baseline.bytes == coded_bytes(baseline["strings"], 0)
    assert comparison.is_equal
    assert 0 <= comparison.ours.psnr_db - comparison.baseline.psnr_db <= 0.05
    codec = wrap(with_step(model, comparison.step), "oct", shift=True)
    out = codec.compress(x)
    assert comparison.ours.bytes == coded_bytes(out["strings"], 0)
    x_hat = codec.decompress(**out)["x_hat"]
    assert torch.equal(comparison.ours.pixels, (x_hat[0] * 255).round().to(torch.uint8))
    main_bits = codec.encode(x)["y"][0].latent.bits().sum()
    assert comparison.bits.sum() == pytest.approx(main_bits)
    assert comparison.stride * comparison.bits.shape[0] >= 180


def test_the_page_says_on_what_terms_it_compares(comparison: Comparison) -> None:
    equal = slider(comparison)
    assert " at equal quality: ours is coded to the baseline&#x27;s PSNR." in equal
    assert "with its step times 1.25, " in slider(replace(comparison, step=1.25))
    assert "Their PSNR differs" in slider(replace(comparison, is_equal=False))


def decoded(uri: str) -> np.ndarray:
    kind, content = uri.split(";base64,")
    assert kind in ("data:image/png", "data:image/webp")
    return np.array(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))


def test_views(comparison: Comparison) -> None:
    by_key = {view.key: view for view in views(comparison)}
    assert list(by_key)[:3] == ["original", "baseline", "ours"]
    for key, pixels in (("original", comparison.original), ("ours", comparison.ours.pixels)):
        assert np.array_equal(decoded(by_key[key].uri), pixels.permute(1, 2, 0).numpy())
    maps = [by_key[key] for key in ("baseline-difference", "ours-difference", "bits")]
    assert {decoded(view.uri).shape for view in maps} == {(180, 200, 3)}
    assert maps[0].scale and maps[0].scale.high == "32 or more" and "8 times" in maps[0].title
    assert maps[2].scale and maps[2].scale.high == f"{comparison.bits.max():,.0f}"
    grid = decoded(maps[2].uri)
    assert (grid[:16, :16] == grid[0, 0]).all() and (grid[0, 0] != grid[100, 100]).any()


def test_the_middle_of_a_large_image(comparison: Comparison) -> None:
    assert not is_cropped(comparison)
    large = replace(
        comparison,
        original=comparison.original.repeat(1, 7, 1),
        baseline=replace(comparison.baseline, pixels=comparison.baseline.pixels.repeat(1, 7, 1)),
        ours=replace(comparison.ours, pixels=comparison.ours.pixels.repeat(1, 7, 1)),
        bits=np.tile(comparison.bits, (7, 1)),
    )
    assert is_cropped(large)
    assert {(view.width, view.height) for view in views(large)} == {(200, 1024)}


def test_why_there_is_no_slider(rows: pd.DataFrame, tmp_path: Path) -> None:
    other = rows.assign(weights="f" * 12)
    with pytest.raises(WeightsError, match=r"weights f{12}; those here are"):
        compare(other, "a.png")
    with pytest.raises(WeightsError, match="--weights"):
        compare(rows[rows["point"] == "q1"].assign(point="mine"), "a.png")
    with pytest.raises(DataError, match="is 200x180, and 768x512 was measured"):
        compare(rows.assign(width=768, height=512), "a.png")
    with pytest.raises(DataError, match=r"holds no c\.png here"):
        compare(rows.replace("a.png", "c.png"), "c.png")
    with pytest.raises(InputError, match="no baseline"):
        compare(rows[rows["config"] == "oct"], "a.png")
    path = tmp_path / "other.pt"
    path.touch()
    with pytest.raises(WeightsError, match="no rate point is called other, but q1, q2, q3, q4"):
        compare(rows, "a.png", [path])


def test_checkpoints_of_ones_own(rows: pd.DataFrame, tmp_path: Path) -> None:
    model = tiny(MeanScaleHyperprior)
    torch.save(model.state_dict(), tmp_path / "mine.pt")
    digest = weights_hash(zoo.load("mbt2018-mean", weights=tmp_path / "mine.pt"))
    one = rows[rows["point"] == "q2"]
    own = one.assign(codec="mbt2018-mean", point="mine", weights=digest, step=1.4)
    found = compare(own, "a.png", [tmp_path / "mine.pt"])
    assert (found.choice.point, found.choice.step) == ("mine", 1.4)
    assert found.choice.config == "oct+shift"  # the last one: one rate point has no BD-rate


# -- the command ---------------------------------------------------------------------------------


def run(*argv: object) -> int:
    return main(["report", *map(str, argv)])


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "out", curve("a.png", data=str(tmp_path / "gone")))
    assert run(folder) == 0
    out, err = capsys.readouterr()
    assert out == f"{folder / 'report.html'}\n"
    assert re.fullmatch(r"latentopt: nothing is coded again: .*names no file.*\n", err)
    assert run(folder, "-o", tmp_path / "p.html", "--image", "a.png") == 0
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert text == (folder / "report.html").read_text(encoding="utf-8")


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "out", curve("a.png"))
    cases = {
        "no such folder": [tmp_path / "none"],
        "holds no measurements.csv": [tmp_path],
        "not measured; these are: a.png": [folder, "--image", "b.png"],
        "no file|no checkpoint": [folder, "--weights", tmp_path / "none.pt"],
        "is an input too": [folder, "-o", folder / "measurements.csv"],
        "it is a folder": [folder, "-o", tmp_path],
    }
    for message, argv in cases.items():
        assert run(*argv) == 2
        out, err = capsys.readouterr()
        assert out == "" and re.search(message, err) and err.count("\n") == 1, err
    assert not list(tmp_path.rglob("*.html"))


# -- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Browser]:
    path = chromium.find()
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(chromium.NAMES)} is installed")
    with chromium.opened(path, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(launched: chromium.Browser, page: Path) -> Iterator[chromium.Browser]:
    """With the page open, as on a desk."""
    launched.resize(1200, 900)
    launched.open(page)
    yield launched
    assert launched.complaints() == []
    assert launched.requests() <= {page.resolve().as_uri()}


def artifacts() -> Path:
    """Where what a test run leaves to be looked at is kept."""
    return Path(os.environ.get("LATENTOPT_ARTIFACTS") or "results/artifacts")


def count(browser: chromium.Browser, selector: str) -> int:
    return browser.run(f"document.querySelectorAll({selector!r}).length")


def test_browser_draws_the_curves(browser: chromium.Browser) -> None:
    assert browser.run("document.querySelector('#chart').hidden") is False
    assert count(browser, "#chart .series .line") == 3
    assert count(browser, "#chart .point") == 12
    assert browser.run("document.querySelector('.series .line').points.length") == 4
    browser.screenshot(artifacts() / "report.png")
    assert (artifacts() / "report.png").stat().st_size > 50_000
    browser.colours("dark")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(22, 22, 26)"
    browser.screenshot(artifacts() / "report-dark.png")
    browser.colours("light")


def test_browser_keys_switch_a_configuration_off(browser: chromium.Browser) -> None:
    browser.run("document.querySelector('#toggles input[value=oct]').focus()")
    browser.press(" ")
    shown = "[...document.querySelectorAll('#chart .series')].map(g => g.dataset.config)"
    assert browser.run(shown) == ["baseline", "oct+shift"]
    browser.press(" ")
    assert browser.run(shown) == ["baseline", "oct", "oct+shift"]


def test_browser_keys_change_the_axes(browser: chromium.Browser) -> None:
    labels = "[...document.querySelectorAll('#chart .axis')].map(t => t.textContent)"
    assert browser.run(labels) == ["bits per pixel", "PSNR in dB"]
    place = "document.querySelectorAll('.point .mark')[1].getBBox().x"
    linear = browser.run(place)
    browser.run("document.querySelector('input[name=log]').focus()")
    browser.press("ArrowRight")
    assert browser.run(place) > linear + 10
    browser.run("document.querySelector('input[name=view]').focus()")
    browser.press("ArrowRight")
    assert browser.run(labels)[1] == "MS-SSIM in dB"
    browser.press("ArrowRight")
    assert browser.run(labels)[0] == "PSNR in dB"
    assert browser.run(labels)[1].startswith("rate against the baseline")


def test_browser_keys_read_the_points(browser: chromium.Browser) -> None:
    browser.run("document.querySelector('#toggles label:last-of-type input').focus()")
    browser.press("Tab")
    tip = "[document.querySelector('.tip').hidden, document.querySelector('.tip').textContent]"
    hidden, text = browser.run(tip)
    assert not hidden and text.startswith("baseline, q1: 0.2000 bpp, 27.00 dB")
    browser.press("ArrowRight")
    browser.press("ArrowUp")  # round to the last
    assert browser.run(tip)[1].startswith("oct+shift, q2: 0.2790 bpp, 29.00 dB")
    assert browser.run(tip)[1].endswith("−7.00 % rate at equal PSNR")
    assert browser.run("document.activeElement.getAttribute('aria-label')") == browser.run(tip)[1]


def test_browser_mouse_reads_a_point(browser: chromium.Browser) -> None:
    browser.hover(".series:last-of-type .point:last-of-type .mark")
    tip = "[document.querySelector('.tip').hidden, document.querySelector('.tip').textContent]"
    hidden, text = browser.run(tip)
    assert not hidden and text.startswith("oct+shift, q4: 0.6510 bpp, 32.00 dB")
    browser.hover("h1")
    assert browser.run(tip)[0]


def test_browser_keys_move_the_slider(browser: chromium.Browser) -> None:
    state = (
        "[document.querySelector('#split').value, document.querySelector('.edge').style.left,"
        " document.querySelector('.stage .left').style.clipPath]"
    )
    assert browser.run(state) == ["50", "50%", "inset(0px 50% 0px 0px)"]
    browser.run("document.querySelector('#split').focus()")
    browser.press("ArrowRight")
    browser.press("ArrowRight")
    browser.press("ArrowLeft")
    assert browser.run(state) == ["51", "51%", "inset(0px 49% 0px 0px)"]


def test_browser_shows_every_view(browser: chromium.Browser) -> None:
    choose = """key => {
      const select = document.querySelector('#slider select');
      select.value = key;
      select.dispatchEvent(new Event('change'));
      const image = document.querySelector('.stage .left');
      return image.decode().then(() => [image.naturalWidth, image.alt,
        document.querySelectorAll('.captions > :first-child .bar').length]);
    }"""
    keys = "[...document.querySelector('#slider select').options].map(o => o.value)"
    bars = {}
    for key in browser.run(keys):
        width, alt, bars[key] = browser.run(f"({choose})({key!r})")
        assert width == 200 and alt
    maps = {"baseline-difference", "ours-difference", "bits"}
    assert bars == {key: int(key in maps) for key in ("original", "baseline", "ours", *maps)}


def test_browser_keys_sort_and_filter(browser: chromium.Browser) -> None:
    column = "[...document.querySelectorAll('#gains tbody tr')].map(r => r.cells[0].textContent)"
    button = "document.querySelectorAll('#gains th')[2]"
    browser.run(f"{button}.querySelector('button').focus()")
    browser.press("Enter")
    assert browser.run(column) == ["oct+shift", "oct"]
    assert browser.run(f"{button}.getAttribute('aria-sort')") == "ascending"
    browser.press(" ")
    assert browser.run(column) == ["oct", "oct+shift"]
    assert browser.run(f"{button}.getAttribute('aria-sort')") == "descending"
    shown = "[...document.querySelectorAll('#images tbody tr')].filter(r => !r.hidden).length"
    assert browser.run(shown) == 24
    browser.run("""(() => {
      const labels = [...document.querySelectorAll('main > section:last-of-type .controls label')];
      const select = labels.find(l => l.textContent.startsWith('Configuration')).lastChild;
      select.value = 'oct';
      select.dispatchEvent(new Event('change'));
    })()""")
    assert browser.run(shown) == 8


def test_browser_holds_the_page_to_its_policy(browser: chromium.Browser) -> None:
    violated = """new Promise(done => {
      document.addEventListener('securitypolicyviolation', e => done(e.effectiveDirective));
      ATTEMPT
    })"""
    attempts = {
        "connect-src": "fetch('data:,x').catch(() => 0)",
        "img-src": "new Image().src = 'picture.png'",
        "script-src-attr": "document.querySelector('h1').setAttribute('onclick', 'alert(1)')",
    }
    for directive, attempt in attempts.items():
        assert browser.run(violated.replace("ATTEMPT", attempt)) == directive
    browser.events.clear()  # the complaints were asked for


def test_browser_shows_a_page_of_little(launched: chromium.Browser, tmp_path: Path) -> None:
    report(write(tmp_path, [row("q1", "baseline", "a.png")]), tmp_path / "r.html")
    launched.open(tmp_path / "r.html")
    assert count(launched, "#chart .point") == 1
    few = [row("q1", "baseline", "a.png"), row("q1", "oct", "b.png")]
    report(write(tmp_path / "b", few), tmp_path / "r.html")
    launched.open(tmp_path / "r.html")
    assert count(launched, "th button") > 5
    assert launched.complaints() == []


def test_browser_fits_a_phone(browser: chromium.Browser, page: Path) -> None:
    browser.resize(360, 740, mobile=True)
    browser.open(page)
    assert browser.run("document.documentElement.scrollWidth") == 360
    assert browser.run("document.querySelector('#chart svg').getBoundingClientRect().width") <= 360
    browser.screenshot(artifacts() / "report-phone.png")


def test_browser_without_scripts_has_the_tables(browser: chromium.Browser, page: Path) -> None:
    browser.scripts(allowed=False)
    try:
        browser.open(page)
        assert count(browser, "#images tbody tr") == 24
        visible = "[...document.querySelectorAll('#views img')].filter(i => i.clientWidth).length"
        assert browser.run(visible) == 9  # six views, and three colour bars
        assert browser.run("document.querySelector('noscript p').clientHeight") > 0
    finally:
        browser.scripts(allowed=True)
