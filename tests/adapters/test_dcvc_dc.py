"""DCVC-DC's codec of predicted frames, on a small model of the same structure."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.clips import assert_float32_does_not_matter, assert_round_trips
from support.dcvc_models import Diverse, FourPart, WithMemory, lively
from support.fresh import assert_decodes_elsewhere
from support.models import photo
from torch import Tensor, nn
from torch.nn.functional import interpolate

import latentopt
from latentopt import BitstreamError, InputError, UnsupportedModelError
from latentopt.adapters import Reference, adapter_class
from latentopt.adapters.dcvc_dc import DCAdapter, is_dc, video
from latentopt.adapters.dcvc_hem import is_dmc
from latentopt.adapters.dcvc_net import warp
from latentopt.codec.synthesis import padded
from latentopt.encoder import Effort, Schedule
from latentopt.encoder.ahead import Ahead

KEY = lively(FourPart)
FRAMES = [photo(70, 120).roll(k, -1) for k in (0, 2, 5, 6, 6, 8, 11)]
SHORT = Effort(Schedule(3, (2.0, 0.3), (0.3, 0.1)))
PARTS = {"motion": "mv_y", "residual": "y"}


def wrapped(*args: Any, seed: int = 0, q_index: int = 0, **options: Any) -> Any:
    make = video(KEY, adapter_class(KEY), q_index)
    return latentopt.wrap(lively(Diverse, seed), *args, adapter=make, **options)


# -- what DCVC computes, written from its formulas -------------------------------------------------


def in_four_passes(model: Any, part: str, params: Tensor, y: Tensor) -> Tensor:
    """The prior of four parts, in masks (1, M, h, w)."""
    steps, _, means = params.chunk(3, 1)
    steps = steps.clamp(min=0.5)
    rows, columns = torch.arange(y.shape[2])[:, None] % 2, torch.arange(y.shape[3]) % 2
    phase = 2 * rows + columns
    orders = [(0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2)]  # phase of each quarter
    hat = torch.zeros_like(y)
    for k, order in enumerate(orders):
        if k:
            adapted = getattr(model, f"{part}_spatial_prior_adaptor_{k}")(
                torch.cat((hat, params), 1)
            )
            means = getattr(model, f"{part}_spatial_prior")(adapted).chunk(2, 1)[1]
        own = torch.cat([(phase == p).expand(y.shape[1] // 4, -1, -1) for p in order])[None]
        hat = torch.where(own, torch.round(y / steps - means) + means, hat)
    return steps * hat


def fused(model: Any, part: str, given: list[Tensor], before: Tensor | None) -> Tensor:
    seen = torch.cat(given if before is None else [*given, before], dim=1)
    adaptor = getattr(model, f"{part}_prior_fusion_adaptor_{0 if before is None else 1}")
    return getattr(model, f"{part}_prior_fusion")(adaptor(seen))


def aligned(align: Any, features: Tensor, frame: Tensor, flow: Tensor) -> Tensor:
    """Groups as a batch."""
    seen = torch.cat((warp(features, flow), warp(frame, flow), flow), dim=1)
    out = interpolate(align.conv_offset(seen), scale_factor=2, mode="bilinear")
    of_x, of_y, mask = out.chunk(3, dim=1)
    offset = align.max_residue_magnitude * torch.tanh(torch.cat((of_x, of_y), dim=1))
    groups, size = mask.shape[1], flow.shape[-2:]
    offset = offset.view(groups, 2, *size) + flow
    copies = features.repeat(1, 2, 1, 1).view(groups, -1, *size)
    moved = warp(copies, offset) * torch.sigmoid(mask).view(groups, 1, *size)
    return align.fusion(moved.view(1, -1, *size))


@torch.no_grad()
def reference(
    model: Any, memory: Mapping[str, Tensor], ys: Mapping[str, Tensor], number: int
) -> dict[str, Tensor]:
    """Decoded latents, features and image, given those of the frame before; all in float64."""
    gains = {}  # in the model's own precision
    for name, part in PARTS.items():
        basic, scale = (
            getattr(model, f"{part}_q_{kind}_dec").float() for kind in ("basic", "scale")
        )
        gains[name] = (basic * scale[:1]).double()
    decoded = model.mv_hyper_prior_decoder(torch.round(model.mv_hyper_prior_encoder(ys["motion"])))
    params = fused(model, "mv_y", [decoded], memory.get("motion"))
    motion = in_four_passes(model, "mv_y", params, ys["motion"])
    flow, _ = model.mv_decoder(motion, gains["motion"])
    half = interpolate(flow, scale_factor=0.5, mode="bilinear") / 2
    quarter = interpolate(half, scale_factor=0.5, mode="bilinear") / 2
    if "features" in memory:
        features = model.feature_adaptor[(0, 1, 0, 2)[number % 4]](memory["features"])
    else:
        features = model.feature_adaptor_I(memory["image"])
    fine, *coarser = model.feature_extractor(features)
    fine = aligned(model.align, fine, memory["image"], flow)
    contexts = model.context_fusion_net(fine, *map(warp, coarser, (half, quarter)))
    z = torch.round(model.contextual_hyper_prior_encoder(ys["residual"]))
    given = [model.temporal_prior_encoder(contexts[2]), model.contextual_hyper_prior_decoder(z)]
    params = fused(model, "y", given, memory.get("residual"))
    residual = in_four_passes(model, "y", params, ys["residual"])
    made = model.contextual_decoder(residual, *contexts[1:], gains["residual"])
    features, image = model.recon_generation_net(made, contexts[0])
    return {"motion": motion, "residual": residual, "features": features, "image": image}


@torch.no_grad()
def test_int_without_shift_is_the_codecs_own_quantization() -> None:
    """Of a whole group of four and one more after a key frame: each sees what the last one left."""
    codec, model = wrapped("int", shift=False), lively(Diverse).double()
    before = Reference(photo(64, 128).double())
    for number in range(1, 6):
        x = photo(60, 128, seed=number)
        frame, made = codec.frames.encode_frame(x, before)
        ys, decoded = {}, {}
        for name in PARTS:
            part = codec.parts[name].assembly.adapter.knowing(before, decoded)
            ys[name] = part.analysis(padded(x, part.stride)).double()
            decoded[name] = codec.parts[name].moved(frame[name][:1])
            [latent, _] = (coded.latent for coded in frame[name])
            assert len(np.unique(latent.prior.levels)) > 8
            assert (latent.residual != 0).mean() > 0.2
        memory = {"image": before.image.clamp(0, 1), **before.latents}
        if before.features is not None:
            memory["features"] = before.features
        expected = reference(model, memory, ys, number)
        assert made.age == number and made.image.dtype == torch.float64
        found = {"image": made.image, "features": made.features, **made.latents}
        for name, right in expected.items():
            near = 1e-9 * float(right.abs().max())  # features grow, frame by frame
            torch.testing.assert_close(found[name], right, atol=near, rtol=0)
        before = made


@torch.no_grad()
def test_the_encoder_of_motion_sees_features_of_the_motion_before() -> None:
    codec, model = wrapped("int", shift=False, portable=False), lively(Diverse)
    motion = torch.randn(1, 8, 4, 8, generator=torch.Generator().manual_seed(0))
    x, before = (photo(64, 128, seed=k) for k in (0, 1))
    known = Reference(before, {"motion": motion})
    found = codec.parts["motion"].assembly.adapter.knowing(known, {}).analysis(x)
    enc, dec = (
        getattr(model, f"mv_y_q_basic_{side}") * getattr(model, f"mv_y_q_scale_{side}")[:1]
        for side in ("enc", "dec")
    )
    _, features = model.mv_decoder(motion, dec)
    expected = model.mv_encoder(model.optic_flow(x, before), features, enc)
    torch.testing.assert_close(found, expected)


# -- whole codecs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quant", "portable"), [("int", True), ("e8", True), ("int", False), ("auto", False)]
)
def test_round_trips(quant: str, portable: bool) -> None:
    codec = wrapped(quant, parts=["image", "motion", "residual"], portable=portable)
    assert_round_trips(codec, FRAMES)


@pytest.mark.parametrize(
    "options",
    [{"preset": "fast"}, {"preset": "slow", "effort": SHORT}, {"ahead": Ahead((0.5,))}],
    ids=str,
)
def test_presets(options: dict[str, Any]) -> None:
    codec = wrapped(**options, parts=["motion", "residual"])
    assert_round_trips(codec, FRAMES[:4])


def test_a_key_frame_forgets() -> None:
    """What comes after it decodes alone, though it is not the first of four."""
    codec = wrapped("int", shift=False, gop=3)
    strings, shapes = codec.compress(FRAMES)
    whole = codec.decompress(strings, shapes)
    for start in (3, 6):
        alone = codec.decompress(strings[start:], shapes[start:])
        assert all(map(torch.equal, alone, whole[start:]))


def test_a_decoder_whose_float32_is_wrong_decodes_the_same() -> None:
    """What it computes in the model's own precision must not matter, memory included."""
    make = partial(wrapped, "oct", parts=["image", "residual"])
    assert_float32_does_not_matter(make, FRAMES)


