"""Clips: exact colours, every format there and back, clear refusals, whole or nothing."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from weakref import WeakSet

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.models import photo
from torch import Tensor

from latentopt.errors import InputError, counted
from latentopt.media import clips
from latentopt.media.clips import BT709, Colours, Format, open_clip, rgb_to_yuv420, write_clip
from latentopt.media.clips import yuv420_to_rgb as to_rgb

BT601 = Colours(red=0.299, blue=0.114)
FULL = Colours(full_range=True)
NTSC = Fraction(30000, 1001)

sides = st.integers(1, 9)
seeds = st.integers(0, 2**32 - 1)


def planes(height: int, width: int, seed: int = 0, low: int = 0, high: int = 256) -> list[Tensor]:
    """Random y, u, v of one frame, with levels low ≤ level < high."""
    generator = np.random.default_rng(seed)
    half = ((height + 1) // 2, (width + 1) // 2)
    return [
        torch.from_numpy(generator.integers(low, high, (1, 1, *shape), dtype=np.uint8))
        for shape in ((height, width), half, half)
    ]


def movie(height: int = 32, width: int = 48, frames: int = 3) -> list[Tensor]:
    """Frames as every 4:2:0 format can hold them exactly: in-gamut values of 8-bit planes."""
    mild = [planes(height, width, seed, 112, 144) for seed in range(frames)]
    return [to_rgb(*yuv) for yuv in mild]


def fmt(frames: list[Tensor], rate: Fraction = Fraction(25)) -> Format:
    return Format(frames[0].shape[-1], frames[0].shape[-2], rate)


def assert_same(clip: clips.Clip, frames: list[Tensor]) -> None:
    read = list(clip)
    assert len(read) == len(frames)
    for a, b in zip(read, frames):
        assert a.dtype == torch.float32 and a.shape == b.shape and torch.equal(a, b)


# Colours


@given(sides, sides, seeds, st.sampled_from([BT709, BT601, FULL]))
@settings(deadline=None)
def test_planes_survive_rgb_exactly(height: int, width: int, seed: int, colours: Colours) -> None:
    yuv = planes(height, width, seed)
    for before, after in zip(yuv, rgb_to_yuv420(to_rgb(*yuv, colours), colours)):
        assert after.dtype == torch.uint8 and torch.equal(before, after)


@given(sides, sides, seeds)
@settings(deadline=None)
def test_planes_survive_clamped_rgb_where_in_gamut(height: int, width: int, seed: int) -> None:
    y, u, v = planes(height, width, seed, 64, 192)
    rgb = to_rgb(y, u, v)
    outside = ((rgb < 0) | (rgb > 1)).any(dim=1, keepdim=True).float()
    block = torch.nn.functional.max_pool2d(outside, 2, ceil_mode=True) > 0
    y_after, u_after, v_after = rgb_to_yuv420(rgb.clamp(0, 1))
    assert torch.equal(y[outside == 0], y_after[outside == 0])
    assert torch.equal(u[~block], u_after[~block]) and torch.equal(v[~block], v_after[~block])


def test_bt709_by_hand() -> None:
    primaries = torch.eye(3).reshape(3, 3, 1, 1).expand(3, 3, 2, 2)
    y, u, v = rgb_to_yuv420(primaries)
    assert y[:, 0, 0, 0].tolist() == [63, 173, 32]  # 16 + 219 × (0.2126, 0.7152, 0.0722)
    assert u.flatten().tolist() == [102, 42, 240]
    assert v.flatten().tolist() == [240, 26, 118]
    assert rgb_to_yuv420(torch.zeros(1, 3, 2, 2), FULL)[0].unique().tolist() == [0]


def test_chroma_is_the_mean_of_its_pixels() -> None:
    x = torch.zeros(1, 3, 3, 3)
    x[:, 2, 2, 2] = 1  # a blue corner, alone in its block
    assert rgb_to_yuv420(x)[1][0, 0].tolist() == [[128, 128], [128, 240]]
    x = torch.zeros(1, 3, 2, 2)
    x[:, 2, 1, 1] = 1
    assert rgb_to_yuv420(x)[1].item() == 128 + 112 / 4


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(B, 3, H, W\)"):
        rgb_to_yuv420(torch.zeros(3, 4, 4))
    y, u, v = planes(5, 5)
    with pytest.raises(InputError, match="has 3x3 samples"):
        to_rgb(y, u[..., :2], v)


# There and back


@pytest.mark.parametrize("name", ["a.y4m", "a_48x32_12fps.yuv", "a.mkv"])
@pytest.mark.parametrize("rate", [Fraction(12), NTSC])
def test_planar_formats_are_exact(tmp_path: Path, name: str, rate: Fraction) -> None:
    frames = movie()
    assert write_clip(tmp_path / name, frames, fmt(frames, rate)) == 3
    clip = open_clip(tmp_path / name)
    assert clip.format == fmt(frames, Fraction(12) if ".yuv" in name else rate)
    assert clip.name == Path(name).stem
    assert_same(clip, frames)
    assert_same(clip, frames)  # again from the first frame


@pytest.mark.parametrize("suffix", [".y4m", ".yuv", ".mkv", ""])
@pytest.mark.parametrize("height, width", [(33, 47), (1, 1), (32, 5), (9, 1025)])
def test_odd_sizes_are_exact(tmp_path: Path, suffix: str, height: int, width: int) -> None:
    frames = movie(height, width)
    if not suffix:
        frames = [(x * 255).round() / 255 for x in frames]
    write_clip(tmp_path / f"odd{suffix}", frames, fmt(frames))
    assert_same(open_clip(tmp_path / f"odd{suffix}", size=(width, height)), frames)


def test_png_folder_is_exact(tmp_path: Path) -> None:
    frames = [(photo(20, 31, seed=seed) * 255).round() / 255 for seed in range(3)]
    write_clip(f"{tmp_path}/v1.0/", frames, fmt(frames))
    clip = open_clip(tmp_path / "v1.0", rate=NTSC)
    assert clip.name == "v1.0" and len(clip) == 3 and clip.format.rate == NTSC
    assert_same(clip, frames)
    single = open_clip(tmp_path / "v1.0/000001.png")
    assert single.name == "000001"
    assert_same(single, frames[1:2])


def test_png_folder_is_sorted_by_number(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        Image.new("RGB", (2, 2), (number, 0, 0)).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("not a frame")
    assert [round(x[0, 0, 0, 0].item() * 255) for x in open_clip(tmp_path)] == [1, 9, 10]


@pytest.mark.parametrize("height, width", [(64, 80), (63, 80), (64, 79), (63, 79)])
def test_mp4_is_close(tmp_path: Path, height: int, width: int) -> None:
    frames = [photo(height, width).clamp(0.1, 0.9).roll(shift, -1) for shift in range(4)]
    chroma_lost = [to_rgb(*rgb_to_yuv420(x)).clamp(0, 1) for x in frames]
    write_clip(tmp_path / "a.mp4", frames, fmt(frames, NTSC))
    clip = open_clip(tmp_path / "a.mp4")
    assert clip.format == fmt(frames, NTSC) and len(clip) == 4
    for read, meant in zip(clip, chroma_lost):
        assert -10 * (read - meant).square().mean().log10() > 36  # of noisy frames


def test_written_video_says_which_colours(tmp_path: Path) -> None:
    for name in ("a.mkv", "a.mp4"):
        write_clip(tmp_path / name, movie(), fmt(movie()))
        with av.open(tmp_path / name) as container:
            context = container.streams.video[0].codec_context
            assert (context.colorspace, context.color_range) == (1, 1)  # BT.709, limited


def test_frames_are_clamped_on_writing(tmp_path: Path) -> None:
    frames = [torch.full((1, 3, 2, 2), 1.5)]
    for name in ("a.y4m", "folder"):
        write_clip(tmp_path / name, frames, fmt(frames))
        assert next(iter(open_clip(tmp_path / name))).allclose(torch.ones(()))


# Other encodings


def encoded(
    path: Path, pixels: str, codec: str = "ffv1", level: int = 180, tags: tuple[int, int] = (2, 0)
) -> Path:
    """A file of one frame all of whose samples are ``level`` (in 8 bits)."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 8, 6, pixels
        stream.codec_context.colorspace, stream.codec_context.color_range = tags
        frame = av.VideoFrame(8, 6, pixels)
        deep = "10" in pixels
        for plane in frame.planes:
            data = np.full(plane.buffer_size // (1 + deep), level << 2 * deep)
            plane.update(data.astype(np.uint16 if deep else np.uint8).tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def grey_yuv(colours: Colours, level: int = 180) -> Tensor:
    full = torch.full((1, 1, 6, 8), level)
    half = torch.full((1, 1, 3, 4), level)
    return to_rgb(full, half, half, colours).clamp(0, 1)


@pytest.mark.parametrize(
    "pixels, tags, colours",
    [
        ("yuv420p", (2, 0), BT709),
        ("yuv420p", (5, 1), BT601),
        ("yuv420p", (6, 1), BT601),
        ("yuv420p", (9, 2), Colours(0.2627, 0.0593, full_range=True)),
        ("yuv444p", (1, 1), BT709),
        ("yuv444p", (1, 2), FULL),
        ("yuv420p10le", (2, 0), BT709),
        ("yuv422p10le", (5, 1), BT601),
    ],
)
def test_flagged_colours_are_honoured(
    tmp_path: Path, pixels: str, tags: tuple[int, int], colours: Colours
) -> None:
    (frame,) = open_clip(encoded(tmp_path / "a.mkv", pixels, tags=tags))
    dithered = 0.02 if "10" in pixels else 0  # one level, by FFmpeg
    assert torch.allclose(frame, grey_yuv(colours), rtol=0, atol=dithered)


def test_rgb_video_stays_rgb(tmp_path: Path) -> None:
    assert_same(
        open_clip(encoded(tmp_path / "a.mkv", "bgr0")), [torch.full((1, 3, 6, 8), 180 / 255)]
    )


def test_alpha_and_odd_matrices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"alpha channel.*flatten"):
        open_clip(encoded(tmp_path / "a.mkv", "yuva420p"))
    with pytest.raises(InputError, match=r"matrix.*code 8.*convert it to BT\.709"):
        open_clip(encoded(tmp_path / "b.mkv", "yuv420p", tags=(8, 1)))


def test_other_y4m(tmp_path: Path) -> None:
    (tmp_path / "full.y4m").write_bytes(
        b"YUV4MPEG2 W8 H6 F0:0 C420mpeg2 XYSCSS=420 XCOLORRANGE=FULL\nFRAME Ip\n" + b"\xb4" * 72
    )
    clip = open_clip(tmp_path / "full.y4m")
    assert clip.format.rate == 25
    assert_same(clip, [grey_yuv(FULL)])
    (tmp_path / "444.y4m").write_bytes(b"YUV4MPEG2 W8 H6 F12:1 C444\nFRAME\n" + b"\xb4" * 144)
    clip = open_clip(tmp_path / "444.y4m")
    assert clip.format.rate == 12
    assert_same(clip, [grey_yuv(BT709)])


def test_sideways_video_is_turned_upright(tmp_path: Path) -> None:
    """As telephones write it: a matrix in the track header that asks for 90° clockwise."""
    if not hasattr(av.VideoFrame, "rotation"):
        pytest.skip("this PyAV does not tell the rotation")
    path, dark = tmp_path / "a.mp4", torch.full((1, 3, 32, 48), 0.2)
    dark[..., :16] = 0.8  # the left, which becomes the top
    write_clip(path, [dark], fmt([dark]))
    upright, turned = (
        struct.pack(">9i", *(value << 16 for value in rows[:6]), 0, 0, 1 << 30)
        for rows in ((1, 0, 0, 0, 1, 0), (0, 1, 0, -1, 0, 0))
    )
    film, track, rest = path.read_bytes().split(upright)
    path.write_bytes(film + upright + track + turned + rest)
    clip = open_clip(path)
    assert (clip.format.width, clip.format.height) == (32, 48)
    frame = next(iter(clip))
    assert frame[..., :16, :].mean() > 0.7 and frame[..., 16:, :].mean() < 0.3


# Clips


@pytest.mark.parametrize("name", ["a.y4m", "a.mkv", "a"])
def test_a_part_of_a_clip(tmp_path: Path, name: str) -> None:
    frames = [torch.full((1, 3, 2, 2), level / 255) for level in range(5)]
    write_clip(tmp_path / name, frames, fmt(frames))
    whole = list(open_clip(tmp_path / name))
    assert_same(open_clip(tmp_path / name, start=1, count=2), whole[1:3])
    assert_same(open_clip(tmp_path / name, start=3, count=9), whole[3:])
    with pytest.raises(InputError, match="no frame number 5"):
        list(open_clip(tmp_path / name, start=5))
    with pytest.raises(InputError, match="needs at least 1"):
        open_clip(tmp_path / name, count=0)


def test_length_where_known(tmp_path: Path) -> None:
    for name, count in (("a.y4m", 3), ("a.mp4", 3), ("a.mkv", None)):
        write_clip(tmp_path / name, movie(), fmt(movie()))
        clip = open_clip(tmp_path / name)
        assert clip.count == count and bool(clip)
        assert open_clip(tmp_path / name, start=1).count == (count and count - 1)
    with pytest.raises(TypeError, match="does not say how many"):
        len(clip)


def test_leaving_the_block_closes_the_file(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.y4m", movie(), fmt(movie()))
    with open_clip(tmp_path / "a.y4m") as clip:
        frames = iter(clip)
        next(frames)
    assert next(frames, None) is None


@pytest.mark.parametrize("name", ["a.y4m", "a.mkv", "a"])
def test_one_frame_at_a_time(tmp_path: Path, name: str) -> None:
    frames = movie(frames=6)
    write_clip(tmp_path / name, frames, fmt(frames))
    clip, alive = open_clip(tmp_path / name), WeakSet()

    def watched() -> Iterator[Tensor]:
        for x in clip:
            alive.add(x)
            assert len(alive) <= 2  # this one and, until its name is taken, the one before
            yield x

    assert write_clip(tmp_path / "copy.y4m", watched(), clip.format) == 6


def test_formats_are_checked() -> None:
    for bad in ((0, 4, NTSC), (4, 0, NTSC), (4, 4, Fraction(0))):
        with pytest.raises(InputError):
            Format(*bad)


# Refusals


def refused(path: Path, message: str, **options: object) -> None:
    with pytest.raises(InputError, match=message):
        list(open_clip(path, **options))


def test_not_a_clip(tmp_path: Path) -> None:
    refused(tmp_path / "none.mp4", r"none\.mp4: no such file")
    refused(tmp_path, "holds no PNG file")
    for suffix in clips.READABLE:
        (tmp_path / f"text{suffix}").write_text("no video at all")
        (tmp_path / f"empty{suffix}").touch()
        refused(tmp_path / f"text{suffix}", rf"text\{suffix}: ", size=None)
        refused(tmp_path / f"empty{suffix}", rf"empty\{suffix}: ", size=None)
    (tmp_path / "a.txt").touch()
    refused(tmp_path / "a.txt", r"unknown suffix '\.txt'; read are \.y4m")


def test_sound_is_no_video(tmp_path: Path) -> None:
    with av.open(tmp_path / "a.mkv", "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
    refused(tmp_path / "a.mkv", "holds no video, only other streams")


def test_raw_video_needs_its_size(tmp_path: Path) -> None:
    path = tmp_path / "a.yuv"
    write_clip(path, movie(), fmt(movie()))
    refused(path, r"pass --size WIDTHxHEIGHT or put it into the name")
    refused(path, r"6912 bytes are 1 whole frame of 50x60.*pass --size", size=(50, 60))
    path.rename(tmp_path / "a_48x32_10bit.yuv")
    refused(tmp_path / "a_48x32_10bit.yuv", "more than 8 bits")


def test_wrong_size_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.y4m", movie(), fmt(movie()))
    refused(tmp_path / "a.y4m", "48x32 pixels, not the 50x60", size=(50, 60))


@pytest.mark.parametrize("name", ["a_48x32.yuv", "a.y4m", "a.mkv", "a.mp4"])
@pytest.mark.parametrize("left", [0.35, 0.75, 0.97])
def test_truncated(tmp_path: Path, name: str, left: float) -> None:
    path = tmp_path / name
    write_clip(path, [photo(32, 48, seed=seed) for seed in range(5)], Format(48, 32, NTSC))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * left)])
    raw = f"{counted(int(5 * left), 'whole frame')}[ ;]"
    refused(path, {".yuv": raw, ".y4m": raw}.get(path.suffix, "truncated: .* bytes of"))


