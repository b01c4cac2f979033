"""DCVC-RT's codecs, of images and of predicted frames, on small models of the same structure."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.clips import assert_float32_does_not_matter, assert_round_trips
from support.dcvc_models import MAIN, SIDE, FourPart, lively
from support.dcvc_rt_models import FOLD, Refined, TwoScale, Unmoved
from support.fresh import assert_decodes_elsewhere, elsewhere
from support.models import photo
from torch import Tensor, nn

import latentopt
from latentopt import BitstreamError, InputError, UnsupportedModelError
from latentopt.adapters import FourPartAdapter, Reference, adapter_class, intra
from latentopt.adapters.colours import rgb, ycbcr
from latentopt.adapters.dcvc import TwoScaleAdapter, bit_estimator_density
from latentopt.adapters.dcvc_rt import RTAdapter, is_rt, video
from latentopt.codec.synthesis import padded
from latentopt.encoder import Effort, Schedule
from latentopt.encoder.ahead import Ahead
from latentopt.lattices import RULES

IMAGES: dict[str, type[nn.Module]] = {"rt": TwoScale, "fm": Refined}
KEY = lively(TwoScale)
FRAMES = [photo(70, 120).roll(k, -1) for k in (0, 2, 5)]
SHORT = Effort(Schedule(3, (2.0, 0.3), (0.3, 0.1)))
X = photo(90, 150)


def test_colours_are_those_of_bt_709() -> None:
    primaries = torch.eye(3).reshape(3, 3, 1, 1)  # red, green, blue
    luma, of_blue, of_red = ycbcr(primaries)[:, :, 0, 0].T
    torch.testing.assert_close(luma, torch.tensor([0.2126, 0.7152, 0.0722]))
    assert of_red[0] == of_blue[2] == 1  # the ends of the range
    grey = torch.full((1, 3, 2, 2), 0.3)
    torch.testing.assert_close(ycbcr(grey)[:, 1:], torch.full((1, 2, 2, 2), 0.5))
    x = photo(8, 8).double()
    torch.testing.assert_close(rgb(ycbcr(x)), x, atol=1e-12, rtol=0)


# -- images ----------------------------------------------------------------------------------------


def phases_of(y: Tensor) -> Tensor:
    return 2 * (torch.arange(y.shape[2])[:, None] % 2) + torch.arange(y.shape[3]) % 2


def reference_image(model: Any, y: Tensor) -> tuple[Tensor, Tensor]:
    """Decoded latent and symbols (1, M, h, w), by rounding; all in float64."""
    given = model.y_prior_fusion(model.hyper_dec(torch.round(model.hyper_enc(y))))
    of_encoder, of_decoder = (0.5 + 1.5 * torch.sigmoid(given[:, :2])).chunk(2, 1)
    means = given[:, 2:].chunk(2, 1)[1]
    reduced = model.y_spatial_prior_reduction(given)
    orders = [(0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2)]  # phase of each quarter
    so_far, symbols = torch.zeros_like(y), torch.zeros_like(y)
    for k, order in enumerate(orders):
        if k:
            adaptor = getattr(model, f"y_spatial_prior_adaptor_{k}")
            seen = adaptor(torch.cat((so_far, reduced), dim=1))
            means = model.y_spatial_prior(seen).chunk(2, 1)[1]
        own = torch.cat([(phases_of(y) == p).expand(MAIN // 4, -1, -1) for p in order])[None]
        points = torch.round(y * of_encoder - means)
        symbols = torch.where(own, points, symbols)
        so_far = torch.where(own, points + means, so_far)
    return so_far * of_decoder, symbols


@pytest.mark.parametrize("kind", IMAGES)
@torch.no_grad()
def test_int_without_shift_is_the_image_codecs_own_quantization(kind: str) -> None:
    model = lively(IMAGES[kind])
    codec = latentopt.wrap(model, "int", shift=False)
    adapter = codec.assembly.adapter
    y = adapter.analysis(padded(X, adapter.stride))
    torch.testing.assert_close(y, model.enc(ycbcr(padded(X, 64)), model.q_scale_enc[:1]))
    [latent] = [coded.latent for coded in codec.encode(X)["y"]]
    image = model.dec(y, model.q_scale_dec[:1])
    image = rgb(model.refine(image) if kind == "fm" else image)
    torch.testing.assert_close(adapter.synthesis(y), image)
    y_hat, symbols = reference_image(lively(IMAGES[kind]).double(), y.double())
    np.testing.assert_allclose(latent.hat, y_hat.flatten().numpy(), atol=1e-9)
    np.testing.assert_array_equal(latent.residual, symbols.flatten().numpy())
    assert len(np.unique(latent.prior.levels)) > 20 and (latent.residual != 0).mean() > 0.2
    assert latent.prior.steps is not None and np.ptp(latent.prior.steps) > 0.1


@pytest.mark.parametrize("options", [*RULES, "fast", "default", "paper"])
@pytest.mark.parametrize("kind", IMAGES)
def test_images_round_trip(kind: str, options: str) -> None:
    words: Any = {"quant": options} if options in RULES else {"preset": options}
    codec, fresh = (latentopt.wrap(lively(IMAGES[kind]), **words) for _ in range(2))
    x = photo(75, 130, batch=2)
    out, expected = codec.compress(x), codec(x)
    assert torch.equal(fresh.decompress(**out)["x_hat"], expected["x_hat"])
    bits = -sum(float(p.double().log2().sum()) for p in expected["likelihoods"].values())
    written = sum(len(string) for strings in out["strings"] for string in strings)
    assert abs(written * 8 - bits) < 0.002 * bits + 8 * 6 * 4


def test_searched_points_cost_less_than_the_nearest() -> None:
    costs = []
    for options in ({"quant": "int", "shift": False, "scales": True}, {"preset": "default"}):
        codec = latentopt.wrap(KEY, **options)  # type: ignore[arg-type]
        out = codec(X)
        bits = -float(out["likelihoods"]["y"].double().log2().sum())
        error = float((out["x_hat"] - X).square().sum(dtype=torch.float64))
        costs.append(bits + codec.trade * error)
    assert costs[1] < 0.97 * costs[0]


def decode_image(folder: Path) -> None:
    torch.set_num_threads(2)
    torch.save(latentopt.wrap(lively(TwoScale), "e8").load(folder / "x.lo"), folder / "x.pt")


def test_an_image_decodes_in_a_fresh_process(tmp_path: Path) -> None:
    codec = latentopt.wrap(KEY, "e8")
    codec.save(tmp_path / "x.lo", X)
    elsewhere(decode_image, tmp_path)
    found = torch.load(tmp_path / "x.pt", weights_only=True)
    torch.testing.assert_close(found, codec.load(tmp_path / "x.lo"), atol=1e-5, rtol=0)


def test_rates_of_images(tmp_path: Path) -> None:
    """One has its own multipliers and its own density of the side latent."""
    first, last = (latentopt.wrap(KEY, "int", adapter=intra(q_index=k)) for k in (0, 3))
    first.save(tmp_path / "x.lo", X)
    with pytest.raises(BitstreamError, match="weights hash"):
        last.load(tmp_path / "x.lo")
    densities = [codec.assembly.adapter.densities[1] for codec in (first, last)]
    own = [bit_estimator_density(KEY.bit_estimator_z, [k]) for k in (0, 3)]
    assert [d.fingerprint for d in densities] == [d.fingerprint for d in own]
    assert own[0].fingerprint != own[1].fingerprint
    for wrong, message in (({"q_index": 4}, "4 scales"), ({"q_scale": 1.0}, "give a q_index")):
        with pytest.raises(InputError, match=message):
            latentopt.wrap(KEY, adapter=intra(**wrong))  # type: ignore[arg-type]


def test_image_codecs_are_known_by_their_structure() -> None:
    for family in IMAGES.values():
        assert adapter_class(lively(family)) is TwoScaleAdapter
    assert adapter_class(lively(FourPart)) is FourPartAdapter


# -- predicted frames: what DCVC computes, written from its formulas -------------------------------


def wrapped(*args: Any, seed: int = 0, q_index: int = 0, **options: Any) -> Any:
    make = video(KEY, adapter_class(KEY), q_index)
    return latentopt.wrap(lively(Unmoved, seed), *args, adapter=make, **options)


@torch.no_grad()
def reference(model: Any, before: Reference, y: Tensor, number: int) -> dict[str, Tensor]:
    """Decoded latent, features and image of the frame of a number; all in float64."""
    rate = (0, 8, 4)[(0, 1, 0, 2, 0, 2, 0, 2)[number % 8]]
    step = {
        name: getattr(model, f"q_{name}")[rate][None] for name in ("feature", "decoder", "recon")
    }
    if before.features is None or number % 32 == 1:
        folded = F.pixel_unshuffle(ycbcr(before.image).clamp(0, 1), FOLD)
        adapted = model.feature_adaptor_i(folded)
    else:
        adapted = model.feature_adaptor_p(before.features)
    context, temporal = model.feature_extractor(adapted, step["feature"])
    decoded = model.hyper_decoder(torch.round(model.hyper_encoder(y)))
    given = torch.cat((decoded, model.temporal_prior_encoder(temporal)), dim=1)
    given = model.y_prior_fusion(given)
    steps, _, means = given.chunk(3, 1)
    steps = steps.clamp(min=0.5)
    even = (torch.arange(y.shape[2])[:, None] + torch.arange(y.shape[3])) % 2 == 0
    half = torch.arange(MAIN)[:, None, None] < MAIN // 2
    first = torch.where(half, even, ~even)[None]
    hat = torch.where(first, torch.round(y / steps - means) + means, torch.zeros_like(y))
    means = model.y_spatial_prior(torch.cat((hat, given), dim=1)).chunk(2, 1)[1]
    y_hat = steps * torch.where(first, hat, torch.round(y / steps - means) + means)
    features = model.decoder(y_hat, context, step["decoder"])
    image = rgb(model.recon_generation_net(features, step["recon"]))
    return {"residual": y_hat, "features": features, "image": image}


@torch.no_grad()
def test_int_without_shift_is_the_codecs_own_quantization() -> None:
    """After a key frame, through all qualities, and where features are dropped."""
    codec, model = wrapped("int", shift=False), lively(Unmoved).double()
    before = Reference(photo(64, 128).double())
    densities = bit_estimator_density(model.bit_estimator_z, [0, 8, 4])
    for number in (1, 2, 3, 4, 33):
        before = replace(before, age=number - 1)
        x = photo(60, 128, seed=number)
        frame, made = codec.frames.encode_frame(x, before)
        part = codec.parts["residual"].assembly.adapter.knowing(before, {})
        y = part.analysis(padded(x, part.stride)).double()
        expected = reference(model, before, y, number)
        [latent, side] = (coded.latent for coded in frame["residual"])
        found = latent.hat.reshape(y.shape)
        np.testing.assert_allclose(found, expected["residual"].numpy(), atol=1e-9)
        torch.testing.assert_close(made.image, expected["image"], atol=1e-9, rtol=0)
        torch.testing.assert_close(made.features, expected["features"], atol=1e-9, rtol=0)
        assert len(np.unique(latent.prior.levels)) > 8 and (latent.residual != 0).mean() > 0.2
        quality = (0, 1, 0, 2, 0, 2, 0, 2)[number % 8]
        levels = quality * SIDE + np.arange(SIDE)
        np.testing.assert_array_equal(np.unique(side.prior.levels), levels)
        before = made
    assert (
        codec.parts["residual"].assembly.adapter.densities[1].fingerprint == densities.fingerprint
    )


# -- whole codecs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quant", "portable"), [*((quant, True) for quant in RULES), ("int", False), ("auto", False)]
)
def test_round_trips(quant: str, portable: bool) -> None:
    codec = wrapped(quant, parts=["image", "residual"], portable=portable)
    assert_round_trips(codec, FRAMES)


@pytest.mark.parametrize(
    "options",
    [{"preset": "fast"}, {"preset": "slow", "effort": SHORT}, {"ahead": Ahead((0.5,))}],
    ids=str,
)
def test_presets(options: dict[str, Any]) -> None:
    codec = wrapped(**options, parts=["residual"])
    assert_round_trips(codec, FRAMES)


def test_a_key_frame_forgets() -> None:
    """What comes after it decodes alone."""
    codec = wrapped("int", shift=False, gop=2)
    strings, shapes = codec.compress([*FRAMES, FRAMES[0]])
    whole = codec.decompress(strings, shapes)
    assert all(map(torch.equal, codec.decompress(strings[2:], shapes[2:]), whole[2:]))


def test_a_decoder_whose_float32_is_wrong_decodes_the_same() -> None:
    """What it computes in the model's own precision must not matter, memory included."""
    make = partial(wrapped, "oct", parts=["image", "residual"])
    assert_float32_does_not_matter(make, FRAMES)


