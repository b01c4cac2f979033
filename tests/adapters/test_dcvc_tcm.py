"""DCVC-TCM's codecs, of images and of predicted frames, on small models of the same structure."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.clips import assert_float32_does_not_matter, assert_round_trips
from support.dcvc_models import lively
from support.dcvc_tcm_models import MeanScale, Mined
from support.fresh import assert_decodes_elsewhere
from support.models import photo
from torch import Tensor, nn
from torch.nn.functional import interpolate

import latentopt
from latentopt import BitstreamError, UnsupportedModelError
from latentopt.adapters import Reference, adapter_class
from latentopt.adapters.dcvc_hem import is_dmc
from latentopt.adapters.dcvc_net import warp
from latentopt.adapters.dcvc_tcm import TCMAdapter, TCMIntraAdapter, is_tcm, is_tcm_intra, video
from latentopt.codec.synthesis import padded
from latentopt.encoder import Effort, Schedule
from latentopt.encoder.ahead import Ahead
from latentopt.lattices import RULES

KEY = lively(MeanScale)
FRAMES = [photo(70, 120).roll(k, -1) for k in (0, 2, 5)]
SHORT = Effort(Schedule(3, (2.0, 0.3), (0.3, 0.1)))


def wrapped(*args: Any, seed: int = 0, **options: Any) -> Any:
    make = video(KEY, adapter_class(KEY))
    return latentopt.wrap(lively(Mined, seed), *args, adapter=make, **options)


# -- images ----------------------------------------------------------------------------------------


@torch.no_grad()
def test_int_without_shift_is_the_image_codecs_own_quantization() -> None:
    codec, model = latentopt.wrap(KEY, "int", shift=False), lively(MeanScale).double()
    x = photo(60, 120)
    [latent] = [coded.latent for coded in codec.encode(x)["y"]]
    y = model.g_a(padded(x, 64).double())
    medians = model.entropy_bottleneck.quantiles[:, 0, 1].reshape(1, -1, 1, 1)
    z_hat = torch.round(model.h_a(y) - medians) + medians
    scales, means = model.h_s(z_hat).chunk(2, 1)
    y_hat = torch.round(y - means) + means
    np.testing.assert_allclose(latent.hat, y_hat.flatten().numpy(), atol=1e-5)  # float32 means
    assert len(np.unique(latent.prior.levels)) > 8 and (latent.residual != 0).mean() > 0.2
    assert abs(float(scales.mean()) - 2) < 1


@pytest.mark.parametrize("options", [{"quant": "oct"}, {"preset": "default"}], ids=str)
def test_images_round_trip(options: dict[str, Any]) -> None:
    codec, other = (latentopt.wrap(lively(MeanScale), **options) for _ in range(2))
    x = photo(75, 130, batch=2)
    out = codec.compress(x)
    expected = codec(x)
    assert torch.equal(other.decompress(**out)["x_hat"], expected["x_hat"])
    bits = -sum(float(p.double().log2().sum()) for p in expected["likelihoods"].values())
    written = sum(len(string) for strings in out["strings"] for string in strings)
    assert abs(written * 8 - bits) < 0.002 * bits + 8 * 6 * 4


def test_the_image_codec_is_known_by_its_structure() -> None:
    assert adapter_class(KEY) is TCMIntraAdapter and not is_tcm_intra(lively(Mined))
    scales_alone, partial = lively(MeanScale), lively(MeanScale)
    scales_alone.h_s.append(nn.ReLU())
    del partial.h_a
    for broken in (scales_alone, partial):
        with pytest.raises(UnsupportedModelError):
            adapter_class(broken)


# -- what DCVC computes in a predicted frame, written from its formulas ----------------------------


@torch.no_grad()
def reference(
    model: Any, memory: Mapping[str, Tensor], ys: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Decoded latents, features and image, given those of the frame before; all in float64."""
    _, means = model.mv_prior_decoder(torch.round(model.mv_prior_encoder(ys["motion"]))).chunk(2, 1)
    motion = torch.round(ys["motion"] - means) + means
    flow = model.mv_decoder(motion)
    half = interpolate(flow, scale_factor=0.5, mode="bilinear") / 2
    quarter = interpolate(half, scale_factor=0.5, mode="bilinear") / 2
    if "features" in memory:
        features = model.feature_adaptor_P(memory["features"])
    else:
        features = model.feature_adaptor_I(memory["image"])
    scales = model.feature_extractor(features)
    contexts = model.context_fusion_net(*map(warp, scales, (flow, half, quarter)))
    z = torch.round(model.contextual_hyper_prior_encoder(ys["residual"]))
    given = (model.temporal_prior_encoder(*contexts), model.contextual_hyper_prior_decoder(z))
    _, means = model.contextual_entropy_parameter(torch.cat(given, dim=1)).chunk(2, 1)
    residual = torch.round(ys["residual"] - means) + means
    made = model.contextual_decoder(residual, *contexts[1:])
    features, image = model.recon_generation_net(made, contexts[0])
    return {"motion": motion, "residual": residual, "features": features, "image": image}


@torch.no_grad()
def test_int_without_shift_is_the_codecs_own_quantization() -> None:
    """Of two frames after a key frame: the second sees what the first left."""
    codec, model = wrapped("int", shift=False), lively(Mined).double()
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
            found = latent.hat.reshape(memory[name].shape)
            np.testing.assert_allclose(found, memory[name].numpy(), atol=1e-9)
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


def test_a_decoder_whose_float32_is_wrong_decodes_the_same() -> None:
    """What it computes in the model's own precision must not matter, memory included."""
    make = partial(wrapped, "oct", parts=["image", "residual"])
    assert_float32_does_not_matter(make, FRAMES)


def decode(folder: Path) -> None:
    torch.set_num_threads(2)
    torch.save(list(wrapped("e8").load(folder / "x.lo")), folder / "x.pt")


def test_files_decode_in_a_fresh_process(tmp_path: Path) -> None:
    assert_decodes_elsewhere(decode, wrapped("e8"), FRAMES, tmp_path)


def test_a_decoder_with_other_weights_refuses(tmp_path: Path) -> None:
    wrapped("int", shift=False).save(tmp_path / "x.lo", FRAMES[:2])
    make = video(KEY, adapter_class(KEY))
    for name, is_decoders in (
        ("contextual_entropy_parameter.bias", True),
        ("mv_prior_encoder.0.bias", False),
    ):
        other: Any = lively(Mined)
        other.get_parameter(name).data[0] += 0.1
        codec = latentopt.wrap(other, "int", adapter=make)
        if is_decoders:
            with pytest.raises(BitstreamError, match="weights hash"):
                list(codec.load(tmp_path / "x.lo"))
        else:
            assert len(list(codec.load(tmp_path / "x.lo"))) == 2


def test_it_is_known_by_its_structure() -> None:
    model = lively(Mined)
    assert is_tcm(model) and not is_tcm(KEY) and not is_dmc(model)
    with pytest.raises(UnsupportedModelError, match=r"dcvc_tcm\.video\(key"):
        latentopt.wrap(model)
    strided: Any = SimpleNamespace(stride=16)
    with pytest.raises(UnsupportedModelError, match="padded to 64, not 16"):
        TCMAdapter(model, True, strided)
