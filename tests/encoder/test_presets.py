"""Encoders that spend more: whole codecs with presets and efforts, on every family."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.models import FAMILIES, photo, tiny
from torch import Tensor, nn

import latentopt
from latentopt import BitstreamError, InputError, zoo
from latentopt.codec.recipe import PRESETS, get_preset
from latentopt.densities import FactorizedDensity
from latentopt.encoder import Effort, Schedule
from latentopt.media.images import read_image

SHORT = Effort(Schedule(3, (2.0, 0.3), (0.3, 0.1)))
SPENDING: dict[str, dict[str, Any]] = {
    "fast": {"preset": "fast"},
    "default": {"preset": "default"},
    "slow": {"preset": "slow", "effort": SHORT},
}
_CODECS: dict[tuple[str, str], latentopt.Codec] = {}


def cached(family: str, name: str) -> latentopt.Codec:
    if (family, name) not in _CODECS:
        _CODECS[family, name] = latentopt.wrap(tiny(FAMILIES[family]), **SPENDING[name])
    return _CODECS[family, name]


def byte_count(out: dict[str, Any]) -> int:
    return sum(len(string) for strings in out["strings"] for string in strings)


# -- round trips -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPENDING)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_decoder_of_its_own_gives_what_forward_promises(family: str, name: str) -> None:
    codec = cached(family, name)
    x = photo(75, 60, batch=2)
    out = codec.compress(x)
    promised = codec(x)["x_hat"]
    assert torch.equal(codec.decompress(**out)["x_hat"], promised)
    fresh = latentopt.wrap(tiny(FAMILIES[family]), **SPENDING[name])
    assert torch.equal(fresh.decompress(**out)["x_hat"], promised)
    assert float(promised.min()) >= 0 and float(promised.max()) <= 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_decoder_needs_the_settings_alone(family: str) -> None:
    """Neither the effort nor the search of the encoder."""
    codec = cached(family, "slow")
    x = photo(64, 64)
    made = codec.settings
    words = {
        name: getattr(made, name)
        for name in ("direction", "scales", "adaptive", "context", "postfilter", "prepacked")
    }
    fresh = latentopt.wrap(tiny(FAMILIES[family]), made.quant, False, **words)
    assert fresh.settings == made and fresh.recipe.effort is None and fresh.recipe.shift is None
    x_hat = fresh.decompress(**codec.compress(x))["x_hat"]
    assert torch.equal(x_hat, codec(x)["x_hat"])


@pytest.mark.parametrize("name", SPENDING)
@pytest.mark.parametrize("family", FAMILIES)
def test_choices_are_the_same_each_time(family: str, name: str) -> None:
    x = photo(64, 80, seed=2)
    codec = cached(family, name)
    first = codec.compress(x)["strings"]
    assert codec.compress(x)["strings"] == first
    other = latentopt.wrap(tiny(FAMILIES[family]), **SPENDING[name])
    assert other.compress(x)["strings"] == first


@pytest.mark.parametrize("size", [(1, 1), (16, 70), (65, 64)])
@pytest.mark.parametrize("family", FAMILIES)
def test_sizes_that_are_no_multiple_of_the_stride(family: str, size: tuple[int, int]) -> None:
    x = photo(*size)
    for name in ("default", "slow"):
        codec = cached(family, name)
        x_hat = codec.decompress(**codec.compress(x))["x_hat"]
        assert x_hat.shape == x.shape and torch.equal(x_hat, codec(x)["x_hat"])


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_flat_images(family: str, value: float) -> None:
    x = torch.full((1, 3, 64, 64), value)
    codec = cached(family, "default")
    assert torch.equal(codec.decompress(**codec.compress(x))["x_hat"], codec(x)["x_hat"])


# -- what an effort buys ---------------------------------------------------------------------------


def cost_of(codec: latentopt.Codec, x: Tensor) -> list[float]:
    """Bits plus what the codec pays for errors, of the main latent of each image."""
    out = codec(x)
    bits = -out["likelihoods"]["y"].double().log2().sum(dim=(1, 2, 3))
    errors = (out["x_hat"] - x).square().sum(dim=(1, 2, 3), dtype=torch.float64)
    return (bits + codec.trade * errors).tolist()


@pytest.fixture
def precise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts in full precision, so that a codec's own costs are those measured from outside."""
    monkeypatch.setattr("latentopt.encoder.draft.low_precision", lambda *_, **__: nullcontext())


@pytest.mark.parametrize("family", FAMILIES)
def test_verified_choices_never_cost_more_than_the_nearest_points(
    family: str, precise: None
) -> None:
    model, x = tiny(FAMILIES[family]), photo(64, 96, batch=2)
    nearest = latentopt.wrap(model, "auto", False, scales=True)
    for schedule in (SHORT.schedule, Schedule(1, (50.0, 50.0), (1.0, 1.0))):
        effort = Effort(schedule, verify=True)
        codec = latentopt.wrap(model, "auto", False, scales=True, effort=effort)
        for ours, theirs in zip(cost_of(codec, x), cost_of(nearest, x)):
            assert ours <= theirs * (1 + 1e-5)


