"""The wrapped video codec as its users meet it: CompressAI's interface, files, no drift, errors."""

import io
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from compressai.models import MeanScaleHyperprior
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fresh import elsewhere
from support.models import moving, photo, tiny, tiny_flow
from torch import nn

import latentopt
from latentopt import BitstreamError, InputError, TruncatedError
from latentopt.bitstream import Header, Settings, count_frames, read_header
from latentopt.codec.video import VideoCodec
from latentopt.codec.wrap import wrap_for
from latentopt.encoder import Ahead


@pytest.fixture(scope="module")
def flow() -> nn.Module:
    return tiny_flow()


@pytest.fixture(scope="module")
def oct_codec(flow: nn.Module) -> VideoCodec:
    return latentopt.wrap(flow, "oct", True)


@pytest.fixture(scope="module")
def coded(oct_codec: VideoCodec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five frames in a file."""
    path = tmp_path_factory.mktemp("coded") / "clip.lov"
    oct_codec.save(path, moving(5), rate=Fraction(30000, 1001))
    return path


@pytest.fixture(scope="module")
def decoded(oct_codec: VideoCodec, coded: Path) -> list[torch.Tensor]:
    """The frames of that file."""
    return list(oct_codec.load(coded))


def sizes(strings: list) -> list[int]:
    """Bytes of each frame."""
    parts = [frame.values() if isinstance(frame, dict) else [frame] for frame in strings]
    return [sum(len(s) for part in frame for latent in part for s in latent) for frame in parts]


# -- the three verbs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "quant, batch", [("int", 1), ("hex", 1), ("oct", 2), ("d4", 1), ("e8", 1), ("auto", 1)]
)
def test_decode_gives_what_forward_promises(flow: nn.Module, quant: str, batch: int) -> None:
    codec = latentopt.wrap(flow, quant, True, parts=("image", "motion", "residual"))
    frames = moving(3, batch=batch)
    strings, shapes = codec.compress(frames)
    decoded = codec.decompress(strings, shapes)
    forward = codec(frames)
    assert [x.shape for x in decoded] == [x.shape for x in frames]
    assert all(torch.equal(a, b) for a, b in zip(decoded, forward["x_hat"]))
    assert all(float(x.min()) >= 0 and float(x.max()) <= 1 for x in decoded)
    for frame, size in zip(forward["likelihoods"], sizes(strings)):
        likelihoods = [v for part in frame.values() for v in part.values()]
        bits = -sum(float(v.double().log2().sum()) for v in likelihoods)
        assert bits * 0.999 - 8 <= 8 * size <= bits * 1.001 + 56 * 2 * len(likelihoods)


def test_interface_is_compressai_s(flow: nn.Module) -> None:
    frames = moving(3, 128, 128)
    ours, theirs = (codec.compress(frames) for codec in (latentopt.wrap(flow, "int", False), flow))
    for mine, other in zip(ours[0], theirs[0]):
        assert type(mine) is type(other)
        if isinstance(mine, dict):
            assert list(mine) == list(other) == ["motion", "residual"]
            assert all(len(mine[part]) == len(other[part]) == 2 for part in mine)
    likelihoods = latentopt.wrap(flow, "int", False)(frames)["likelihoods"]
    for mine, other in zip(likelihoods, flow(frames)["likelihoods"]):
        assert {p: {k: v.shape for k, v in part.items()} for p, part in mine.items()} == {
            p: {k: v.shape for k, v in part.items()} for p, part in other.items()
        }


@pytest.mark.parametrize("portable", [False, True])
def test_int_without_shift_is_the_codec_itself(flow: nn.Module, portable: bool) -> None:
    frames = moving(4, 128, 256)
    codec = latentopt.wrap(flow, "int", False, portable=portable)
    strings, shapes = codec.compress(frames)
    theirs = flow.compress(frames)
    expected = flow.decompress(*theirs)
    tolerance = 1e-5 if portable else 0  # channels last sum in another order
    for ours, other in zip(codec.decompress(strings, shapes), expected):
        torch.testing.assert_close(ours, other.clamp(0, 1), atol=tolerance, rtol=0)
    assert sum(sizes(strings)) <= sum(sizes(theirs[0])) * 1.001 + 4 * 4


def test_no_drift_in_32_frames(flow: nn.Module) -> None:
    codec = latentopt.wrap(flow, "oct", True, parts=("image", "motion", "residual"))
    promised = list[torch.Tensor]()
    coded = codec.save_bytes(moving(32, 64, 64), watch=lambda _, x_hat: promised.append(x_hat))
    assert len(promised) == 32
    for expected, x_hat in zip(promised, codec.load_bytes(coded), strict=True):
        assert torch.equal(expected, x_hat)


def test_shift_lowers_the_error_and_changes_what_follows(flow: nn.Module) -> None:
    frames = moving(3)
    plain, shifted = (latentopt.wrap(flow, "int", shift) for shift in (False, True))
    before, after = (codec(frames)["x_hat"] for codec in (plain, shifted))
    error = [float((x_hat[0] - frames[0]).square().mean()) for x_hat in (before, after)]
    assert error[1] < error[0]
    assert not torch.equal(before[2], after[2])


def test_groups_of_pictures(flow: nn.Module, oct_codec: VideoCodec) -> None:
    frames = moving(5)
    strings, shapes = latentopt.wrap(flow, recipe=oct_codec.recipe, gop=2).compress(frames)
    assert [isinstance(frame, dict) for frame in strings] == [False, True, False, True, False]
    whole = oct_codec.decompress(strings, shapes)
    group = oct_codec.decompress(strings[2:4], shapes[2:4])
    assert all(torch.equal(a, b) for a, b in zip(group, whole[2:4]))


@pytest.mark.parametrize("preset", ["paper", "fast", "default", "slow"])
def test_presets(flow: nn.Module, preset: str) -> None:
    codec = latentopt.wrap(flow, preset=preset, lmbda=0.01)
    frames = moving(2, 60, 90)
    decoded = codec.decompress(*codec.compress(frames))
    assert all(torch.equal(a, b) for a, b in zip(decoded, codec(frames)["x_hat"]))


def test_other_parts_keep_their_rounding(flow: nn.Module) -> None:
    codec = latentopt.wrap(flow, "e8", True, scales=True)
    settings_of = {name: codec.parts[name].settings for name in codec.parts}
    assert settings_of["motion"] == Settings("int", "exact", "density", True)
    assert settings_of["image"] == settings_of["residual"]
    assert settings_of["image"].quant == "e8" and settings_of["image"].scales


def test_looking_ahead_is_no_worse_by_its_own_measure(flow: nn.Module) -> None:
    codec = latentopt.wrap(flow, "int", True, lmbda=0.02)
    looking = latentopt.wrap(flow, recipe=codec.recipe, ahead=Ahead())
    frames = moving(2, 75, 130)  # two elements of a side latent

    def cost(codec: VideoCodec) -> float:
        coded = list(codec.encode(frames))
        bits = sum(float(c.latent.bits().sum()) for part in coded[1][0].values() for c in part)
        errors = [
            float((image[..., :75, :130].clamp(0, 1) - x).square().sum())
            for (_, image), x in zip(coded, frames)
        ]
        return bits + codec.trade * sum(errors)

    assert cost(looking) <= cost(codec) * (1 + 1e-6)
    decoded = codec.decompress(*looking.compress(frames))
    assert all(torch.equal(a, b) for a, b in zip(decoded, looking(frames)["x_hat"]))


def test_the_model_is_left_alone(flow: nn.Module) -> None:
    before = {name: value.clone() for name, value in flow.state_dict().items()}
    latentopt.wrap(flow, "oct", True).compress(moving(2))
    assert all(torch.equal(value, before[name]) for name, value in flow.state_dict().items())


def test_a_state_dict_carries_everything(flow: nn.Module) -> None:
    codec, other = (latentopt.wrap(model, "hex", True) for model in (flow, tiny_flow(seed=1)))
    frames = moving(2)
    strings, shapes = codec.compress(frames)
    other.load_state_dict(codec.state_dict())
    expected = codec.decompress(strings, shapes)
    assert all(torch.equal(a, b) for a, b in zip(other.decompress(strings, shapes), expected))


# -- files ----------------------------------------------------------------------------------------


def test_files_hold_the_same(
    oct_codec: VideoCodec, coded: Path, decoded: list[torch.Tensor]
) -> None:
    strings, shapes = oct_codec.compress(moving(5))
    expected = oct_codec.decompress(strings, shapes)
    assert all(torch.equal(a, b) for a, b in zip(decoded, expected, strict=True))
    assert read_header(coded).rate == Fraction(30000, 1001)
    assert count_frames(coded) == (1, 4, True)
    overhead = coded.stat().st_size - sum(sizes(strings))
    assert overhead <= 40 + 5 * 14 + 10


def decode(coded: Path, frames: Path) -> None:
    torch.set_num_threads(2)
    codec = wrap_for(tiny_flow(), read_header(coded))
    torch.save(list(codec.load(coded)), frames)


def test_a_fresh_process_decodes(coded: Path, decoded: list[torch.Tensor], tmp_path: Path) -> None:
    elsewhere(decode, coded, tmp_path / "frames.pt")
    for ours, theirs in zip(decoded, torch.load(tmp_path / "frames.pt"), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("lost", [1, 10, 11, 30])
def test_truncated_files_give_their_whole_frames(
    oct_codec: VideoCodec, coded: Path, decoded: list[torch.Tensor], tmp_path: Path, lost: int
) -> None:
    """The end record has ten bytes; without it, nothing says that the last frame is the last."""
    cut = tmp_path / "cut.lov"
    cut.write_bytes(coded.read_bytes()[:-lost])
    whole = 5 if lost <= 10 else 4
    found = []
    with pytest.raises(TruncatedError, match=f"after {whole} whole frames") as error:
        for frame in oct_codec.load(cut):
            found.append(frame)
    assert len(found) == error.value.frames == whole
    assert all(torch.equal(a, b) for a, b in zip(found, decoded))
    assert count_frames(cut) == (1, whole - 1, False)


@pytest.fixture(scope="module")
def short(oct_codec: VideoCodec) -> bytes:
    """A file of a key frame and a predicted one."""
    return oct_codec.save_bytes(moving(2))


@given(st.data())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_corrupt_files_are_bitstream_errors(
    oct_codec: VideoCodec, short: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(short)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
    broken = tmp_path / "broken.lov"
    broken.write_bytes(bytes(content))
    if bytes(content) != short:
        with pytest.raises(BitstreamError):
            list(oct_codec.load(broken))


@given(st.binary(max_size=200))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_a_bitstream_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "garbage"
    for content in (data, b"\xacLV" + data):
        path.write_bytes(content)
        with pytest.raises(BitstreamError):
            read_header(path)


def test_a_frame_moved_elsewhere_is_noticed(
    oct_codec: VideoCodec, coded: Path, tmp_path: Path
) -> None:
    """Records are numbered, so that frames can neither be swapped nor left out."""
    frames = moving(1) * 4
    path = tmp_path / "still.lov"
    ends = [0]
    oct_codec.save(path, frames, done=lambda size: ends.append(ends[-1] + size))
    data = path.read_bytes()
    start = len(data) - 10 - ends[-1]
    cut = data[: start + ends[1]] + data[start + ends[2] :]
    path.write_bytes(cut)
    with pytest.raises(BitstreamError, match="frame 1"):
        list(oct_codec.load(path))


def test_files_of_another_codec(flow: nn.Module, coded: Path) -> None:
    with pytest.raises(BitstreamError, match="quant='oct', not 'hex'"):
        list(latentopt.wrap(flow, "hex", True).load(coded))
    with pytest.raises(BitstreamError, match="another model"):
        list(latentopt.wrap(tiny_flow(seed=1), "oct").load(coded))
    with pytest.raises(BitstreamError, match="not one of this model's"):
        wrap_for(tiny(MeanScaleHyperprior), read_header(coded))


def test_nothing_is_written_where_a_frame_is_bad(oct_codec: VideoCodec, tmp_path: Path) -> None:
    good, bad = moving(1), photo(64, 64)
    for frames, message in (
        ([*good, bad], r"expected a frame \(1, 3, 75, 120\)"),
        ([*good, good[0] + 1], "values from"),
        ([], "no frame"),
        (moving(1, batch=2), r"expected a frame \(1, 3, H, W\)"),
    ):
        with pytest.raises(InputError, match=message):
            oct_codec.save(tmp_path / "clip.lov", frames)
    assert not list(tmp_path.iterdir())


# -- errors ---------------------------------------------------------------------------------------


def test_bad_arguments(flow: nn.Module) -> None:
    with pytest.raises(InputError, match="unknown part 'colour': choose of image, motion"):
        latentopt.wrap(flow, parts=("image", "colour"))
    with pytest.raises(InputError, match="parts is for video codecs"):
        latentopt.wrap(tiny(MeanScaleHyperprior), parts=("image",))
    with pytest.raises(InputError, match="one shape"):
        latentopt.wrap(flow).compress([photo(64, 64), photo(64, 65)])
    with pytest.raises(InputError, match="list of frames"):
        latentopt.wrap(flow).compress(photo(64, 64))


def test_bad_strings(oct_codec: VideoCodec) -> None:
    strings, shapes = oct_codec.compress(moving(3))
    for wrong in (
        strings[1:],
        [],
        [strings[0], strings[0][:1], strings[2]],
        [strings[0], {"motion": strings[1]["motion"]}, strings[2]],
        [strings[0], {**strings[1], "motion": strings[2]["residual"]}, strings[2]],
    ):
        with pytest.raises(BitstreamError):
            oct_codec.decompress(wrong, shapes[: len(wrong)])


def test_headers_hold_what_they_are_given() -> None:
    settings_of = (
        Settings("e8", "exact", "split", True, True),
        Settings("int", "exact", "sign", False),
    )
    header = Header(settings_of, 3, 65535, Fraction(24000, 1001), b"abcd", b"efgh")

    assert Header.read(io.BytesIO(header.to_bytes())) == header
    with pytest.raises(InputError, match="65535 a side"):
        Header(settings_of, 3, 65536, Fraction(24), b"abcd", b"efgh").to_bytes()
    with pytest.raises(InputError, match="frame rate"):
        Header(settings_of, 3, 5, Fraction(1, 2**33), b"abcd", b"efgh").to_bytes()
