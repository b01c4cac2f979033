"""Weights as a law: whatever happens to them after wrapping, a file says what wrote it."""

import copy
import io
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from support import trees
from support.codec_families import IMAGE_MODELS, VIDEO_CODECS
from support.models import FAMILIES, moving, photo, tiny, tiny_flow
from torch import nn

import latentopt
from latentopt.errors import BitstreamError, InputError, UnsupportedModelError


def first_convolution(module: nn.Module) -> nn.Parameter:
    return next(p for p in module.parameters() if p.dim() == 4)


def counted(codec: latentopt.Codec) -> None:
    with torch.no_grad():
        for part in codec.assembly.adapter.decoder_parts():
            for parameter in part.parameters():
                parameter.mul_(1.02)


def uncounted(codec: latentopt.Codec) -> None:
    """PyTorch does not count what is written to `data`."""
    for part in codec.assembly.adapter.decoder_parts():
        for parameter in part.parameters():
            parameter.data.mul_(1.02)


def optimized(codec: latentopt.Codec) -> None:
    parameters = list(codec.model.parameters())
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 0.1)
    torch.optim.SGD(parameters, 0.1).step()


def loaded(codec: latentopt.Codec) -> None:
    state = codec.model.state_dict()
    codec.model.load_state_dict({k: v * 1.02 if v.dim() > 2 else v for k, v in state.items()})


def replaced(codec: latentopt.Codec) -> None:
    for parameter in codec.model.parameters():
        parameter.data = parameter.data * 1.02


def in_inference_mode(codec: latentopt.Codec) -> None:
    with torch.inference_mode():
        codec.half()
        for parameter in codec.model.parameters():
            parameter.mul_(1.02)
        codec.float()


CHANGES: dict[str, Callable[[latentopt.Codec], object]] = {
    "in place": counted,
    "past the count": uncounted,
    "an optimizer's step": optimized,
    "load_state_dict of the model": loaded,
    "other tensors": replaced,
    "half and back": lambda codec: codec.half().float(),
    "in inference mode": in_inference_mode,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_a_file_is_of_the_weights_that_wrote_it(change: str, used: bool, tmp_path: Path) -> None:
    model, x = tiny(FAMILIES["mbt2018-mean"]), photo(64, 64)
    codec, before = latentopt.wrap(model, "hex"), latentopt.wrap(model, "hex")
    if used:
        codec.decompress(**codec.compress(x))
    before.save(tmp_path / "before.lo", x)
    CHANGES[change](codec)
    codec.save(tmp_path / "after.lo", x)
    with pytest.raises(BitstreamError, match="another model"):
        before.load(tmp_path / "after.lo")
    with pytest.raises(BitstreamError, match="another model"):
        codec.load(tmp_path / "before.lo")
    anew = latentopt.wrap(codec.model, "hex")
    assert anew.identity == codec.identity
    assert torch.equal(anew.load(tmp_path / "after.lo"), codec.load(tmp_path / "after.lo"))
    assert anew.compress(x)["strings"] == codec.compress(x)["strings"]


@pytest.mark.parametrize("family", IMAGE_MODELS)
def test_every_family_notices(family: str) -> None:
    codec, x = latentopt.wrap(IMAGE_MODELS[family](0), "hex"), photo(64, 64)
    codec.compress(x)
    before = codec.identity
    counted(codec)
    anew = latentopt.wrap(codec.model, "hex")
    assert codec.identity == anew.identity != before
    assert codec.compress(x) == anew.compress(x)


@pytest.mark.parametrize("kind", VIDEO_CODECS)
def test_every_video_codec_notices(kind: str) -> None:
    codec, other = VIDEO_CODECS[kind](0), VIDEO_CODECS[kind](1)
    clip = moving(2, 64, 64)
    before = codec.compress(clip)
    for part, theirs in zip(codec.parts.values(), other.parts.values(), strict=True):
        part.model.load_state_dict(theirs.model.state_dict())
    assert codec.compress(clip) == other.compress(clip) != before
    assert codec._hashes == other._hashes


def test_a_clip_is_of_one_set_of_weights(tmp_path: Path) -> None:
    codec = VIDEO_CODECS["ssf"](0)

    def frames() -> Any:
        yield from moving(2, 64, 64)
        with torch.no_grad():
            next(codec.parts["residual"].model.decoder.parameters()).mul_(1.1)
        yield from moving(2, 64, 64)

    with pytest.raises(InputError, match="weights changed while it was coding"):
        codec.save(tmp_path / "clip.lov", frames())
    assert not list(tmp_path.iterdir())


def test_what_only_the_encoder_has_may_change() -> None:
    """Files stay readable both ways, and the search measures its sensitivity anew."""
    model, x = tiny(FAMILIES["mbt2018-mean"]), photo(64, 64)
    codec = latentopt.wrap(model, preset="fast")
    before = codec.compress(x)
    with torch.no_grad():
        codec.model.g_a[-1].weight.mul_(0.5)
    assert codec.identity == latentopt.wrap(model, preset="fast").identity
    assert codec.compress(x)["strings"] != before["strings"]


def test_a_hook_that_came_later_counts() -> None:
    """A search that does not see it would choose points for another decoder."""
    x = photo(64, 96)

    def halved(module: nn.Module, given: Any, made: torch.Tensor) -> torch.Tensor:
        return 0.5 * made

    codec = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), preset="fast")
    before = codec.save_bytes(x)
    codec.model.g_s[-1].register_forward_hook(halved)
    model = tiny(FAMILIES["mbt2018-mean"])
    model.g_s[-1].register_forward_hook(halved)
    expected = latentopt.wrap(model, preset="fast").save_bytes(x)
    assert codec.save_bytes(x) == expected != before


