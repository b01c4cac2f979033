"""Explanations of clips: where the bytes went, and originals that are none."""

from pathlib import Path

import pytest
from support.codec_families import flow_codec
from support.models import photo
from torch import Tensor

from latentopt import VideoCodec
from latentopt.codec.explain_clip import by_latent, explain_clip
from latentopt.errors import InputError

CLIP = [photo(64, 64), photo(64, 64).roll(1, -1)]


@pytest.fixture(scope="module")
def codec() -> VideoCodec:
    return flow_codec(gop=8)


@pytest.fixture(scope="module")
def path(codec: VideoCodec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.lov"
    codec.save(path, CLIP)
    return path


def test_bytes_of_strings_and_of_the_rest_are_the_file(codec: VideoCodec, path: Path) -> None:
    found = explain_clip(codec, path, CLIP)
    assert [frame.is_key for frame in found.frames] == [True, False]
    assert sum(map(found.part_bytes, found.names)) == sum(frame.bytes for frame in found.frames)
    assert found.file_bytes == path.stat().st_size > sum(frame.bytes for frame in found.frames)
    latents = by_latent(found.frames)
    assert [one.latent for one in latents] == ["main", "side"] * 3
    assert sum(one.total for one in latents) == sum(frame.bytes for frame in found.frames)
    assert all(frame.psnr_db is None for frame in explain_clip(codec, path).frames)


@pytest.mark.parametrize("original", [3, [None, None], ["a", "b"], CLIP[0], [CLIP[0][0]]])
def test_originals_that_are_none(codec: VideoCodec, path: Path, original: list[Tensor]) -> None:
    with pytest.raises(InputError, match=r"expected|original"):
        explain_clip(codec, path, original)
