"""The limit on pixels is one number for writing and reading, of images and of video."""

from pathlib import Path

import pytest
from support.models import moving, photo, tiny_flow
from torch import nn

from latentopt import BitstreamError, wrap
from latentopt.errors import InputError

LIMIT = 64 * 48


def test_an_image_codec_writes_what_it_reads(tiny_model: nn.Module, tmp_path: Path) -> None:
    codec = wrap(tiny_model, "int", False)
    codec.max_pixels = LIMIT
    fits, large = photo(48, 64), photo(49, 64)
    codec.save(tmp_path / "fits.lo", fits)
    assert codec.load(tmp_path / "fits.lo").shape == fits.shape
    for write in (lambda: codec.save(tmp_path / "x.lo", large), lambda: codec.compress(large)):
        with pytest.raises(InputError, match=r"64x49 is outside 1 … 3072 pixels; raise codec\.max"):
            write()
    assert [p.name for p in tmp_path.iterdir()] == ["fits.lo"]
    codec.max_pixels = 64 * 49
    codec.save(tmp_path / "large.lo", large)
    codec.max_pixels = LIMIT
    with pytest.raises(BitstreamError, match="64x49 is outside 1 … 3072 pixels"):
        codec.load(tmp_path / "large.lo")


def test_a_video_codec_writes_what_it_reads(tmp_path: Path) -> None:
    codec = wrap(tiny_flow(), "int", False)
    fits, large = moving(2, 48, 64), moving(2, 49, 64)
    codec.save(tmp_path / "large.lov", large)
    codec.max_pixels = LIMIT
    assert {part.max_pixels for part in codec.parts.values()} == {codec.max_pixels} == {LIMIT}
    codec.save(tmp_path / "fits.lov", fits)
    assert len(list(codec.load(tmp_path / "fits.lov"))) == 2
    message = "64x49 is outside 1 … 3072 pixels"
    with pytest.raises(InputError, match=message):
        codec.save(tmp_path / "x.lov", large)
    with pytest.raises(InputError, match=message):
        codec.compress(large)
    with pytest.raises(BitstreamError, match=message):
        list(codec.load(tmp_path / "large.lov"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fits.lov", "large.lov"]