def decode(folder: Path) -> None:
    torch.set_num_threads(2)
    torch.save(list(wrapped("e8").load(folder / "x.lo")), folder / "x.pt")


def test_files_decode_in_a_fresh_process(tmp_path: Path) -> None:
    assert_decodes_elsewhere(decode, wrapped("e8"), FRAMES, tmp_path)


def test_other_rates_are_other_weights(tmp_path: Path) -> None:
    """A decoder set to another rate refuses a file."""
    low, high = wrapped("int", shift=False), wrapped("int", shift=False, q_index=63)
    low.save(tmp_path / "x.lov", FRAMES[:2])
    with pytest.raises(BitstreamError, match="written by another model"):
        list(high.load(tmp_path / "x.lov"))
    for wrong in (64, -1, "0", True):
        with pytest.raises(InputError, match="q_index"):
            wrapped("int", q_index=wrong)  # type: ignore[arg-type]


def test_it_is_known_by_its_structure() -> None:
    model = lively(Unmoved)
    assert is_rt(model) and not is_rt(KEY)
    with pytest.raises(UnsupportedModelError, match=r"dcvc_rt\.video\(key"):
        latentopt.wrap(model)
    strided: Any = SimpleNamespace(stride=16)
    with pytest.raises(UnsupportedModelError, match="padded to 64, not 16"):
        RTAdapter(model, True, strided)
