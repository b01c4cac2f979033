"""Raw video whose names say how its samples are laid out: read right, or refused."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from support.commands import run

from latentopt.errors import InputError
from latentopt.media.clips import Format, open_clip, rgb_to_yuv420, write_clip

WIDTH, HEIGHT, FRAMES = 16, 12, 3
TAGS = {"yuv": (1, 1), "yuvj": (1, 2)}

READ = {  # a name, and FFmpeg's name of what it holds
    "c_16x12.yuv": "yuv420p",
    "c_16x12_420_8bit.yuv": "yuv420p",
    "c_16x12_i420.yuv": "yuv420p",
    "c_16x12_yuvj420p.yuv": "yuvj420p",
    "c_16x12_yuv422p.yuv": "yuv422p",
    "c_16x12_422.yuv": "yuv422p",
    "c_16x12_yuv444p.yuv": "yuv444p",
    "c_16x12_gray.yuv": "gray",
    "c_16x12_yuv420p10le.yuv": "yuv420p10le",
    "c_16x12_420_10b.yuv": "yuv420p10le",
    "c_16x12_420_10bit.yuv": "yuv420p10le",
    "c-16x12-10_bit.yuv": "yuv420p10le",
    "c_16x12_YUV420P10BE.yuv": "yuv420p10be",
    "c_16x12_yuv422p12le.yuv": "yuv422p12le",
    "c_16x12_yuv444p_16le.yuv": "yuv444p16le",
    "c_16x12_gray10le.yuv": "gray10le",
}
PACKED = ["nv12", "nv21", "p010le", "yuyv422", "uyvy422", "yv12", "v210", "y210le", "ayuv64le"]
COLOURS = ["yuva420p", "yuv411p", "yuv440p", "yuv410p", "rgb24", "bgr0", "gbrp10le", "argb"]
DEPTHS = ["grayf32le", "yuv420p32le", "32bit", "bayer_rggb8"]
CONTRADICTIONS = ["9bit_10bit", "420_yuv444p", "10le_10be"]
REFUSED = PACKED + COLOURS + DEPTHS + CONTRADICTIONS


def spread(name: str, seed: int) -> np.ndarray:
    """One frame of mild random samples as FFmpeg lays them out, bytes."""
    frame = av.VideoFrame(WIDTH, HEIGHT, name)
    generator, parts = np.random.default_rng(seed), []
    for component, plane in zip(frame.format.components, frame.planes):
        deep = component.bits - 8
        levels = generator.integers(100 << deep, 156 << deep, (plane.height, plane.width))
        kind = (">u2" if name.endswith("be") else "<u2") if deep else "u1"
        parts.append(levels.astype(kind).tobytes())
    return np.frombuffer(b"".join(parts), np.uint8)


@pytest.mark.parametrize("name", READ)
def test_samples_are_where_ffmpeg_has_them(tmp_path: Path, name: str) -> None:
    """FFmpeg's own conversion to RGB, from the same samples, is the measure."""
    pixels, bytes_ = READ[name], [spread(READ[name], seed) for seed in range(FRAMES)]
    np.concatenate(bytes_).tofile(tmp_path / name)
    with open_clip(tmp_path / name) as clip:
        assert clip.count == FRAMES and clip.format == Format(WIDTH, HEIGHT, Fraction(25))
        frames = list(clip)
    for frame, data in zip(frames, bytes_, strict=True):
        assert torch.allclose(frame, by_hand(data, pixels), rtol=0, atol=1e-6)


