"""The wrapped codec as its users meet it: CompressAI's interface, files, errors, threads."""

import copy
import io
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compressai.models import (
    FactorizedPrior,
    MeanScaleHyperprior,
    ScaleHyperpriorVbr,
)
from compressai.zoo.image import model_architectures
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fresh import elsewhere
from support.models import FAMILIES, photo, tiny
from torch import nn

import latentopt
from latentopt import BitstreamError, InputError, UnsupportedModelError
from latentopt.adapters import adapter_class, with_step
from latentopt.bitstream import DIRECTIONS
from latentopt.lattices import RULES
from latentopt.media import MAX_PIXELS
from latentopt.zoo.names import URLS

QUANTS = list(RULES)


def pair(out: dict) -> dict:
    return {key: out[key] for key in ("strings", "shape")}


def size(out: dict) -> int:
    return sum(len(string) for strings in out["strings"] for string in strings)


# -- the three verbs -------------------------------------------------------------------------------


def test_the_models_own_decoder_refuses_what_is_not_for_it(tiny_model: nn.Module) -> None:
    out = latentopt.wrap(tiny_model, quant="int").compress(photo(64, 64))
    with pytest.raises(AssertionError):
        tiny_model.decompress(**pair(out))


def test_reconstruct_has_gradients_by_weights_and_latents(tiny_model: nn.Module) -> None:
    codec = latentopt.wrap(tiny_model, quant="int")
    y = codec.model.g_a(photo(64, 64)).detach().requires_grad_()
    parts = [y, *codec.model.g_s.parameters()]
    for parameter in parts:
        parameter.requires_grad_()
    gradients = torch.autograd.grad(codec.reconstruct(y).square().sum(), parts)
    assert all(float(gradient.abs().sum()) > 0 for gradient in gradients)


@pytest.mark.parametrize("quant", QUANTS)
def test_decode_gives_what_forward_promises(tiny_model: nn.Module, quant: str) -> None:
    codec = latentopt.wrap(tiny_model, quant=quant, shift=True)
    x = photo(75, 130, batch=2)
    out = codec.compress(x)
    x_hat = codec.decompress(**pair(out))["x_hat"]
    forward = codec(x)
    assert x_hat.shape == x.shape and torch.equal(forward["x_hat"], x_hat)
    assert float(x_hat.min()) >= 0 and float(x_hat.max()) <= 1
    assert all(len(strings) == 2 and isinstance(strings[0], bytes) for strings in out["strings"])
    for likelihoods in forward["likelihoods"].values():
        assert float(likelihoods.min()) > 0 and float(likelihoods.max()) <= 1 + 1e-6
    bits = -sum(float(v.double().log2().sum()) for v in forward["likelihoods"].values())
    streams = 2 * len(out["strings"])
    assert bits * 0.999 - 8 <= size(out) * 8 <= bits * 1.001 + 56 * streams


def test_likelihood_shapes_are_those_of_the_latents(tiny_model: nn.Module) -> None:
    x = photo(64, 128)
    ours = latentopt.wrap(tiny_model, "e8")(x)["likelihoods"]
    theirs = tiny_model(x)["likelihoods"]
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