def decode(folder: Path) -> None:
    torch.set_num_threads(2)
    torch.save(list(wrapped("e8").load(folder / "x.lo")), folder / "x.pt")


def test_files_decode_in_a_fresh_process(tmp_path: Path) -> None:
    assert_decodes_elsewhere(decode, wrapped("e8"), FRAMES, tmp_path)


# -- rates, recognition ----------------------------------------------------------------------------


def test_other_rates_are_other_weights(tmp_path: Path) -> None:
    """A decoder set to another rate refuses a file."""
    coarse, fine = wrapped("int", shift=False), wrapped("int", shift=False, q_index=1)
    file = tmp_path / "clip.lov"
    coarse.save(file, FRAMES[:2])
    with pytest.raises(BitstreamError, match="written by another model"):
        list(fine.load(file))
    with pytest.raises(InputError, match="q_index 2: the model has 2 scales"):
        wrapped("int", q_index=2)


def test_scales_are_those_of_encoders_and_decoders() -> None:
    own = video(KEY, adapter_class(KEY), q_scale=((1.3, 0.8), (0.9, 1.1)))(lively(Diverse), True)
    for (name, part), pair in zip(PARTS.items(), ((1.3, 0.8), (0.9, 1.1))):
        gains: Any = own.predicted[name]
        for side, scale in zip(("encoder", "decoder"), pair):
            basic = getattr(lively(Diverse), f"{part}_q_basic_{side[:3]}")
            torch.testing.assert_close(getattr(gains.gains, side), basic.detach() * scale)


@pytest.mark.parametrize(
    "q_scale", [(1.0, 1.0), ((1.0, 1.0),), ((1.0, 1.0), (1.0,)), ((1, 1), (1, 1e30)), (), 1.0, "12"]
)
def test_scales_that_are_none_are_refused(q_scale: Any) -> None:
    make = video(KEY, adapter_class(KEY), q_scale=q_scale)
    with pytest.raises(InputError, match="q_scale"):
        latentopt.wrap(lively(Diverse), "int", adapter=make)


def test_it_is_known_by_its_structure() -> None:
    model: nn.Module = lively(Diverse)
    assert is_dc(model) and not is_dc(KEY)
    assert not is_dmc(model) and not is_dc(lively(WithMemory))
    with pytest.raises(UnsupportedModelError, match=r"dcvc_dc\.video\(key"):
        latentopt.wrap(model)
    strided: Any = SimpleNamespace(stride=16)
    with pytest.raises(UnsupportedModelError, match="padded to 64, not 16"):
        DCAdapter(model, True, strided)