def by_hand(data: np.ndarray, pixels: str) -> torch.Tensor:
    """(1, 3, H, W) of one frame's samples by the formulas of BT.709, chroma to all its pixels."""
    known = av.VideoFormat(pixels, WIDTH, HEIGHT)
    deep = known.components[0].bits - 8
    kind = (">u2" if pixels.endswith("be") else "<u2") if deep else "u1"
    samples, at, planes = data.view(kind).astype(np.float64) / 2**deep, 0, []
    for component in known.components:
        shape = (component.height, component.width)
        plane = samples[at : at + shape[0] * shape[1]].reshape(shape)
        planes.append(np.kron(plane, np.ones((HEIGHT // shape[0], WIDTH // shape[1]))))
        at += plane.size
    full = pixels.startswith(("yuvj", "gray"))
    y = planes[0] / 255 if full else (planes[0] - 16) / 219
    u, v = ((p - 128) / (255 if full else 224) for p in (planes[1:] or [np.full_like(y, 128)] * 2))
    r, b = y + 1.5748 * v, y + 1.8556 * u
    g = (y - 0.2126 * r - 0.0722 * b) / 0.7152
    return torch.from_numpy(np.stack([r, g, b])[None].clip(0, 1)).float()


@pytest.mark.parametrize("word", REFUSED)
def test_what_is_not_read_is_refused(tmp_path: Path, word: str) -> None:
    path = tmp_path / f"c_16x12_{word}.yuv"
    np.zeros(WIDTH * HEIGHT * 12, np.uint8).tofile(path)
    with pytest.raises(InputError, match=r"c_16x12.*its name says"):
        open_clip(path)


def test_samples_of_more_bits_than_the_name_says_are_refused(tmp_path: Path) -> None:
    """The bytes of a word in the wrong order, or 16 bits called 10."""
    for number, name in enumerate(("c_16x12_yuv420p10be.yuv", "d_16x12_10bit.yuv")):
        path = tmp_path / name
        data = spread("yuv420p10le" if number == 0 else "yuv420p16le", 0)
        data.tofile(path)
        with pytest.raises(InputError, match=r"has more than 10 bits: of another format"):
            list(open_clip(path))


@pytest.mark.parametrize(
    "name, rate",
    [
        ("c_16x12_60Hz", Fraction(60)),
        ("c_16x12_59.94hz", Fraction("59.94")),
        ("c_16x12_12FPS", Fraction(12)),
        ("c_16x12_30 fps", Fraction(30)),
        ("c_16x12_60hzx", Fraction(25)),
    ],
)
def test_rates_in_names(tmp_path: Path, name: str, rate: Fraction) -> None:
    spread("yuv420p", 0).tofile(tmp_path / f"{name}.yuv")
    assert open_clip(tmp_path / f"{name}.yuv").format.rate == rate


def test_rates_that_contradict_or_are_none(tmp_path: Path) -> None:
    for name, message in (("a_16x12_30fps_60Hz", "30 and 60"), ("a_16x12_0fps", "positive")):
        spread("yuv420p", 0).tofile(tmp_path / f"{name}.yuv")
        with pytest.raises(InputError, match=message):
            open_clip(tmp_path / f"{name}.yuv")
    with pytest.raises(InputError, match="round it"):
        Format(4, 4, Fraction(2**32, 3))


def test_rates_beyond_ffmpeg_are_refused_and_planes_hold_them(tmp_path: Path) -> None:
    frames, fast = [torch.full((1, 3, 4, 4), 0.5)], Format(4, 4, Fraction(2**32 - 1))
    for suffix in (".mkv", ".mp4"):
        with pytest.raises(InputError, match=r"31 bits.*write \.y4m"):
            write_clip(tmp_path / f"a{suffix}", frames, fast)
    write_clip(tmp_path / "a.y4m", frames, fast)
    assert open_clip(tmp_path / "a.y4m").format == fast


def test_y4m_says_its_chroma_in_an_extension(tmp_path: Path) -> None:
    """As mjpegtools' older writers do; taken for 4:2:0 it would be read as noise."""
    head = b"YUV4MPEG2 W16 H12 F25:1 XYSCSS=444\nFRAME\n"
    (tmp_path / "a.y4m").write_bytes(head + b"\xb4" * (16 * 12 * 3))
    (frame,) = open_clip(tmp_path / "a.y4m")
    expected = by_hand(np.full(16 * 12 * 3, 0xB4, np.uint8), "yuv444p")
    assert torch.allclose(frame, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "rate", ["30/0", "1/0", "0", "-5", "1e999999999", "nan", "x", "5000000000"]
)
def test_rates_on_the_command_line(
    tmp_path: Path, rate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spread("yuv420p", 0).tofile(tmp_path / "c_16x12.yuv")
    argv = ["encode", tmp_path / "c_16x12.yuv", "-o", tmp_path / "c.lov", f"--rate={rate}"]
    assert run(*argv, "--codec", "tiny-ssf2020", "--quality", "1") == 2
    err = capsys.readouterr().err
    assert err.startswith("latentopt: ") and err.count("\n") == 1 and "rate" in err


def test_planes_of_gray_have_no_colour(tmp_path: Path) -> None:
    spread("gray", 3).tofile(tmp_path / "c_16x12_gray.yuv")
    (frame,) = open_clip(tmp_path / "c_16x12_gray.yuv")
    assert torch.allclose(frame[:, :1].expand_as(frame), frame, rtol=0, atol=1e-6)
    assert [p.unique().tolist() for p in rgb_to_yuv420(frame)[1:]] == [[128], [128]]


@pytest.mark.parametrize("name", ["c_16x12_422.yuv", "c_10bit.yuv", "c_gray.yuv", "c_48x32.yuv"])
def test_no_name_that_would_be_read_otherwise_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"its name says .* rename it"):
        write_clip(tmp_path / name, [torch.zeros(1, 3, 12, 16)], Format(16, 12, Fraction(25)))
    assert not list(tmp_path.iterdir())