@pytest.mark.parametrize("family", ["bmshj2018-factorized", "mbt2018-mean", "mbt2018"])
def test_absurd_choices_are_replaced_by_the_nearest_points(family: str, precise: None) -> None:
    """All for the rate, nothing for the image. Of trained codecs, whose nearest points are good."""
    model, x = zoo.load(f"tiny-{family}", 2), photo(64, 96)
    arguments: dict[str, Any] = {"quant": "oct", "shift": False, "scales": True}
    if family == "mbt2018":  # as an effort does
        arguments["prepacked"] = True
    effort = replace(SHORT, strengths=(1e9,))
    nearest = latentopt.wrap(model, **arguments).compress(x)["strings"]
    verified = latentopt.wrap(model, **arguments, effort=effort).compress(x)["strings"]
    absurd = latentopt.wrap(model, **arguments, effort=replace(effort, verify=False))
    assert verified == nearest
    assert len(absurd.compress(x)["strings"][0][0]) < 0.8 * len(nearest[0][0])


@pytest.mark.parametrize("family", ["mbt2018-mean", "mbt2018"])
def test_of_several_strengths_the_best_is_kept(family: str, precise: None) -> None:
    model, x = tiny(FAMILIES[family]), photo(64, 96)
    costs = {}
    for strengths in ((0.05,), (0.3,), (3.0,), (0.05, 0.3, 3.0)):
        effort = replace(SHORT, strengths=strengths)
        codec = latentopt.wrap(model, "auto", False, scales=True, effort=effort)
        [costs[strengths]] = cost_of(codec, x)
        assert torch.equal(codec.decompress(**codec.compress(x))["x_hat"], codec(x)["x_hat"])
    several = costs.pop((0.05, 0.3, 3.0))
    assert several == pytest.approx(min(costs.values()), rel=1e-5)


def test_no_time_at_all_still_gives_a_stream(tiny_model: nn.Module) -> None:
    effort = replace(SHORT, seconds=0.0)
    codec = latentopt.wrap(tiny_model, preset="slow", effort=effort)
    x = photo(64, 96)
    assert torch.equal(codec.decompress(**codec.compress(x))["x_hat"], codec(x)["x_hat"])


def test_an_effort_without_steps_is_a_choice_by_rate_and_distortion(
    tiny_model: nn.Module,
) -> None:
    effort = Effort(
        Schedule(0, (1.0, 1.0), (1.0, 1.0)), strengths=(0.5,), draft=False, verify=False
    )
    x = photo(64, 96)
    for quant in ("int", "oct", "e8"):
        codec = latentopt.wrap(tiny_model, quant, False, effort=effort)
        out = codec.compress(x)
        assert torch.equal(codec.decompress(**out)["x_hat"], codec(x)["x_hat"])
        nearest = latentopt.wrap(tiny_model, quant, False).compress(x)
        assert byte_count(out) <= byte_count(nearest)


def test_probes_and_refits_are_extra_work_of_the_encoder_alone(tiny_model: nn.Module) -> None:
    effort = replace(SHORT, probes=2, refits=1, progress=False)
    codec = latentopt.wrap(tiny_model, preset="slow", effort=effort)
    x = photo(64, 64)
    decoder = latentopt.wrap(tiny_model, preset="slow")
    out = codec.compress(x)
    assert torch.equal(decoder.decompress(**out)["x_hat"], codec(x)["x_hat"])
    assert codec.compress(x)["strings"] == out["strings"]


def test_encoding_leaves_no_gradients_behind(tiny_mean: nn.Module) -> None:
    codec = latentopt.wrap(tiny_mean, preset="default")
    made = codec(photo(64, 64))["x_hat"]
    assert not made.requires_grad
    assert all(parameter.grad is None for parameter in codec.parameters())


def test_a_lambda_says_what_errors_cost(tiny_mean: nn.Module) -> None:
    x = photo(96, 96)
    sizes = []
    for lmbda in (1e-4, 1.0):
        codec = latentopt.wrap(tiny_mean, preset="slow", effort=SHORT, lmbda=lmbda)
        assert codec.trade == pytest.approx(lmbda * 255**2 / 3)
        sizes.append(byte_count(codec.compress(x)))
    assert sizes[0] < sizes[1]


