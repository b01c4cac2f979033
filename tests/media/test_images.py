"""Which images are read, which are refused and with what words, and atomic writing."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from latentopt.errors import DataError, InputError
from latentopt.media.images import read_image, write_png
from latentopt.media.rgb import image_size

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def saved(folder: Path, image: Image.Image, name: str = "image.png", **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_rgb_values(tmp_path: Path) -> None:
    x = read_image(saved(tmp_path, Image.fromarray(RGB)))
    assert x.shape == (1, 3, 5, 7) and x.dtype == torch.float32
    assert np.array_equal((x[0] * 255).round().byte().permute(1, 2, 0).numpy(), RGB)
    assert image_size(tmp_path / "image.png") == (7, 5)


def test_grey_and_palette_become_rgb(tmp_path: Path) -> None:
    grey = read_image(saved(tmp_path, Image.fromarray(RGB[..., 0])))
    assert torch.equal(grey[:, 0], grey[:, 1]) and torch.equal(grey[:, 0], grey[:, 2])
    assert set(read_image(saved(tmp_path, Image.new("1", (4, 4), 1))).unique().tolist()) == {1.0}
    two = np.where(RGB[..., :1] > 127, [255, 0, 0], [0, 0, 255]).astype(np.uint8)
    palette = Image.fromarray(two).convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    x = read_image(saved(tmp_path, palette))
    assert np.array_equal((x[0] * 255).byte().permute(1, 2, 0).numpy(), two)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_dropped_only_where_opaque(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(RGB).convert(mode)
    assert read_image(saved(tmp_path, image)).shape == (1, 3, 5, 7)
    image.putalpha(Image.fromarray(np.full((5, 7), 254, dtype=np.uint8)))
    with pytest.raises(DataError, match=r"image\.png: has transparent pixels.*flatten"):
        read_image(saved(tmp_path, image))


def test_transparent_colour_is_refused_where_used(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((3, 3, 3), dtype=np.uint8))
    assert read_image(saved(tmp_path, image, transparency=(1, 2, 3))).max() == 0
    with pytest.raises(DataError, match="transparent"):
        read_image(saved(tmp_path, image, transparency=(0, 0, 0)))


def sixteen_bit_rgb_png() -> bytes:
    """A 1×1 PNG of 16 bits per sample, which PIL itself cannot write."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + b"\x12\x34" * 3))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def test_what_would_lose_precision_is_refused(tmp_path: Path) -> None:
    deep = np.zeros((4, 4), dtype=np.uint16)
    cases = {
        "grey16.png": Image.fromarray(deep),
        "float.tif": Image.fromarray(deep.astype(np.float32)),
        "int32.tif": Image.fromarray(deep.astype(np.int32)),
        "cmyk.jpg": Image.new("CMYK", (4, 4)),
        "lab.tif": Image.new("LAB", (4, 4)),
    }
    for name, image in cases.items():
        with pytest.raises(DataError, match=rf"{name}: .*convert|{name}: .*tone-map"):
            read_image(saved(tmp_path, image, name))
    (tmp_path / "rgb16.png").write_bytes(sixteen_bit_rgb_png())
    (tmp_path / "rgb16.ppm").write_bytes(b"P6 1 1 65535\n" + b"\x12\x34" * 3)
    for name in ("rgb16.png", "rgb16.ppm"):
        with pytest.raises(DataError, match="16 bits per sample"):
            read_image(tmp_path / name)
    (tmp_path / "rgb8.ppm").write_bytes(b"P6 1 1 255\n\x01\x02\x03")
    assert read_image(tmp_path / "rgb8.ppm").shape == (1, 3, 1, 1)


def test_animation_is_refused(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), c) for c in ("red", "blue")]
    path = saved(tmp_path, frames[0], "a.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="holds 2 frames"):
        read_image(path)


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to display
    path = saved(tmp_path, Image.fromarray(RGB), exif=exif)
    assert read_image(path).shape == (1, 3, 7, 5)
    assert image_size(path) == (5, 7)


def test_unreadable_files(tmp_path: Path) -> None:
    whole = saved(tmp_path, Image.fromarray(RGB))
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:-40])
    (tmp_path / "text.png").write_text("hello")
    for name in ("cut.png", "text.png"):
        with pytest.raises(DataError, match=f"{name}: not a readable image"):
            read_image(tmp_path / name)
    with pytest.raises(DataError, match="no such image"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(DataError):
        read_image(tmp_path)


def test_write_png_round_trip_and_rounding(tmp_path: Path) -> None:
    x = torch.tensor([-1.0, 0.49 / 255, 0.51 / 255, 2.0]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    write_png(tmp_path / "x.png", x)
    assert (read_image(tmp_path / "x.png")[0, 0] * 255).flatten().tolist() == [0, 0, 1, 255]
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


def test_write_png_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = torch.zeros(1, 3, 4, 4)
    write_png(tmp_path / "x.png", good)
    before = (tmp_path / "x.png").read_bytes()

    def full_disk(self: Image.Image, file: object, **_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(DataError, match=r"x\.png: cannot be written \(No space left"):
        write_png(tmp_path / "x.png", good + 1)
    assert (tmp_path / "x.png").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(DataError, match="cannot be written"):
        write_png(tmp_path / "absent" / "x.png", good)
    with pytest.raises(InputError, match="NaN"):
        write_png(tmp_path / "nan.png", good * float("nan"))
    with pytest.raises(InputError, match="shape"):
        write_png(tmp_path / "two.png", torch.zeros(2, 3, 4, 4))


COST = """
import sys
from pathlib import Path
from latentopt.errors import DataError
from latentopt.media.rgb import read_rgb

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

before = peak()
try:
    read_rgb(Path(sys.argv[1]), None, lambda image, path: image)
except DataError as error:
    print(error, file=sys.stderr)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_a_small_file_that_declares_many_pixels_costs_no_copies(tmp_path: Path) -> None:
    """PIL believes what a TIFF says of its size: four bytes a pixel, and one more for alpha."""
    path, rows = saved(tmp_path, Image.new("RGBA", (11, 9)), "x.tif"), 3_000_000
    height = struct.Struct("<HHII")  # tag, type, count, value
    data = path.read_bytes().replace(height.pack(257, 4, 1, 9), height.pack(257, 4, 1, rows))
    path.write_bytes(data)
    out = subprocess.run([sys.executable, "-c", COST, path], capture_output=True, text=True)
    assert len(data) < 1000 and "transparent pixels" in out.stderr
    assert 4 < int(out.stdout) * 1024 / (11 * rows) < 7