def test_truncated_behind_its_index(tmp_path: Path) -> None:
    """An MP4 made for streaming, cut between two frames, is whole to FFmpeg."""
    path = tmp_path / "a.mp4"
    with av.open(path, "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(48, 32, "yuv420p")))
        container.mux(stream.encode())
    with av.open(path) as container:
        ends = [packet.pos + packet.size for packet in container.demux() if packet.size]
    assert len(list(open_clip(path))) == 5
    path.write_bytes(path.read_bytes()[: ends[2]])
    refused(path, "truncated")


def test_truncated_inside_a_header(tmp_path: Path) -> None:
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W8 H6\nFRAME\n" + bytes(72) + b"FRA")
    refused(tmp_path / "a.y4m", "after 1 whole frame;")
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W8\nFRAME\n" + bytes(72))
    refused(tmp_path / "a.y4m", "damaged Y4M header")
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W8 H6\n")
    refused(tmp_path / "a.y4m", "holds no frame")


def test_frames_of_changing_size(tmp_path: Path) -> None:
    Image.new("RGB", (4, 6)).save(tmp_path / "0.png")
    Image.new("RGB", (4, 8)).save(tmp_path / "1.png")
    refused(tmp_path, "frame 1 has 4x8 pixels, the first 4x6; scale or cut")


def test_images_that_would_degrade_are_refused(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (1, 2, 3, 255)).save(tmp_path / "opaque.png")
    assert_same(
        open_clip(tmp_path / "opaque.png"),
        [(torch.tensor([1, 2, 3]) / 255).view(1, 3, 1, 1).expand(1, 3, 4, 4)],
    )
    Image.new("RGBA", (4, 4), (1, 2, 3, 254)).save(tmp_path / "glass.png")
    refused(tmp_path / "glass.png", "has transparent pixels")
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    refused(tmp_path / "deep.png", "16 bits per sample")
    encoded_png(tmp_path / "deep_rgb.png", "rgb48be")
    refused(tmp_path / "deep_rgb.png", "16 bits")
    data = (tmp_path / "opaque.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    refused(tmp_path / "cut.png", "not a readable image")


def encoded_png(path: Path, pixels: str) -> None:
    """Of 16 bits per sample, which PIL cannot write."""
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt, context.time_base = 4, 4, pixels, Fraction(1)
    packets = context.encode(av.VideoFrame(4, 4, pixels))
    path.write_bytes(b"".join(bytes(packet) for packet in [*packets, *context.encode()]))


# Whole or not at all


@pytest.mark.parametrize("name", ["a.y4m", "a.yuv", "a.mkv", "a.mp4", "folder", "v1.0/"])
@pytest.mark.parametrize("before", [0, 2])
def test_a_failing_iterator_leaves_nothing(tmp_path: Path, name: str, before: int) -> None:
    def failing() -> Iterator[Tensor]:
        yield from movie()[:before]
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        write_clip(f"{tmp_path}/{name}", failing(), fmt(movie()))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.y4m", "a.mkv", "a.mp4", "folder"])
def test_bad_frames_leave_what_was_there(tmp_path: Path, name: str) -> None:
    frames = movie()
    if "." in name:
        (tmp_path / name).write_text("precious")
    broken = frames[1].clone()
    broken[0, 0, 0, 0] = float("nan")
    for bad, message in (
        ([], "no frames"),
        ([frames[0], broken], "frame 1 holds NaN"),
        ([frames[0], frames[1][..., :-1]], r"frame 1 has shape \(1, 3, 32, 47\)"),
    ):
        with pytest.raises(InputError, match=message):
            write_clip(tmp_path / name, bad, fmt(frames))
    assert [p.read_text() for p in tmp_path.iterdir()] == ["precious"] * ("." in name)
    assert write_clip(tmp_path / name, frames, fmt(frames)) == 3  # replaces it


def test_unwritable_places(tmp_path: Path) -> None:
    frames = movie()
    for name in ("a.gif", "a.webm"):
        with pytest.raises(InputError, match=r"unknown suffix.*written are \.y4m"):
            write_clip(tmp_path / name, frames, fmt(frames))
    for name in ("none/a.y4m", "none/a.mkv", "none/folder"):
        with pytest.raises(InputError, match=r"cannot write .*No such file"):
            write_clip(tmp_path / name, frames, fmt(frames))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").touch()
    with pytest.raises(InputError, match="folder with files in it"):
        write_clip(tmp_path / "full", frames, fmt(frames))
    assert [p.name for p in tmp_path.iterdir()] == ["full"]


# Real clips


def test_shared_raw_clip(shared: Path) -> None:
    path = shared / "data/video/CiscoVT2people_320x192_12fps.yuv"
    clip = open_clip(path)
    assert clip.format == Format(320, 192, Fraction(12))
    assert len(clip) == len(list(clip)) == 9
    raw = torch.from_numpy(np.fromfile(path, np.uint8)).view(9, -1)
    for frame, samples in zip(clip, raw):
        y, u, v = samples.split([192 * 320, 96 * 160, 96 * 160])
        yuv = y.view(1, 1, 192, 320), u.view(1, 1, 96, 160), v.view(1, 1, 96, 160)
        rgb = to_rgb(*yuv)
        assert all(map(torch.equal, rgb_to_yuv420(rgb), yuv))
        assert torch.equal(frame, rgb.clamp(0, 1))


@pytest.mark.parametrize(
    "name, format, count",
    [
        ("foreman_cif", (352, 288), 21),
        ("coastguard_cif", (352, 288), 21),
        ("basketballpass_416x240", (416, 240), 24),
    ],
)
def test_shared_folders(shared: Path, name: str, format: tuple[int, int], count: int) -> None:
    with open_clip(shared / "data/video" / name) as clip:
        assert (clip.format.width, clip.format.height) == format and len(clip) == count
        assert clip.name == name
        first = next(iter(clip))
    assert first.shape == (1, 3, *format[::-1]) and 0 <= first.min() < first.max() <= 1