def test_tables_stay_where_their_densities_do() -> None:
    """Tables of a state dict are another machine's, and must outlive a move of the weights."""
    codec = latentopt.wrap(tiny(FAMILIES["bmshj2018-factorized"]), "hex")
    state = codec.state_dict()
    state["_extra_state"]["0"][-2:] += torch.tensor([1, -1], dtype=torch.int32)  # as elsewhere
    codec.load_state_dict(state)
    tables = codec.identity.table_hash
    assert tables != latentopt.wrap(codec.model, "hex").identity.table_hash
    codec.double()
    counted(codec.float())
    assert codec.identity.table_hash != tables  # the bottleneck's densities are others
    codec.load_state_dict(state)
    with torch.no_grad():
        codec.model.g_s[0].weight.mul_(1.1)
    assert codec.identity.table_hash == tables


def test_weights_that_fit_no_more_are_refused() -> None:
    codec = latentopt.wrap(tiny(FAMILIES["mbt2018"]), "hex")
    with torch.no_grad():
        codec.model.context_prediction.mask.fill_(1)
    with pytest.raises(UnsupportedModelError, match="not decoded yet"):
        codec.compress(photo(64, 64))


# -- precision -------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bmshj2018-factorized", "mbt2018-mean", "mbt2018"])
@pytest.mark.parametrize("words", [{"quant": "hex"}, {"preset": "fast"}], ids=str)
def test_an_autocast_around_it_changes_nothing(family: str, words: dict[str, Any]) -> None:
    codec, x = latentopt.wrap(tiny(FAMILIES[family]), **words), photo(64, 96)
    out = codec.compress(x)
    pictures, forward = codec.decompress(**out)["x_hat"], codec(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert codec.compress(x) == out
        assert torch.equal(codec.decompress(**out)["x_hat"], pictures)
        assert torch.equal(codec(x)["x_hat"], forward["x_hat"])


def test_an_autocast_around_video_changes_nothing(tmp_path: Path) -> None:
    codec, clip = VIDEO_CODECS["ssf"](0), moving(2, 64, 64)
    out = codec.compress(clip)
    pictures = codec.decompress(*out)
    with torch.autocast("cpu", torch.bfloat16):
        assert codec.compress(clip) == out
        codec.save(tmp_path / "clip.lov", clip)
        for decoded in (codec.decompress(*out), list(codec.load(tmp_path / "clip.lov"))):
            assert all(torch.equal(a, b) for a, b in zip(decoded, pictures, strict=True))


@pytest.mark.parametrize("half", [False, True])
def test_compressai_evaluates_it_in_half_precision(half: bool, tmp_path: Path) -> None:
    from compressai.utils.eval_model.__main__ import eval_model
    from PIL import Image

    threads = torch.get_num_threads()
    pixels = (photo(170, 180)[0].permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(pixels).save(tmp_path / "x.png")
    codec = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), "hex")
    options = {"architecture": "mbt2018-mean", "half": half, "per_image": False}
    for estimate in (True, False):
        found = eval_model(codec, tmp_path, tmp_path, [tmp_path / "x.png"], estimate, **options)
        assert 0 < found["bpp"] < 24 and found["ms-ssim-rgb"] <= 1
    torch.set_num_threads(threads)


