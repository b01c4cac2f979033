"""The harness on clips: rows, resuming, data sets, the table per sequence, the command line."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import video_timing
from torch import Tensor

from latentopt.adapters import Reference, with_step
from latentopt.bench import command, uvg
from latentopt.bench.bdrate import Rates, bd_rate
from latentopt.bench.clipsets import ClipSet, resolve, sequence
from latentopt.bench.codecs import VideoBaseline, coded_bytes
from latentopt.bench.configs import parse, parse_all, parse_recipe
from latentopt.bench.items import Clips
from latentopt.bench.published import paper_gain, published_curve
from latentopt.bench.sequences import AVERAGE, per_sequence, sequence_report
from latentopt.bench.store import COLUMNS, read_rows
from latentopt.bench.sweep import evaluate
from latentopt.bench.task import Plan, RatePoint
from latentopt.codec.wrap import wrap_video
from latentopt.encoder import Ahead
from latentopt.errors import DataError, InputError, RateRangeError, UnsupportedModelError
from latentopt.media.images import read_image, to_uint8, write_png
from latentopt.media.quality import psnr_db
from latentopt.zoo.flow import SmallScaleSpaceFlow

SMALL = {"hidden": 8, "latent": 12, "motion": 10, "hyper": 6}


def small(seed: int = 0, gain: float = 8.0) -> Any:
    """A codec whose latents ``gain`` lets spread, as those of random weights do not."""
    torch.manual_seed(seed)
    model: Any = SmallScaleSpaceFlow(**SMALL).eval()
    with torch.no_grad():
        for part in ("img", "motion", "res"):
            getattr(model, f"{part}_encoder")[-1].weight.mul_(gain)
    model.update()
    return model


def write_clip_folder(folder: Path, frames: int = 3, size: tuple[int, int] = (70, 50)) -> Path:
    """A folder of PNG: smooth noise that moves by a pixel per frame."""
    folder.mkdir(parents=True)
    width, height = size
    generator = torch.Generator().manual_seed(len(folder.name))
    coarse = torch.rand(1, 3, height // 8 + 2, width // 8 + 2, generator=generator)
    scene = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bilinear")
    for i in range(frames):
        write_png(folder / f"{i}.png", scene[..., i : i + height, i : i + width])
    return folder


@pytest.fixture
def clips(tmp_path: Path) -> ClipSet:
    names = ("ab", "c")
    return ClipSet("two", tuple(write_clip_folder(tmp_path / "clips" / name) for name in names))


@pytest.fixture
def plan(clips: ClipSet) -> Plan:
    points = [RatePoint("m0", small)]
    return Plan("tiny-ssf2020", points, parse_all(["baseline"]), clips, medium=Clips(gop=2))


def frames_of(folder: Path) -> list[Tensor]:
    return [read_image(path) for path in sorted(folder.iterdir())]


# -- rows ----------------------------------------------------------------------------------------


@torch.no_grad()
def test_rows_are_what_compressai_writes_group_by_group(plan: Plan, tmp_path: Path) -> None:
    rows = evaluate(plan, tmp_path / "m.csv", progress=False)
    assert tuple(rows.columns) == COLUMNS and list(rows["image"]) == ["ab", "c"]
    row, model = rows.iloc[0], small()
    frames = frames_of(plan.dataset.paths[0])
    padding = (0, 128 - 70, 0, 128 - 50)
    sizes, psnr = [], []
    for group in (frames[:2], frames[2:]):
        padded = [torch.nn.functional.pad(x, padding, mode="replicate") for x in group]
        strings, shapes = model.compress(padded)
        sizes.append(sum(coded_bytes(frame, 0) for frame in strings))
        for x, x_hat in zip(group, model.decompress(strings, shapes)):
            psnr.append(psnr_db(to_uint8(x), to_uint8(x_hat[..., :50, :70])))
    assert row["bytes"] == sum(sizes) > 0
    assert row["bpp"] == pytest.approx(8 * sum(sizes) / (3 * 70 * 50))
    assert row["psnr_db"] == pytest.approx(np.mean(psnr))
    assert (row["width"], row["height"], row["data"]) == (70, 50, "two/gop2")
    assert math.isnan(row["ms_ssim"]) and row["encode_s"] > 0 and row["decode_s"] > 0


@pytest.mark.parametrize("ahead", [False, True])
def test_groups_are_the_clip_with_that_gop(plan: Plan, tmp_path: Path, ahead: bool) -> None:
    recipe = parse_recipe("oct+shift")
    changed = replace(plan, configs=[parse("oct+shift")], medium=Clips(gop=2, ahead=ahead))
    row = evaluate(changed, tmp_path / "m.csv", progress=False).iloc[0]
    codec = wrap_video(small(), recipe.but(gop=2, ahead=Ahead() if ahead else None))
    frames = frames_of(plan.dataset.paths[0])
    strings, shapes = codec.compress(frames)
    assert row["bytes"] == coded_bytes(strings, 0)
    pairs = zip(frames, codec.decompress(strings, shapes))
    psnr = [psnr_db(to_uint8(x), to_uint8(x_hat)) for x, x_hat in pairs]
    assert row["psnr_db"] == pytest.approx(np.mean(psnr), abs=1e-6)
    assert row["data"] == ("two/gop2/ahead" if ahead else "two/gop2")


def test_the_baseline_pads_as_latentopt_does() -> None:
    model, x = small(), torch.rand(1, 3, 50, 130)
    codec = wrap_video(model, parse_recipe("int"))
    assert codec.parts["image"].assembly.adapter.stride == VideoBaseline.stride
    baseline = VideoBaseline(model)
    decoded = baseline.decompress(*baseline.compress([x, x]))
    assert [x_hat.shape for x_hat in decoded] == [x.shape] * 2


def test_frames_and_parts(plan: Plan, tmp_path: Path) -> None:
    medium = Clips(gop=2, frames=2, parts=("motion", "residual"))
    changed = replace(plan, configs=[parse("hex")], medium=medium)
    row = evaluate(changed, tmp_path / "m.csv", progress=False).iloc[0]
    assert row["data"] == "two/gop2/frames2/motion+residual"
    assert row["bpp"] == pytest.approx(8 * row["bytes"] / (2 * 70 * 50))
    codec = wrap_video(small(), medium.extended(parse_recipe("hex")))
    assert codec.searched == ("motion", "residual")


def test_resuming(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.csv"
    whole = evaluate(plan, path, progress=False)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    coded: list[str] = []
    groups = Clips.groups
    monkeypatch.setattr(
        Clips, "groups", lambda self, paths: coded.append(paths[0].name) or groups(self, paths)
    )
    again = evaluate(plan, path, progress=False)
    assert coded == ["c"] and again["bytes"].tolist() == whole["bytes"].tolist()
    other = replace(plan, medium=Clips(gop=3))
    with pytest.raises(InputError, match="data 'two/gop2' there, 'two/gop3' here"):
        evaluate(other, path, progress=False)


def test_bad_media() -> None:
    for wrong in ({"gop": 0}, {"frames": 0}, {"parts": ("images",)}, {"parts": ()}):
        with pytest.raises(InputError, match=r"at least 1|choose of image, motion, residual"):
            Clips(**wrong)
    with pytest.raises(UnsupportedModelError, match="use step 1 only"):
        with_step(small(), 2.0)


# -- data sets -----------------------------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory and cache without any data set."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LATENTOPT_DATA", str(tmp_path / "data"))
    return tmp_path


def test_paths(clips: ClipSet, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    (folder / "x_8x6.yuv").write_bytes(bytes(72))
    (folder / "notes.txt").touch()
    assert resolve(str(folder)).names == ("ab", "c", "x_8x6")
    assert resolve(str(folder)).first(1).names == ("ab",)
    assert resolve(str(folder / "ab")).names == ("ab",)
    assert resolve(str(folder / "x_8x6.yuv")).names == ("x_8x6",)
    assert resolve(str(folder / "?")).names == ("c",)
    for wrong in ("kodiak", str(folder / "ab" / "0.png"), str(folder / "ab" / "*.png")):
        with pytest.raises(DataError, match=r"names no clip .*known data sets: video, uvg"):
            resolve(wrong)
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="holds no clip"):
        resolve(str(folder / "empty"))


def test_video(nowhere: Path) -> None:
    with pytest.raises(DataError, match=r"put clips .* into .*cache/latentopt/data/video"):
        resolve("video")
    write_clip_folder(nowhere / "data" / "video" / "one")
    assert resolve("video").names == ("one",)


def test_video_in_shared(shared: Path) -> None:
    names = resolve("video").names
    assert {"foreman_cif", "coastguard_cif", "CiscoVT2people_320x192_12fps"} <= set(names)


def test_sequences_are_named_as_in_the_paper() -> None:
    for name, row in (
        ("ReadySetGo_1920x1080_120fps_420_8bit_YUV.yuv", "ReadySteadyGo"),
        ("HoneyBee.y4m", "Honeybee"),
        ("Jockey_1920x1080.mkv", "Jockey"),
        ("jockeys.mkv", "jockeys"),
        ("Beauty_contest.mp4", "Beauty_contest"),
    ):
        assert sequence(Path(name)) == row


def test_uvg_is_found_or_said_where_to_put(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvg, "_TOOLS", {"no-such-tool": ()})
    for name in ("Beauty", "Bosphorus", "HoneyBee", "Jockey", "ReadySetGo", "ShakeNDry"):
        write_clip_folder(nowhere / "data" / "uvg" / name, frames=1)
    message = (
        r"UVG's YachtRide are not here and cannot be downloaded \(unpacking 7z archives needs one "
        r"of no-such-tool.*put YachtRide_1920x1080_120fps_420_8bit_YUV.yuv .* into .*data/uvg"
    )
    with pytest.raises(DataError, match=message):
        resolve("uvg")
    (nowhere / "cache" / "latentopt" / "data" / "uvg").mkdir(parents=True)
    yacht = nowhere / "cache" / "latentopt" / "data" / "uvg" / "YachtRide_1920x1080.yuv"
    yacht.touch()
    assert resolve("uvg").names == tuple(uvg.SEQUENCES) and resolve("uvg").paths[-1] == yacht


def test_uvg_is_downloaded_and_unpacked(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a site in a folder, with `cp` to unpack."""
    site, target = nowhere / "site", nowhere / "cache" / "latentopt" / "data" / "uvg"
    site.mkdir()
    monkeypatch.setattr(uvg, "_URL", site.as_uri())
    monkeypatch.setattr(uvg, "_TOOLS", {"cp": ("{archive}", "{folder}/raw.yuv")})
    with pytest.raises(DataError, match="UVG's Beauty, Bosphorus"):
        resolve("uvg")
    for name in uvg.SEQUENCES:
        frame = uvg._MAGIC.ljust(1920 * 1080 * 3 // 2, b"\0")
        (site / f"{Path(uvg.file_name(name)).stem}_RAW.7z").write_bytes(frame)
    broken = site / "YachtRide_1920x1080_120fps_420_8bit_YUV_RAW.7z"
    for content, message in ((b"<html>", "not the expected file"), (uvg._MAGIC, "whole 1920x1080")):
        broken.write_bytes(content)
        with pytest.raises(DataError, match=message):
            resolve("uvg")
    broken.write_bytes(frame)
    assert resolve("uvg").names == tuple(uvg.SEQUENCES)
    assert {path.suffix for path in target.iterdir()} == {".yuv"}
    assert Clips().size(resolve("uvg").paths[2]) == (1920, 1080)


# -- the table per sequence ----------------------------------------------------------------------


def made_up_rows(names: tuple[str, ...], first_bpp: float = 0.05, points: int = 4) -> pd.DataFrame:
    """Curves of 3 dB per doubling; configurations save so many percent."""
    saved = {"baseline": 0, "fast": 12, "oct+shift": 3, "hex": 1}
    rows = [
        dict.fromkeys(COLUMNS, 1)
        | {"codec": "tiny-ssf2020", "point": f"q{p}", "step": 1.0, "config": config}
        | {"image": name, "bpp": (1 - percent / 100) * first_bpp * 2.0**p}
        | {"psnr_db": 30.0 + 3 * p, "ms_ssim": 0.9}
        for config, percent in saved.items()
        for p in range(points)
        for name in names
    ]
    return pd.DataFrame(rows)


def test_table_like_the_papers() -> None:
    rows = made_up_rows((*uvg.SEQUENCES,))
    table = per_sequence(rows)
    assert table["bd_rate_percent"].to_numpy() == pytest.approx(
        table["config"].map({"fast": -12.0, "oct+shift": -3.0, "hex": -1.0}).to_numpy(), abs=1e-6
    )
    assert (table["low_bpp"] == 0.05).all() and (table["high_bpp"] == 0.35).all()
    text = sequence_report(rows)
    assert "| sequence | bpp | hex | join (oct+shift) | fast |" in text
    assert "| Beauty | 0.050–0.350 | -1.00 [-1.31] | -3.00 [-1.76] | -12.00 |" in text
    assert f"| {AVERAGE} | 0.050–0.350 | -1.00 [-1.31] | -3.00 [-2.70] | -12.00 |" in text
    assert "| mean of the rows |  | -1.00 | -3.00 | -12.00 |" in text and "No value" not in text


def test_table_of_other_sequences() -> None:
    text = sequence_report(made_up_rows(("Beauty", "foreman"), first_bpp=0.2))
    assert "| foreman | 0.200–1.600 | -1.00 | -3.00 | -12.00 |" in text  # one point in the range
    assert "| Beauty | 0.200–1.600 | -1.00 [-1.31] |" in text
    assert f"| {AVERAGE} | 0.200–1.600 | -1.00 | -3.00 | -12.00 |" in text
    assert AVERAGE not in sequence_report(made_up_rows(("foreman",))).split("BD-rate in %")[0]


def test_table_says_why_a_value_is_missing() -> None:
    text = sequence_report(made_up_rows(("foreman",), points=3))
    assert "| foreman | 0.050–0.200 | – | – | – |" in text
    assert "No value: needs 4 rate points, the first curve has 3." in text
    rows = made_up_rows(("foreman",))
    assert "no baseline was measured" in sequence_report(rows[rows["config"] != "baseline"])


def test_bd_rate_within_rates() -> None:
    bpp, psnr = np.array([0.05, 0.1, 0.2, 0.4, 0.8, 1.6]), np.arange(30.0, 48.0, 3)
    less = bpp * np.array([0.9, 0.9, 0.9, 0.8, 0.8, 0.8])
    assert bd_rate(bpp, psnr, less, psnr, rates=Rates(0, 0.1)) == pytest.approx(-10, abs=0.01)
    assert bd_rate(bpp, psnr, less, psnr, rates=Rates(0.8)) == pytest.approx(-20, abs=0.01)
    assert bd_rate(bpp, psnr, less, psnr, rates=Rates()) == bd_rate(bpp, psnr, less, psnr)
    with pytest.raises(RateRangeError, match=r"no rates from 2 to 3: it spans 0\.05 to 1\.6"):
        bd_rate(bpp, psnr, less, psnr, rates=Rates(2, 3))


def test_published_values() -> None:
    curve = published_curve("ssf2020", "uvg")
    assert len(curve.bpp) == 7 and 0.04 < curve.bpp[0] < curve.bpp[-1] < 0.5
    assert curve.psnr_db[0] == pytest.approx(32.46, abs=0.01)
    assert paper_gain("ssf2020", "UVG average", "shift") == -0.6
    assert paper_gain("mbt2018", "Beauty", "hex") is paper_gain("ssf2020", "Beauty", "fast") is None


# -- the command ---------------------------------------------------------------------------------


def test_command(clips: ClipSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i, gain in enumerate((2, 4, 8, 16)):
        torch.save(small(gain=gain).state_dict(), tmp_path / f"w{i}.pt")
    argv = ["--codec", "tiny-ssf2020", "--weights", str(tmp_path / "w*.pt"), "--quiet"]
    argv += ["--data", str(tmp_path / "clips"), "--configs", "baseline,shift", "--gop", "2"]
    assert command.main([*argv, "--limit", "1", "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "clips/gop2" in text and "## Per sequence" in text and "| ab | " in text
    assert len(read_rows(tmp_path / "out" / "measurements.csv")) == 8
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"summary.md", "sequences.csv", "rd.png"} <= made


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--codec", "mbt2018-mean", "--gop", "8"], "--gop is for video codecs"),
        (["--codec", "tiny-ssf2020", "--steps", "1,2"], "--steps 1,2: a video codec has no step"),
        (["--codec", "tiny-ssf2020", "--batch-size", "2"], "--batch-size 2: clips are coded one"),
        (["--codec", "tiny-ssf2020", "--gop", "0"], "gop 0: must be at least 1"),
        (["--codec", "tiny-ssf2020", "--parts", "x"], "parts: unknown part 'x'"),
        (["--codec", "tiny-ssf2020", "--data", "kodak"], "kodak names no clip"),
    ],
)
def test_user_errors(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(options) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


# -- times ---------------------------------------------------------------------------------------


@torch.no_grad()
def test_timing_codes_what_the_codec_codes(clips: ClipSet) -> None:
    model, frames = small(), wrap_video(small(), parse_recipe("oct+shift")).frames
    pair = next(video_timing.pairs(model, str(clips.paths[0])))
    strings = video_timing.encoded(frames, *pair)
    x, before = pair[0], Reference(pair[1])
    _, expected = frames.encode_frame(x, before)
    found = frames.decode_frame(strings, (x.shape[-2], x.shape[-1]), before)
    assert torch.equal(found.image, expected.image)
    times = video_timing.measure(model, ["hex"], [pair])
    assert times.shape == (1, 2, 2) and (times > 0).all()
    lines = video_timing.table(["hex"], times).splitlines()
    assert len(lines) == 4 and "| 1.024 |" in lines[-1] and "| 1.000 |" in lines[2]
