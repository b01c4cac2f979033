"""DCVC's codec of predicted frames, on a small model of the same structure."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from compressai.models import JointAutoregressiveHierarchicalPriors, MeanScaleHyperprior
from support.clips import assert_float32_does_not_matter
from support.dcvc_models import MAIN, DualPrior, Predicted, lively
from support.fresh import assert_decodes_elsewhere
from support.models import photo, tiny
from torch import Tensor, nn

import latentopt
from latentopt import BitstreamError, UnsupportedModelError
from latentopt.adapters import Reference, VariationalAdapter, adapter_class
from latentopt.adapters.dcvc_net import DCVCAdapter, is_dcvc_net, video, warp
from latentopt.adapters.variational_net import Vae
from latentopt.codec.synthesis import padded
from latentopt.encoder import Effort, Schedule, draw
from latentopt.lattices import RULES

KEY = lively(DualPrior)
FRAMES = [photo(70, 120).roll(k, -1) for k in (0, 2, 5)]
SHORT = Effort(Schedule(3, (2.0, 0.3), (0.3, 0.1)))


def wrapped(*args: Any, key: nn.Module = KEY, seed: int = 0, **options: Any) -> Any:
    make = video(key, adapter_class(key))
    return latentopt.wrap(lively(Predicted, seed), *args, adapter=make, **options)


def sizes(strings: Any) -> int:
    if isinstance(strings, Mapping):
        return sum(sizes(part) for part in strings.values())
    return sum(len(string) for part in strings for string in part)


# -- warping ---------------------------------------------------------------------------------------


def test_no_flow_is_the_identity_and_whole_flows_shift() -> None:
    image = photo(20, 30).double()
    flow = torch.zeros(1, 2, 20, 30, dtype=torch.float64)
    torch.testing.assert_close(warp(image, flow), image, atol=1e-12, rtol=0)
    flow[:, 0], flow[:, 1] = 3, -2  # x first
    moved = warp(image, flow)
    torch.testing.assert_close(moved[..., 2:, :-3], image[..., :-2, 3:], atol=1e-12, rtol=0)
    border = image[..., :-2, -1:].expand(-1, -1, -1, 3)
    torch.testing.assert_close(moved[..., 2:, -3:], border, atol=1e-12, rtol=0)


def test_flows_between_pixels_interpolate() -> None:
    image = torch.arange(6.0).expand(1, 1, 4, 6)
    flow = torch.full((1, 2, 4, 6), 0.25)
    expected = (torch.arange(6.0) + 0.25).clamp(max=5).expand(1, 1, 4, 6)
    torch.testing.assert_close(warp(image, flow), expected)
    assert warp(image.half(), flow.half()).dtype == torch.float32


# -- what DCVC computes, written from its formulas -------------------------------------------------


def by_position(convolution: Any, head: Any, given: Tensor, y: Tensor) -> Tensor:
    """Rounded position by position, each seeing those before it (1, M, h, w)."""
    y_hat = torch.zeros_like(y)
    for h, w in np.ndindex(*y.shape[-2:]):
        both = torch.cat((given, convolution(y_hat)), dim=1)[..., h : h + 1, w : w + 1]
        means, _ = head(both).chunk(2, 1)
        own = y[..., h : h + 1, w : w + 1]
        y_hat[..., h : h + 1, w : w + 1] = torch.round(own - means) + means
    return y_hat


@torch.no_grad()
def reference(model: Any, frame: Tensor, ys: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Decoded latents and image, given the latents before rounding; all in float64."""
    z = torch.round(model.mvpriorEncoder(ys["motion"]))
    given = model.mvpriorDecoder(z)
    motion = by_position(model.auto_regressive_mv, model.entropy_parameters_mv, given, ys["motion"])
    flow = model.mvDecoder_part1(motion)
    flow = model.mvDecoder_part2(torch.cat((flow, frame), 1)) + flow
    context = model.context_refine(warp(model.feature_extract(frame), flow))
    z = torch.round(model.priorEncoder(ys["residual"]))
    given = torch.cat((model.temporalPriorEncoder(context), model.priorDecoder(z)), dim=1)
    y_hat = by_position(model.auto_regressive, model.entropy_parameters, given, ys["residual"])
    feature = model.contextualDecoder_part1(y_hat)
    image = model.contextualDecoder_part2(torch.cat((feature, context), dim=1))
    return {"motion": motion, "residual": y_hat, "image": image}


@torch.no_grad()
def test_int_without_shift_is_the_codecs_own_quantization() -> None:
    codec = wrapped("int", shift=False)
    before = photo(64, 128).double()
    x = photo(60, 128, seed=1)
    frame, made = codec.frames.encode_frame(x, Reference(before))
    ys = {}
    decoded: dict[str, Tensor] = {}
    for name in ("motion", "residual"):
        part = codec.parts[name].assembly.adapter.knowing(Reference(before), decoded)
        ys[name] = part.analysis(padded(x, part.stride)).double()
        decoded[name] = codec.parts[name].moved(frame[name][:1])
    expected = reference(lively(Predicted).double(), before, ys)
    for name in ys:
        [latent, _] = (coded.latent for coded in frame[name])
        found = latent.hat.reshape(expected[name].shape)
        np.testing.assert_allclose(found, expected[name].numpy(), atol=1e-9)
        assert len(np.unique(latent.prior.levels)) > 8 and (latent.residual != 0).mean() > 0.2
    assert made.image.dtype == torch.float64
    torch.testing.assert_close(made.image, expected["image"], atol=1e-9, rtol=0)