@pytest.mark.parametrize("family", IMAGE_MODELS)
def test_every_family_searches_in_half_the_bits(family: str) -> None:
    codec = latentopt.wrap(IMAGE_MODELS[family](0), preset="fast").bfloat16()
    x = photo(64, 64).bfloat16()
    out = codec.compress(x)
    assert torch.equal(codec.decompress(out["strings"], out["shape"])["x_hat"], codec(x)["x_hat"])


def test_video_is_coded_in_half_the_bits() -> None:
    codec = latentopt.wrap(tiny_flow(), "int", True).bfloat16()
    frames = [x.bfloat16() for x in moving(2, 64, 80)]
    strings, shapes = codec.compress(frames)
    assert all(x.isfinite().all() for x in codec.decompress(strings, shapes))


# -- torch.compile ---------------------------------------------------------------------------------


def compiled(module: nn.Module) -> Any:
    return torch.compile(module, backend="eager")


@pytest.mark.parametrize("family", ["mbt2018-mean", "mbt2018", "bmshj2018-factorized"])
def test_compiled_parts_are_the_same_codec(family: str, tmp_path: Path) -> None:
    model, x = tiny(FAMILIES[family]), photo(64, 64)
    plain = latentopt.wrap(model, "hex")
    plain.save(tmp_path / "x.lo", x)
    expected = plain.load(tmp_path / "x.lo")
    for name in ("g_a", "g_s", "h_s", "context_prediction", "entropy_parameters"):
        if hasattr(model, name):
            setattr(model, name, compiled(getattr(model, name)))
    for codec in (latentopt.wrap(model, "hex"), latentopt.wrap(compiled(model), "hex"), plain):
        if codec is plain:
            plain.model.g_s = compiled(plain.model.g_s)
        assert codec.identity == plain.identity
        torch.testing.assert_close(codec.load(tmp_path / "x.lo"), expected, atol=1e-5, rtol=0)
        assert codec.compress(x)["strings"] == plain.compress(x)["strings"]


# -- copies ----------------------------------------------------------------------------------------


@cache
def used(kind: str) -> tuple[Any, Any, Any]:
    """A codec, what it has coded, and the strings."""
    if kind == "ssf":
        codec, x = VIDEO_CODECS["ssf"](0), moving(2, 64, 64)
    else:
        codec, x = latentopt.wrap(trees.lively(kind)), photo(64, 64)
    return codec, x, codec.compress(x)


@pytest.mark.parametrize("copied", ["pickle", "deepcopy", "torch.save"])
@pytest.mark.parametrize("kind", ["ssf", "cheng2020-attn"])
def test_classes_defined_inside_of_functions_are_copied(kind: str, copied: str) -> None:
    """CompressAI's video codec is made of such, and AttentionBlock."""
    codec, x, out = used(kind)
    if copied == "torch.save":
        buffer = io.BytesIO()
        torch.save(codec, buffer)
        buffer.seek(0)
        other = torch.load(buffer, weights_only=False)
    else:
        other = copy.deepcopy(codec) if copied == "deepcopy" else pickle.loads(pickle.dumps(codec))
    assert other.compress(x) == out
    assert pickle.loads(pickle.dumps(other)).compress(x) == out
