"""DCVC-HEM's codec of predicted frames, on a small model of the same structure."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.clips import assert_float32_does_not_matter, assert_round_trips
from support.dcvc_models import DualPrior, WithMemory, lively
from support.fresh import assert_decodes_elsewhere
from support.models import photo
from torch import Tensor, nn

import latentopt
from latentopt import BitstreamError, InputError, UnsupportedModelError
from latentopt.adapters import Reference, adapter_class
from latentopt.adapters.dcvc_hem import DMCAdapter, is_dmc, video
from latentopt.adapters.dcvc_net import warp
from latentopt.codec.synthesis import padded
from latentopt.encoder import Effort, Schedule
from latentopt.encoder.ahead import Ahead
from latentopt.lattices import RULES

KEY = lively(DualPrior)
FRAMES = [photo(70, 120).roll(k, -1) for k in (0, 2, 5)]
SHORT = Effort(Schedule(3, (2.0, 0.3), (0.3, 0.1)))


def wrapped(*args: Any, seed: int = 0, q_index: int = 0, **options: Any) -> Any:
    make = video(KEY, adapter_class(KEY), q_index)
    return latentopt.wrap(lively(WithMemory, seed), *args, adapter=make, **options)


# -- what DCVC computes, written from its formulas -------------------------------------------------


def in_two_passes(params: Tensor, spatial: nn.Module, y: Tensor) -> Tensor:
    """The dual spatial prior, in masks (1, M, h, w)."""
    steps, scales, means = params.chunk(3, 1)
    steps = steps.clamp(min=0.5)
    even = (torch.arange(y.shape[2])[:, None] + torch.arange(y.shape[3])) % 2 == 0
    half = torch.arange(y.shape[1])[:, None, None] < y.shape[1] // 2
    first = torch.where(half, even, ~even)[None]  # of each half of the channels another phase
    hat = torch.where(first, torch.round(y / steps - means) + means, torch.zeros_like(y))
    seen = spatial(torch.cat((hat, means, scales, steps), dim=1)).chunk(4, 1)
    means = torch.cat(seen[1::2], dim=1)
    return steps * torch.where(first, hat, torch.round(y / steps - means) + means)


@torch.no_grad()
def reference(
    model: Any, memory: Mapping[str, Tensor], ys: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Decoded latents, features and image, given those of the frame before; all in float64."""
    gains = {}  # in the model's own precision
    for name, q in (("motion", "mv_y_q"), ("residual", "y_q")):
        basic, scale = (getattr(model, f"{q}_{kind}").float() for kind in ("basic", "scale"))
        gains[name] = (basic.clamp(min=0.5) * scale[:1]).double()
    zeros = torch.zeros_like(ys["motion"])
    z = torch.round(model.mv_hyper_prior_encoder(ys["motion"]))
    given = torch.cat((model.mv_hyper_prior_decoder(z), memory.get("motion", zeros)), dim=1)
    hat = in_two_passes(model.mv_y_prior_fusion(given), model.mv_y_spatial_prior, ys["motion"])
    motion = hat * gains["motion"]
    flow = model.mv_decoder(motion)
    half = nn.functional.interpolate(flow, scale_factor=0.5, mode="bilinear") / 2
    quarter = nn.functional.interpolate(half, scale_factor=0.5, mode="bilinear") / 2
    if "features" in memory:
        features = model.feature_adaptor_P(memory["features"])
    else:
        features = model.feature_adaptor_I(memory["image"])
    scales = model.feature_extractor(features)
    contexts = model.context_fusion_net(*map(warp, scales, (flow, half, quarter)))
    z = torch.round(model.contextual_hyper_prior_encoder(ys["residual"]))
    temporal = model.temporal_prior_encoder(contexts[2])
    decoded = model.contextual_hyper_prior_decoder(z)
    given = torch.cat((temporal, decoded, memory.get("residual", zeros)), dim=1)
    hat = in_two_passes(model.y_prior_fusion(given), model.y_spatial_prior, ys["residual"])
    residual = hat * gains["residual"]
    made = model.contextual_decoder(residual, *contexts[1:])
    features, image = model.recon_generation_net(made, contexts[0])
    return {"motion": motion, "residual": residual, "features": features, "image": image}


@torch.no_grad()
def test_int_without_shift_is_the_codecs_own_quantization() -> None:
    """Of two frames after a key frame: the second sees what the first left."""
    codec, model = wrapped("int", shift=False), lively(WithMemory).double()
    before = Reference(photo(64, 128).double())
    memory = {"image": before.image}
    for seed in (1, 2):
        x = photo(60, 128, seed=seed)
        frame, made = codec.frames.encode_frame(x, before)
        ys, decoded = {}, {}
        for name in ("motion", "residual"):
            part = codec.parts[name].assembly.adapter.knowing(before, decoded)
            ys[name] = part.analysis(padded(x, part.stride)).double()
            decoded[name] = codec.parts[name].moved(frame[name][:1])
        memory = reference(model, memory, ys)
        assert made.image.dtype == torch.float64 and made.features is not None
        torch.testing.assert_close(made.image, memory["image"], atol=1e-9, rtol=0)
        torch.testing.assert_close(made.features, memory["features"], atol=1e-9, rtol=0)
        for name in ys:
            [latent, _] = (coded.latent for coded in frame[name])
            assert len(np.unique(latent.prior.levels)) > 8
            assert (latent.residual != 0).mean() > 0.2
        memory["image"] = memory["image"].clamp(0, 1)
        before = made


# -- whole codecs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quant", "portable"), [*((quant, True) for quant in RULES), ("int", False), ("auto", False)]
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
    coarse, fine = wrapped("int", shift=False), wrapped("int", shift=False, q_index=1)
    file = tmp_path / "clip.lov"
    size, _ = coarse.save(file, FRAMES[:2])
    with pytest.raises(BitstreamError, match="written by another model"):
        list(fine.load(file))
    assert fine.save(file, FRAMES[:2])[0] > size
    with pytest.raises(InputError, match="q_index 2: the model has 2 scales"):
        wrapped("int", q_index=2)


@pytest.mark.parametrize(
    "q_scale", [(float("inf"), 1), (1e30, 1), (1.0,), (1.0, 1.0, 1.0), (), 1.0, "12", (None, 1)]
)
def test_scales_that_are_none_are_refused(q_scale: Any) -> None:
    make = video(KEY, adapter_class(KEY), q_scale=q_scale)
    with pytest.raises(InputError, match="q_scale"):
        latentopt.wrap(lively(WithMemory), "int", adapter=make)


@pytest.mark.parametrize("q_index", ["0", 0.5, None, True, -1])
def test_rates_that_are_none_are_refused(q_index: Any) -> None:
    with pytest.raises(InputError, match="q_index"):
        wrapped("int", q_index=q_index)


def test_it_is_known_by_its_structure() -> None:
    model = lively(WithMemory)
    assert is_dmc(model) and not is_dmc(KEY)
    with pytest.raises(UnsupportedModelError, match=r"dcvc_hem\.video\(key"):
        latentopt.wrap(model)
    strided: Any = SimpleNamespace(stride=16)
    with pytest.raises(UnsupportedModelError, match="padded to 64, not 16"):
        DMCAdapter(model, True, strided)