# -- whole codecs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quant", "portable"), [*((quant, True) for quant in RULES), ("int", False), ("auto", False)]
)
def test_round_trips(quant: str, portable: bool) -> None:
    codec = wrapped(quant, parts=["image", "motion", "residual"], portable=portable)
    strings, shapes = codec.compress(FRAMES)
    promised = codec(FRAMES)
    for image, expected in zip(codec.decompress(strings, shapes), promised["x_hat"]):
        assert torch.equal(image, expected) and image.shape == FRAMES[0].shape
        assert image.dtype == torch.float32
    bits = sum(
        float(-p.double().log2().sum())
        for frame in promised["likelihoods"]
        for part in frame.values()
        for p in part.values()
    )
    written = sum(sizes(frame) for frame in strings)
    assert abs(written * 8 - bits) < 0.002 * bits + 8 * 6 * 10


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "fast"},
        {"preset": "default", "effort": SHORT},
        {"preset": "slow", "effort": SHORT},
        {"quant": "hex", "shift": "grid", "direction": "sign", "scales": True},
    ],
    ids=str,
)
def test_presets(options: dict[str, Any]) -> None:
    codec = wrapped(**options, parts=["motion", "residual"])
    strings, shapes = codec.compress(FRAMES[:2])
    fresh = wrapped(**options, parts=["motion", "residual"])
    for image, expected in zip(fresh.decompress(strings, shapes), codec(FRAMES[:2])["x_hat"]):
        assert torch.equal(image, expected)


@pytest.mark.parametrize("family", [JointAutoregressiveHierarchicalPriors, MeanScaleHyperprior])
def test_key_frames_of_other_codecs(family: type[nn.Module]) -> None:
    codec = wrapped("oct", key=tiny(family))
    strings, shapes = codec.compress(FRAMES[:2])
    for image, expected in zip(codec.decompress(strings, shapes), codec(FRAMES[:2])["x_hat"]):
        assert torch.equal(image, expected)


def test_searched_points_cost_less_than_the_nearest() -> None:
    costs = []
    for options in ({"quant": "int", "shift": False, "scales": True}, {"preset": "default"}):
        codec = wrapped(**options, parts=["residual"])
        out = codec(FRAMES[:2])
        bits = -float(out["likelihoods"][1]["residual"]["y"].double().log2().sum())
        error = float((out["x_hat"][1] - FRAMES[1]).square().sum(dtype=torch.float64))
        costs.append(bits + codec.trade * error)
    assert costs[1] < 0.99 * costs[0]


# -- portable --------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [DualPrior, MeanScaleHyperprior])
def test_a_decoder_whose_float32_is_wrong_decodes_the_same(family: type[nn.Module]) -> None:
    """What it computes in the model's own precision must not matter, key frames included."""
    key = lively(family) if family is DualPrior else tiny(family)
    make = partial(wrapped, "oct", parts=["image", "residual"], key=key)
    assert_float32_does_not_matter(make, FRAMES)


def decode(folder: Path) -> None:
    torch.set_num_threads(2)
    torch.save(list(wrapped("e8").load(folder / "x.lo")), folder / "x.pt")


def test_files_decode_in_a_fresh_process(tmp_path: Path) -> None:
    assert_decodes_elsewhere(decode, wrapped("e8"), FRAMES, tmp_path)


def test_a_decoder_with_other_weights_refuses(tmp_path: Path) -> None:
    wrapped("int", shift=False).save(tmp_path / "x.lo", FRAMES[:2])
    other = lively(Predicted)
    other.feature_extract.bias.data[0] += 0.1
    codec = latentopt.wrap(other, "int", adapter=video(KEY, adapter_class(KEY)))
    with pytest.raises(BitstreamError, match="weights hash"):
        list(codec.load(tmp_path / "x.lo"))
    encoder = lively(Predicted)
    encoder.opticFlow.net.bias.data[0] += 0.1  # no matter for the decoder
    codec = latentopt.wrap(encoder, "int", adapter=video(KEY, adapter_class(KEY)))
    assert len(list(codec.load(tmp_path / "x.lo"))) == 2


# -- recognition -----------------------------------------------------------------------------------


def test_the_class_is_known_by_its_structure_and_needs_key_frames() -> None:
    model = lively(Predicted)
    assert is_dcvc_net(model) and not is_dcvc_net(KEY)
    with pytest.raises(UnsupportedModelError, match="key frames"):
        latentopt.wrap(model)
    other: Any = SimpleNamespace(stride=16)
    with pytest.raises(UnsupportedModelError, match="padded to 64, not 16"):
        DCVCAdapter(model, True, other)
    sampled = VariationalAdapter(Vae(N=8, F=6))
    with pytest.raises(UnsupportedModelError, match="Vae sends samples"):
        DCVCAdapter(model, True, sampled)


def test_new_weights_are_picked_up() -> None:
    codec, other = wrapped("hex"), wrapped("hex", seed=1)
    codec.compress(FRAMES[:2])
    codec.load_state_dict(other.state_dict())
    assert codec.compress(FRAMES[:2])[0] == other.compress(FRAMES[:2])[0]


@torch.no_grad()
def test_drawing_does_not_disturb_what_is_known() -> None:
    adapter: Any = wrapped("int", shift=False).parts["residual"].assembly.adapter
    y_hat = torch.zeros(1, MAIN, 4, 8)
    motion = {"motion": torch.zeros(1, MAIN, 4, 4)}
    knowing = adapter.knowing(Reference(FRAMES[0][..., :64, :64].double()), motion)
    before = knowing.synthesis(y_hat[..., :4])
    latent, prior = draw(knowing.alone(), np.random.default_rng(0), 2)
    assert prior.shape == (MAIN, 8, 8) and np.isfinite(latent).all()
    assert torch.equal(knowing.synthesis(y_hat[..., :4]), before)
    for alone in (knowing.alone(), adapter):
        assert alone.synthesis(y_hat).shape == (1, 3, 64, 128)