def same(family: str, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """To the last bit, but in autoregressive codecs, where we sum products in another order."""
    torch.testing.assert_close(ours, theirs, atol=2e-5 if family == "mbt2018" else 0, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_int_without_shift_is_the_codec_itself(family: str) -> None:
    """Same reconstruction to the last bit, and no more bytes than CompressAI writes."""
    model = tiny(FAMILIES[family])
    codec = latentopt.wrap(model, quant="int", shift=False, portable=False)
    x = photo(128, 192)
    theirs = model.compress(x)
    same(family, codec(x)["x_hat"], model.decompress(**pair(theirs))["x_hat"].clamp(0, 1))
    assert size(codec.compress(x)) <= size(theirs) * 1.02 + 4


def test_compressai_evaluates_a_wrapped_codec_unchanged(tiny_model: nn.Module, tmp_path) -> None:
    from compressai.utils.eval_model.__main__ import eval_model
    from PIL import Image

    threads = torch.get_num_threads()
    x = photo(170, 180)
    Image.fromarray((x[0].permute(1, 2, 0) * 255).round().byte().numpy()).save(tmp_path / "x.png")
    codec = latentopt.wrap(tiny_model, "hex")
    options = {"architecture": "mbt2018-mean", "half": False, "per_image": False}
    paths = [tmp_path / "x.png"]
    real = eval_model(codec, tmp_path, tmp_path, paths, **options)
    torch.set_num_threads(threads)
    assert 0 < real["bpp"] < 24 and math.isfinite(real["psnr-rgb"])
    assert real["ms-ssim-rgb"] <= 1


def test_a_checkpoint_wraps_real_weights(real_mean, real_factorized, kodak_crop) -> None:
    for model in (real_mean, real_factorized):
        plain = latentopt.wrap(model, "int", shift=False)
        codec = latentopt.wrap(model, "hex", shift=True)
        out = codec.compress(kodak_crop)
        x_hat = codec.decompress(**pair(out))["x_hat"]
        assert torch.equal(x_hat, codec(kodak_crop)["x_hat"])
        assert size(out) < size(plain.compress(kodak_crop)) * 1.05
        assert float((x_hat - kodak_crop).square().mean()) < 0.004  # better than 24 dB


# -- the model stays as it was, the codec is a module ----------------------------------------------


def test_wrap_leaves_the_model_untouched(tiny_model: nn.Module) -> None:
    tiny_model.train()
    before = copy.deepcopy(tiny_model.state_dict())
    codec = latentopt.wrap(tiny_model)
    codec.compress(photo(64, 64))
    codec.double()
    after = tiny_model.state_dict()
    assert tiny_model.training and not codec.training
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert all(tensor.dtype == after[key].dtype for key, tensor in before.items())


@pytest.mark.parametrize("copies", ["pickle", "deepcopy", "torch.save"])
def test_copies_write_and_read_the_same_streams(tiny_model: nn.Module, copies: str) -> None:
    codec = latentopt.wrap(tiny_model, "oct")
    if copies == "pickle":
        other = pickle.loads(pickle.dumps(codec))
    elif copies == "deepcopy":
        other = copy.deepcopy(codec)
    else:
        buffer = io.BytesIO()
        torch.save(codec, buffer)
        buffer.seek(0)
        other = torch.load(buffer, weights_only=False)
    x = photo(80, 64)
    out = codec.compress(x)
    assert other.compress(x)["strings"] == out["strings"]
    assert torch.equal(other.decompress(**pair(out))["x_hat"], codec(x)["x_hat"])


def test_state_dict_carries_the_tables(tmp_path) -> None:
    first = latentopt.wrap(tiny(MeanScaleHyperprior, seed=1), "hex")
    second = latentopt.wrap(tiny(MeanScaleHyperprior, seed=2), "hex")
    x = photo(64, 96)
    assert second.compress(x)["strings"] != first.compress(x)["strings"]
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert second.compress(x)["strings"] == first.compress(x)["strings"]
    within = nn.ModuleDict({"codec": latentopt.wrap(tiny(MeanScaleHyperprior, seed=2), "hex")})
    within.load_state_dict(nn.ModuleDict({"codec": first}).state_dict())
    assert within["codec"].compress(x)["strings"] == first.compress(x)["strings"]
    first.save(tmp_path / "x.lo", x)
    assert torch.equal(second.load(tmp_path / "x.lo"), first.load(tmp_path / "x.lo"))


def test_update_rebuilds_only_when_forced(tiny_mean: nn.Module) -> None:
    codec = latentopt.wrap(tiny_mean, "hex")
    x = photo(64, 64)
    before = codec.compress(x)["strings"]
    assert codec.update() is False and codec.update(force=True) is True
    assert codec.compress(x)["strings"] == before


def test_batches_and_threads_do_not_disturb_each_other(tiny_model: nn.Module) -> None:
    codec = latentopt.wrap(tiny_model, "oct")
    images = [photo(64, 64 + 16 * i, seed=i) for i in range(6)]
    alone = [codec.compress(x)["strings"] for x in images]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda x: codec.compress(x)["strings"], images * 3))
    assert together == alone * 3


