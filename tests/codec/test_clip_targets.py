"""Targets of clips: what is met, and that a file is what its setting says."""

from collections.abc import Iterator

import pytest
import torch
from support.models import photo
from torch import Tensor

from latentopt import wrap, zoo
from latentopt.codec.climb import Outcome
from latentopt.codec.clip_ladder import ClipLadder, CodedClip, encode_clip
from latentopt.codec.recipe import get_preset
from latentopt.codec.seek import MAX_ENCODES
from latentopt.codec.target import Bpp, MatchPsnr, MaxBytes, Psnr, Target
from latentopt.errors import InputError, RateRangeError
from latentopt.media.images import to_uint8
from latentopt.media.quality import psnr_db

CODEC, RATE = "tiny-ssf2020", 12
FAST = get_preset("fast").but(gop=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def clip() -> list[Tensor]:
    still = torch.nn.functional.avg_pool2d(photo(512, 560), 4)
    return [still[..., :128, i : 128 + i] for i in range(2)]


@pytest.fixture(scope="module")
def ladder() -> ClipLadder:
    return ClipLadder(zoo.models(CODEC), FAST)


def coded(ladder: ClipLadder, clip: list[Tensor], target: Target) -> Outcome[CodedClip]:
    return ladder.encode(clip, RATE, 2 * 128 * 128, target)


def test_a_rate_is_met_from_below(ladder: ClipLadder, clip: list[Tensor]) -> None:
    found = coded(ladder, clip, Bpp(0.32))
    most = 0.32 * 2 * 128 * 128 / 8
    assert 0.99 * most - 8 <= len(found.file.data) <= most
    assert found.encodes <= MAX_ENCODES and found.plain is None
    again = wrap(zoo.load(CODEC, found.quality), recipe=FAST.but(lmbda=found.lmbda))
    assert again.save_bytes(clip, RATE) == found.file.data, "the setting repeats it"


def test_a_psnr_is_that_of_the_decoded_frames(ladder: ClipLadder, clip: list[Tensor]) -> None:
    found = coded(ladder, clip, Psnr(27)).file
    frames = list(found.codec.load_bytes(found.data))
    values = [psnr_db(to_uint8(x), to_uint8(x_hat)) for x, x_hat in zip(clip, frames, strict=True)]
    assert found.psnr_db == pytest.approx(sum(values) / 2)
    assert 27 <= found.psnr_db <= 27.05


def test_the_quality_of_plain_rounding_in_fewer_bytes(
    ladder: ClipLadder, clip: list[Tensor]
) -> None:
    found = coded(ladder, clip, MatchPsnr())
    assert found.plain and found.plain.psnr_db - 0.01 <= found.file.psnr_db
    assert len(found.file.data) < len(found.plain.data)


def test_out_of_reach(ladder: ClipLadder, clip: list[Tensor]) -> None:
    with pytest.raises(RateRangeError, match="too much for this clip: quality 4 gives"):
        coded(ladder, clip, MaxBytes(1e6))


def test_frames_that_can_be_read_but_once(ladder: ClipLadder, clip: list[Tensor]) -> None:
    with pytest.raises(InputError, match="once for each encode"):
        ladder.encode(iter(clip), RATE, 2 * 128 * 128, MaxBytes(1e6))


def test_another_lambda_shares_the_model(clip: list[Tensor]) -> None:
    codec = wrap(zoo.load(CODEC, 2), recipe=FAST)
    before = codec.lmbda
    cheap = codec.with_lmbda(before / 8)
    assert (codec.lmbda, cheap.lmbda) == (before, before / 8)
    ours, theirs = (encode_clip(one, clip, RATE).data for one in (codec, cheap))
    assert len(theirs) < len(ours)
    both = zip(codec.load_bytes(theirs), cheap.load_bytes(theirs), strict=True)
    assert all(torch.equal(a, b) for a, b in both), "files decode with either"
    assert ours == encode_clip(codec, clip, RATE).data, "and the first is as it was"
    shared = zip(codec.parameters(), cheap.parameters(), strict=True)
    assert all(a is b for a, b in shared)
    with pytest.raises(InputError, match="lmbda"):
        codec.with_lmbda(-1)
