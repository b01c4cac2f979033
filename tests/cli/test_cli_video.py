"""The command line on clips: what it writes and prints, what is left of a file that ends early."""

import json
import re
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from compressai.models import MeanScaleHyperprior
from support.fresh import elsewhere
from support.models import moving, photo, tiny, tiny_flow

from latentopt import wrap
from latentopt.bitstream import end_record, read_header
from latentopt.cli.main import main
from latentopt.media.clips import Format, open_clip, write_clip
from latentopt.media.images import to_uint8, write_png
from latentopt.media.quality import psnr_db

CODEC = ["--codec", "tiny-ssf2020", "--weights"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "flow.pt"
    torch.save(tiny_flow().state_dict(), path)
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Three frames, 70x50, as Y4M."""
    path = tmp_path / "clip.y4m"
    write_clip(path, moving(3, 50, 70), Format(70, 50, Fraction(30)))
    return path


@pytest.fixture
def coded(clip: Path, weights: Path) -> Path:
    path = clip.with_suffix(".lov")
    assert run("encode", clip, "-o", path, *CODEC, weights, "--quant", "hex", "--gop", "2") == 0
    return path


def run(*argv: object) -> int:
    return main([str(arg) for arg in argv])


def frames(path: Path) -> list[torch.Tensor]:
    """(3, H, W) uint8 each."""
    with open_clip(path) as found:
        return [to_uint8(x[0]) for x in found]


def test_a_clip_goes_through(clip: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coded = clip.with_suffix(".lov")
    assert run("encode", clip, "-o", coded, *CODEC, weights, "--quant", "hex", "--gop", "2") == 0
    size = coded.stat().st_size
    rate = f"3 frames, {size} bytes, {8 * size / (3 * 50 * 70):.4f} bpp, {0.08 * size:.1f} kbit/s"
    how = (
        rf"(\d+\.\d\d) dB, \d+\.\d s, tiny-ssf2020 {weights.name} plain: {re.escape(str(coded))}\n"
    )
    said = re.fullmatch(f"{rate}, {how}", capsys.readouterr().out)
    folder = clip.with_name("decoded")
    assert run("decode", coded, "-o", folder, *CODEC, weights) == 0
    assert capsys.readouterr().out == f"3 frames 70x50: {folder}\n"
    codec = wrap(tiny_flow(), "hex", True, gop=2)
    with open_clip(clip) as source:
        expected = [to_uint8(x[0]) for x in codec(list(source))["x_hat"]]
        quality = [psnr_db(to_uint8(x), y) for x, y in zip(source, expected)]
    assert all(torch.equal(a, b) for a, b in zip(frames(folder), expected, strict=True))
    assert said and float(said[1]) == pytest.approx(sum(quality) / 3, abs=0.0051)


def test_an_image_is_a_clip_of_one_frame_where_that_is_said(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "x.png"
    write_png(image, photo(64, 64))
    assert run("encode", image, "-o", tmp_path, *CODEC, weights, "--gop", 4) == 0
    assert run("decode", tmp_path / "x.lov", "-o", tmp_path / "y.y4m", *CODEC, weights) == 0
    assert re.fullmatch(r"1 frame, .*\n1 frame 64x64: .*\n", capsys.readouterr().out)


def test_a_clip_of_so_many_bits_a_second(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 30 frames per second these two take a fifteenth of one."""
    clip, coded, again = (tmp_path / name for name in ("clip.y4m", "clip.lov", "again.lov"))
    write_clip(clip, moving(2, 128, 384), Format(384, 128, Fraction(30)))
    argv = ["encode", clip, *CODEC, weights, "--preset", "fast"]
    assert run(*argv, "-o", again) == 0
    most = int(0.9 * again.stat().st_size)
    capsys.readouterr()
    assert run(*argv, "-o", coded, "--target-kbps", most * 0.12) == 0
    assert min(0.99 * most, most - 8) <= coded.stat().st_size <= most
    said = re.search(r"kbit/s, .* fast lambda ([\d.e-]+) encodes \d", capsys.readouterr().out)
    assert said
    assert run(*argv, "-o", again, "--lmbda", said[1]) == 0
    assert again.read_bytes() == coded.read_bytes()


def test_explain(
    clip: Path, coded: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every byte is some frame's and part's, or the file's own; PSNR is that of what decodes."""
    argv = ["explain", coded, *CODEC, weights, "--against", clip]
    folder, plot = clip.with_name("decoded"), clip.with_name("frames.png")
    assert run("decode", coded, "-o", folder, *CODEC, weights) == 0
    capsys.readouterr()
    assert run(*argv, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    explained = found["explained_frames"]
    assert [frame["key"] for frame in explained] == [True, False, True]
    assert [list(frame["parts"]) for frame in explained] == [
        ["image"],
        ["motion", "residual"],
        ["image"],
    ]
    for frame, x, x_hat in zip(explained, frames(clip), frames(folder), strict=True):
        assert frame["bytes"] == sum(map(sum, frame["parts"].values()))
        assert frame["psnr_db"] == pytest.approx(psnr_db(x, x_hat))
    own = coded.stat().st_size - sum(frame["bytes"] for frame in explained)
    assert run(*argv, "--plot", plot) == 0 and plot.read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert re.search(rf"header and checksums +{own} ", said)
    assert re.search(rf"1 +predicted +{explained[1]['bytes']} ", said)
    (motion, motion_side), (residual, residual_side) = explained[1]["parts"].values()
    assert re.search(rf"motion +{motion + motion_side} +{motion} +{motion_side} ", said)
    assert re.search(rf" {motion} \+ {motion_side} +{residual} \+ {residual_side} ", said)


def test_a_file_without_frames_explains_nothing(
    coded: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coded.write_bytes(read_header(coded).to_bytes() + end_record(0))
    assert run("explain", coded, *CODEC, weights) == 2
    assert "there is no frame in it" in capsys.readouterr().err


@pytest.mark.parametrize("count, words", [(2, "has 2 frames only"), (4, "has more frames than")])
def test_explain_against_another(
    coded: Path, weights: Path, capsys: pytest.CaptureFixture[str], count: int, words: str
) -> None:
    other = coded.with_name("other.y4m")
    write_clip(other, moving(count, 50, 70), Format(70, 50, Fraction(30)))
    assert run("explain", coded, *CODEC, weights, "--against", other) == 2
    assert words in capsys.readouterr().err


def test_a_fresh_process_decodes(coded: Path, weights: Path, tmp_path: Path) -> None:
    argv = ["decode", coded, "-o", tmp_path / "out.y4m", *CODEC, weights]
    assert elsewhere(run, *argv) == 0
    assert run("decode", coded, "-o", tmp_path / "again.y4m", *CODEC, weights) == 0
    with open_clip(tmp_path / "out.y4m") as found:
        assert found.format == Format(70, 50, Fraction(30)) and len(found) == 3
    difference = [
        (a.int() - b.int()).abs().max()
        for a, b in zip(frames(tmp_path / "out.y4m"), frames(tmp_path / "again.y4m"))
    ]
    assert max(difference) <= 2  # another number of threads sums in another order


def test_info(coded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("info", coded) == 0
    out = capsys.readouterr().out
    assert "frames:         2 key, 1 predicted\n" in out
    assert "frame rate:     30 per second\n" in out
    assert "duration:       0.10 s\n" in out
    assert "codec:          ssf2020\n" in out and "quality:        weights of one's own\n" in out
    for part, lattice in (("image", "hex"), ("motion", "int"), ("residual", "hex")):
        assert re.search(rf"^{part}: +lattice {lattice}, pmf exact, direction density", out, re.M)


def test_a_file_that_ends_early(
    coded: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.lov"
    cut.write_bytes(coded.read_bytes()[:-12])
    capsys.readouterr()
    assert run("decode", cut, "-o", tmp_path / "frames", *CODEC, weights) == 1
    out, err = capsys.readouterr()
    assert out == f"2 frames 70x50: {tmp_path / 'frames'}\n"
    assert err == f"latentopt: {cut}: truncated: the video ends after 2 whole frames\n"
    assert len(frames(tmp_path / "frames")) == 2
    assert run("info", cut) == 0
    assert "1 key, 1 predicted; the file ends early" in capsys.readouterr().out
    cut.write_bytes(coded.read_bytes()[:50])
    assert run("decode", cut, "-o", tmp_path / "none.y4m", *CODEC, weights) == 2
    assert not (tmp_path / "none.y4m").exists()


def test_options_reach_the_codec(clip: Path, weights: Path, tmp_path: Path) -> None:
    def size(*options: str) -> int:
        path = tmp_path / "x.lov"
        assert run("encode", clip, "-o", path, *CODEC, weights, *options) == 0
        return path.stat().st_size

    assert size("--gop", "1") != size("--gop", "3")
    assert size("--quant", "e8") != size("--quant", "e8", "--parts", "image,motion,residual")
    size("--shift", "secant", "--ahead")
    size("--preset", "fast")


def test_raw_video(weights: Path, tmp_path: Path) -> None:
    raw = tmp_path / "clip.yuv"
    write_clip(raw, moving(2, 32, 48), Format(48, 32, Fraction(25)))
    argv = ["encode", raw, "-o", tmp_path / "x.lov", *CODEC, weights]
    assert run(*argv) == 2
    assert run(*argv, "--size", "48x32", "--rate", "12") == 0


def test_refused(
    clip: Path, coded: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(tmp_path / "x.png", photo(50, 70))
    mean = tmp_path / "mean.pt"
    torch.save(tiny(MeanScaleHyperprior).state_dict(), mean)
    image = ["--codec", "mbt2018-mean", "--weights", mean]
    lov, y4m = tmp_path / "y.lov", tmp_path / "y.y4m"
    for message, *argv in (
        ("--gop is for video codecs", "encode", tmp_path / "x.png", "-o", lov, *image, "--gop", 8),
        ("not a number of frames", "encode", clip, "-o", lov, *CODEC, weights, "--gop", "0"),
        ("unknown part 'x'", "encode", clip, "-o", lov, *CODEC, weights, "--parts", "x"),
        ("not a size", "encode", clip, "-o", lov, *CODEC, weights, "--size", "7"),
        ("input too", "encode", clip, "-o", clip, *CODEC, weights),
        ("no adapter|not one of this model's", "decode", coded, "-o", y4m, *image),
        ("no such file", "explain", coded, *CODEC, weights, "--against", coded.with_name("no.y4m")),
        ("is an input too", "explain", coded, *CODEC, weights, "--plot", coded),
        (
            "at other steps",
            "encode",
            clip,
            "-o",
            lov,
            *CODEC,
            weights,
            "--step",
            "2",
        ),
    ):
        capsys.readouterr()
        assert run(*argv) == 2
        err = capsys.readouterr().err
        assert re.search(message, err), err
    assert not lov.exists() and not y4m.exists()