def test_on_a_photograph_the_default_costs_less_than_the_nearest_points(kodak: list) -> None:
    """In bits plus what errors are worth to the codec."""
    path = next((p for p in kodak if p.name == "kodim05.png"), None)
    if path is None:
        pytest.skip("../shared/data/kodak/kodim05.png is absent")
    x = read_image(path)[..., 128:384, 256:512]
    model = zoo.load("tiny-mbt2018-mean", 2)
    costs = {}
    for name, arguments in (
        ("oct", {"quant": "oct", "shift": False}),
        ("fast", {"preset": "fast"}),
        ("default", {"preset": "default"}),
    ):
        codec = latentopt.wrap(model, **arguments)
        out = codec.compress(x)
        x_hat = codec.decompress(**out)["x_hat"]
        error = float((x_hat - x).square().sum(dtype=torch.float64))
        costs[name] = 8 * byte_count(out) + codec.trade * error
    assert costs["default"] < costs["fast"] < costs["oct"]
    assert costs["default"] < 0.97 * costs["oct"]


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_wraps_every_family(tiny_model: nn.Module, name: str) -> None:
    codec = latentopt.wrap(tiny_model, preset=name)
    adapter = codec.assembly.adapter
    factorized = isinstance(adapter.densities[0], FactorizedDensity)
    preset = get_preset(name).fitting(adapter.contextual, factorized)
    if factorized:  # there is no side latent
        preset = preset.but(adaptive=False)
    made = codec.settings
    assert (made.quant, made.direction, made.scales) == (
        preset.quant,
        preset.direction,
        preset.scales,
    )
    assert codec.recipe.but(lmbda=1.0) == preset.but(lmbda=1.0)


def test_arguments_win_over_the_preset(tiny_mean: nn.Module) -> None:
    codec = latentopt.wrap(
        tiny_mean, "hex", "grid", preset="slow", direction="sign", scales=False, effort=SHORT
    )
    made = codec.settings
    assert (made.quant, made.direction, made.scales) == ("hex", "sign", False)
    assert codec.recipe.effort is SHORT and type(codec.recipe.shift).__name__ == "Grid"
    assert latentopt.wrap(tiny_mean, preset="slow", shift=False).recipe.shift is None


def test_arguments_that_cannot_be_are_refused(tiny_mean: nn.Module) -> None:
    with pytest.raises(InputError, match=r"'turbo'.*paper, plain, fast, default, slow, best"):
        latentopt.wrap(tiny_mean, preset="turbo")
    for arguments in ({"preset": "fast"}, {"preset": "best"}, {"effort": SHORT}, {"scales": True}):
        with pytest.raises(InputError, match="pmf='paper' excludes"):
            latentopt.wrap(tiny_mean, pmf="paper", **arguments)
    assert latentopt.wrap(tiny_mean, preset="paper", pmf="paper").settings.pmf == "paper"


@pytest.mark.parametrize("bad", [float("nan"), 1e12])
@pytest.mark.parametrize("family", FAMILIES)
def test_broken_weights_are_noticed_whatever_the_effort(family: str, bad: float) -> None:
    model = tiny(FAMILIES[family])
    model.g_a[-1].bias.data[0] = bad
    for name in ("fast", "default"):
        with pytest.raises(InputError, match="NaN"):
            latentopt.wrap(model, **SPENDING[name]).compress(photo(64, 64))


# torch.inference_mode forbids gradients, which an effort needs.
def test_an_effort_works_in_inference_mode(tiny_mean: nn.Module) -> None:
    x = photo(64, 64)
    expected = latentopt.wrap(tiny_mean, preset="default").compress(x)["strings"]
    with torch.inference_mode():
        assert latentopt.wrap(tiny_mean, preset="default").compress(x)["strings"] == expected


# -- what arrives broken ---------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@given(main=st.binary(max_size=80), side=st.binary(max_size=40))
@settings(max_examples=40, deadline=None)
def test_random_strings_are_a_bitstream_error(family: str, main: bytes, side: bytes) -> None:
    codec = cached(family, "slow")
    assert codec.settings.scales and codec.settings.direction == "split"
    strings = [[main], [side]][: codec.string_count]
    try:
        x_hat = codec.decompress(strings, (64, 64))["x_hat"]
    except BitstreamError:
        return
    assert x_hat.shape == (1, 3, 64, 64)


_STRINGS: dict[str, list[bytes]] = {}


@pytest.mark.parametrize("family", FAMILIES)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_damaged_strings_are_a_bitstream_error(family: str, data: st.DataObject) -> None:
    """Cut off, or with a few bytes changed."""
    codec = cached(family, "slow")
    if family not in _STRINGS:
        _STRINGS[family] = [s[0] for s in codec.compress(photo(64, 64))["strings"]]
    strings = list(_STRINGS[family])
    which = data.draw(st.integers(0, len(strings) - 1))
    at = data.draw(st.integers(0, len(strings[which]) - 1))
    new = data.draw(st.none() | st.binary(min_size=1, max_size=6))
    rest = b"" if new is None else new + strings[which][at + len(new) :]
    strings[which] = strings[which][:at] + rest
    try:
        x_hat = codec.decompress([[s] for s in strings], (64, 64))["x_hat"]
    except BitstreamError:
        return
    assert x_hat.shape == (1, 3, 64, 64)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_truncation_of_the_main_string_is_noticed(family: str) -> None:
    codec = cached(family, "slow")
    main, *side = (s[0] for s in codec.compress(photo(64, 64))["strings"])
    lengths = np.unique(np.linspace(0, len(main) - 1, 40).astype(int))
    for length in lengths:
        with pytest.raises(BitstreamError):
            codec.decompress([[main[:length]], *[[s] for s in side]], (64, 64))