def test_streams_decode_with_other_thread_counts_and_batches(tiny_mean: nn.Module) -> None:
    codec = latentopt.wrap(tiny_mean, "oct")
    threads = torch.get_num_threads()
    x = photo(128, 128, batch=3)
    try:
        torch.set_num_threads(1)
        out = codec.compress(x)
        torch.set_num_threads(2)
        whole = codec.decompress(**pair(out))["x_hat"]
    finally:
        torch.set_num_threads(threads)
    for i in range(3):
        one = codec.decompress([[s[i]] for s in out["strings"]], out["shape"])["x_hat"]
        torch.testing.assert_close(one[0], whole[i], atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_double_and_half_models(family: str) -> None:
    tiny_model, x = tiny(FAMILIES[family]), photo(64, 64)
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        codec = latentopt.wrap(copy.deepcopy(tiny_model).to(dtype), "hex")
        try:
            out = codec.compress(x.to(dtype))
        except (InputError, RuntimeError) as error:  # half overflowed, or has no such CPU kernel
            assert dtype != torch.float64 and str(error)
            continue
        x_hat = codec.decompress(**pair(out))["x_hat"]
        assert torch.equal(x_hat, codec(x.to(dtype))["x_hat"])
        assert torch.isfinite(x_hat).all()


class _Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.1 * self.mix(x)


def test_a_hyper_synthesis_that_ends_otherwise() -> None:
    """Portable mode splits the last convolution where it is the last, and else leaves it whole."""
    model = tiny(MeanScaleHyperprior)
    model.h_s = nn.Sequential(model.h_s, _Residual(24))
    codec = latentopt.wrap(model, "hex")
    x = photo(64, 64)
    x_hat = codec.decompress(**pair(codec.compress(x)))["x_hat"]
    assert torch.equal(x_hat, codec(x)["x_hat"])
    plain = latentopt.wrap(model, "hex", portable=False)
    torch.testing.assert_close(x_hat, plain(x)["x_hat"], atol=1e-3, rtol=0)


# -- any size --------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bmshj2018-factorized", "mbt2018-mean", "mbt2018"])
@given(st.integers(1, 140), st.integers(1, 140), st.integers(1, 2), st.sampled_from(QUANTS))
@settings(max_examples=12, deadline=None)
def test_images_of_any_size(family: str, height: int, width: int, batch: int, quant: str) -> None:
    codec = _cached(family, quant)
    x = photo(height, width, batch)
    out = codec.compress(x)
    assert tuple(out["shape"]) == (height, width)
    assert codec.decompress(**pair(out))["x_hat"].shape == x.shape


_CODECS: dict = {}


def _cached(family: str, quant: str) -> latentopt.Codec:
    if (family, quant) not in _CODECS:
        _CODECS[family, quant] = latentopt.wrap(tiny(FAMILIES[family]), quant)
    return _CODECS[family, quant]


# -- the shift -------------------------------------------------------------------------------------


@pytest.mark.parametrize("search", ["secant", "grid"])
@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_shift_never_costs_distortion(real_mean, kodak, search: str, direction: str) -> None:
    from latentopt.media.images import read_image

    plain = latentopt.wrap(real_mean, "int", shift=False)
    codec = latentopt.wrap(real_mean, "int", shift=search, direction=direction)
    steps = DIRECTIONS[direction]
    for path in kodak[: 2 if steps == 1 else 1]:
        x = read_image(path)[..., :128, :128]
        outs = [c.compress(x) for c in (plain, codec)]
        shown = [c.decompress(**out)["x_hat"] for c, out in zip((plain, codec), outs)]
        error = [float((x_hat - x).square().mean()) for x_hat in shown]
        assert size(outs[1]) <= size(outs[0]) + max(2, steps)
        if outs[1]["strings"][1] == outs[0]["strings"][1]:  # so the main latent is the same
            assert error[1] <= error[0]


def test_a_decoder_without_search_decodes_shifted_streams(tiny_model: nn.Module) -> None:
    encoder = latentopt.wrap(tiny_model, "oct", shift="grid")
    decoder = latentopt.wrap(tiny_model, "oct", shift=False)
    x = photo(64, 64)
    out = encoder.compress(x)
    assert torch.equal(decoder.decompress(**pair(out))["x_hat"], encoder(x)["x_hat"])


def test_step_codes_ride_in_the_strings(tiny_mean: nn.Module) -> None:
    """Changing the first byte moves the image and nothing else."""
    codec = latentopt.wrap(tiny_mean, "int", shift=False)
    out = codec.compress(photo(64, 64))
    assert [s[0][0] for s in out["strings"]] == [0, 0]
    moved = [[bytes([100]) + out["strings"][0][0][1:]], out["strings"][1]]
    plain = codec.decompress(**pair(out))["x_hat"]
    assert not torch.equal(codec.decompress(moved, out["shape"])["x_hat"], plain)


# -- one checkpoint, several rates -----------------------------------------------------------------


def test_steps_trade_rate_for_distortion(tiny_model: nn.Module) -> None:
    x = photo(128, 128)
    sizes = []
    for step in (0.5, 1.0, 2.0):
        model = with_step(tiny_model, step)
        theirs, codec = model.compress(x), latentopt.wrap(model, "int", False, portable=False)
        torch.testing.assert_close(
            codec(x)["x_hat"],
            model.decompress(**pair(theirs))["x_hat"].clamp(0, 1),
            atol=2e-5,
            rtol=0,
        )
        sizes.append(size(codec.compress(x)))
    assert sizes[0] > sizes[1] > sizes[2]
    assert with_step(tiny_model, 1.0) is tiny_model
    with pytest.raises(InputError, match="positive"):
        with_step(tiny_model, -1.0)


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model, message",
    [
        (
            "tiny-mbt2018-mean",
            r"load the model, latentopt.zoo.load\('tiny-",
        ),
        (
            torch.nn.DataParallel(tiny(MeanScaleHyperprior)),
            "DataParallel holds the model: wrap",
        ),
        (7, "int is no model"),
    ],
)
def test_what_is_no_model_is_named(model: Any, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        latentopt.wrap(model)


def test_what_is_wrapped_already_is_named(tiny_mean: nn.Module) -> None:
    codec = latentopt.wrap(tiny_mean, "int")
    with pytest.raises(UnsupportedModelError, match="wrapped already: wrap its"):
        latentopt.wrap(codec)
    with pytest.raises(InputError, match=r"'fast' is a preset: wrap\(model, preset='fast'\)"):
        latentopt.wrap(tiny_mean, "fast")


def test_a_side_latent_that_is_not_there_cannot_learn() -> None:
    model = tiny(FAMILIES["bmshj2018-factorized"])
    with pytest.raises(InputError, match="adaptive=True is for codecs with a side latent, and"):
        latentopt.wrap(model, adaptive=True)
    assert not latentopt.wrap(model, preset="fast").settings.adaptive


def test_unsupported_models_are_named() -> None:
    with pytest.raises(UnsupportedModelError, match=r"Linear.*MeanScaleHyperprior"):
        latentopt.wrap(nn.Linear(2, 2))
    with pytest.raises(UnsupportedModelError, match=r"ScaleHyperpriorVbr.*at_rate\(model, index\)"):
        latentopt.wrap(ScaleHyperpriorVbr(8, 12))


@pytest.mark.parametrize("name", [n for n in model_architectures if n.replace("_", "-") in URLS])
def test_compressais_whole_zoo_has_adapters(name: str) -> None:
    cls = model_architectures[name]
    adapter_class(cls(8) if "cheng" in name else cls(8, 12))


def test_bad_arguments(tiny_mean: nn.Module) -> None:
    for arguments in ({"quant": "a2"}, {"shift": "best"}, {"direction": "up"}, {"pmf": "no"}):
        with pytest.raises(InputError, match=next(iter(arguments.values()))):
            latentopt.wrap(tiny_mean, **arguments)


@pytest.mark.parametrize(
    "x",
    [
        torch.rand(1, 1, 64, 64),
        torch.rand(3, 64, 64),
        torch.rand(1, 3, 0, 64),
        torch.rand(1, 3, 64, 64) * 255,
        torch.rand(1, 3, 64, 64) - 1,
        torch.full((1, 3, 64, 64), math.nan),
        torch.full((1, 3, 64, 64), math.inf),
        torch.zeros(1, 3, 64, 64, dtype=torch.uint8),
        np.zeros((1, 3, 64, 64)),
    ],
)
def test_bad_images(tiny_mean: nn.Module, x: object) -> None:
    codec = _cached("mbt2018-mean", "hex")
    for verb in (codec, codec.compress):
        with pytest.raises(InputError, match="expected"):
            verb(x)


def test_broken_weights_are_noticed_in_the_latent(tiny_model: nn.Module) -> None:
    tiny_model.g_a[0].bias.data[0] = math.nan
    with pytest.raises(InputError, match="NaN"):
        latentopt.wrap(tiny_model, "hex").compress(photo(64, 64))


def test_strings_of_the_wrong_form(tiny_mean: nn.Module) -> None:
    codec = _cached("mbt2018-mean", "hex")
    out = codec.compress(photo(128, 128))
    y, z = out["strings"]
    for strings in ([y], [y, z, z], [y, z + z], [[], []], [[b""], z], [y, [b""]]):
        with pytest.raises(BitstreamError):
            codec.decompress(strings, out["shape"])
    for shape in ((0, 64), (64, -1), (1 << 20, 1 << 20)):
        with pytest.raises(BitstreamError, match="image size"):
            codec.decompress([y, z], shape)
    with pytest.raises(BitstreamError):
        codec.decompress([y, z], (64, 64))  # too many symbols for so small an image


# -- files -----------------------------------------------------------------------------------------


def decode_all(folder: Path) -> None:
    for family, kind in FAMILIES.items():
        codec = latentopt.wrap(tiny(kind), "oct", shift=False)
        torch.save(codec.load(folder / f"{family}.lo"), folder / f"{family}.pt")


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of each family, and what a process that knows no more made of it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for family, kind in FAMILIES.items():
        codec = latentopt.wrap(tiny(kind), "oct", shift="grid")
        codec.save(folder / f"{family}.lo", photo(77, 99))
    elsewhere(decode_all, folder)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_process_decodes_a_file(family: str, decoded: Path) -> None:
    codec, x = latentopt.wrap(tiny(FAMILIES[family]), "oct", shift="grid"), photo(77, 99)
    written = (decoded / f"{family}.lo").read_bytes()
    assert written == codec.save_bytes(x)
    assert len(written) <= size(codec.compress(x)) + 24
    x_hat = torch.load(decoded / f"{family}.pt", weights_only=True)
    torch.testing.assert_close(x_hat, codec(x)["x_hat"], atol=1e-4, rtol=0)


def test_files_of_another_codec_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.lo"
    model = tiny(MeanScaleHyperprior)
    latentopt.wrap(model, "hex").save(path, photo(64, 64))
    other_weights = tiny(MeanScaleHyperprior, seed=3)
    other_table = copy.deepcopy(model)
    other_table.gaussian_conditional.scale_table = model.gaussian_conditional.scale_table[:40]
    cases = [
        (latentopt.wrap(model, "oct"), "quant='hex', not 'oct'"),
        (latentopt.wrap(model, "hex", direction="sign"), "direction='density'"),
        (latentopt.wrap(model, "hex", portable=False), "portable=True"),
        (latentopt.wrap(model, "hex", scales=True), "scales=False, not True"),
        (latentopt.wrap(model, "hex", pmf="paper"), "pmf='exact'"),
        (latentopt.wrap(other_weights, "hex"), "weights hash"),
        (latentopt.wrap(other_table, "hex"), "hash"),
        (latentopt.wrap(tiny(FactorizedPrior), "hex"), "another model"),
    ]
    for codec, message in cases:
        with pytest.raises(BitstreamError, match=message):
            codec.load(path)


def test_only_whole_single_images_become_files(tiny_mean: nn.Module, tmp_path: Path) -> None:
    codec = _cached("mbt2018-mean", "hex")
    with pytest.raises(InputError, match="one image"):
        codec.save(tmp_path / "x.lo", photo(64, 64, batch=2))
    with pytest.raises(InputError, match="cannot read"):
        codec.load(tmp_path / "missing.lo")
    codec.save(tmp_path / "x.lo", photo(64, 64))
    codec.max_pixels = 1000
    with pytest.raises(BitstreamError, match="max_pixels"):
        codec.load(tmp_path / "x.lo")
    codec.max_pixels = MAX_PIXELS


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8), st.booleans())
@settings(max_examples=40, deadline=None)
def test_resealed_corruption_never_crashes_the_decoder(place: int, new: bytes, y: bool) -> None:
    """Past the checksum: the strings themselves are corrupt. Errors are BitstreamError alone."""
    codec = _cached("mbt2018-mean", "oct")
    strings = [[bytes(s[0])] for s in codec.compress(photo(64, 64))["strings"]]
    which = strings[0 if y else 1]
    at = place % len(which[0])
    which[0] = which[0][:at] + new + which[0][at + len(new) :]
    try:
        x_hat = codec.decompress(strings, (64, 64))["x_hat"]
    except BitstreamError:
        return
    assert x_hat.shape == (1, 3, 64, 64)
