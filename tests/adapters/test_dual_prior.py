"""DCVC's intra codecs, on small models of the same structure: passes, steps, rates, recognition."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.dcvc_models import (
    MAIN,
    SIDE,
    BitEstimator,
    DualPrior,
    FourPart,
    SeveralEncoders,
    Unrefined,
    lively,
)
from support.fresh import elsewhere
from support.models import photo
from torch import Tensor, nn

import latentopt
from latentopt import BitstreamError, InputError, UnsupportedModelError
from latentopt.adapters import (
    Conditioned,
    DualPriorAdapter,
    EVCAdapter,
    FourPartAdapter,
    adapter_class,
    intra,
    with_step,
)
from latentopt.adapters.dcvc import bit_estimator_density
from latentopt.codec.synthesis import padded
from latentopt.encoder import Effort, Schedule
from latentopt.latents import Point
from latentopt.latents.lattice import LatticeChannel
from latentopt.lattices import RULES

FAMILIES: dict[str, type[nn.Module]] = {
    "dual": DualPrior,
    "four": FourPart,
    "evc": Unrefined,
    "scalable": SeveralEncoders,
}
X = photo(90, 150)
SHORT = Effort(Schedule(3, (2.0, 0.3), (0.3, 0.1)))


def byte_count(out: dict[str, Any]) -> int:
    return sum(len(string) for strings in out["strings"] for string in strings)


# -- what the passes compute, written from DCVC's formulas -----------------------------------------


def mask(kind: str, phase: int, height: int, width: int) -> Tensor:
    """1 at the positions of a phase: of a checkerboard, or of blocks of two by two."""
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    phases = 2 * (row % 2) + column % 2 if kind == "four" else (row + column) % 2
    return (phases == phase).double()


PHASES = {
    "dual": [(0, 1), (1, 0)],
    "four": [(0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2)],
}
"""Of each pass: which phase of each part of the channels it codes."""


def reference(kind: str, model: Any, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Decoded latent, its symbols and their scales (1, M, h, w), by rounding; all in float64."""
    z_hat = torch.round(model.hyper_enc(y))
    common = model.y_prior_fusion(model.hyper_dec(z_hat))
    q_step, scales, means = common.chunk(3, 1)
    q_step = torch.clamp_min(q_step, 0.5)
    order = PHASES.get(kind, PHASES["dual"])
    parts = len(order)
    normalized = y / q_step
    so_far, symbols, used = (torch.zeros_like(y) for _ in range(3))
    for k, phases in enumerate(order):
        if k and kind != "four":
            seen = torch.cat((so_far, means, scales, q_step), dim=1)
            s_0, m_0, s_1, m_1 = model.y_spatial_prior(seen).chunk(4, 1)
            scales, means = torch.cat((s_0, s_1), 1), torch.cat((m_0, m_1), 1)
        elif k:
            adaptor = getattr(model, f"y_spatial_prior_adaptor_{k}")
            seen = torch.cat((so_far, common), dim=1)
            scales, means = model.y_spatial_prior(adaptor(seen)).chunk(2, 1)
        own = torch.cat([
            mask(kind, phase, *y.shape[-2:]).expand(1, MAIN // parts, -1, -1) for phase in phases
        ], dim=1)  # fmt: skip
        points = torch.round((normalized - means) * own)
        symbols, used = symbols + points * own, used + scales * own
        so_far = so_far + (points + means) * own
    return so_far * q_step, symbols, used


@pytest.mark.parametrize("kind", FAMILIES)
def test_int_without_shift_is_the_codecs_own_quantization(kind: str) -> None:
    model = lively(FAMILIES[kind])
    codec = latentopt.wrap(model, "int", shift=False)
    adapter = codec.assembly.adapter
    y = adapter.analysis(padded(X, adapter.stride))
    [latent] = [coded.latent for coded in codec.encode(X)["y"]]
    with torch.no_grad():
        y_hat, symbols, _ = reference(kind, model.double(), y.double())
    # The hyper-analysis is float32 in the codec: a side latent may be rounded otherwise, not here.
    np.testing.assert_allclose(latent.hat, y_hat.flatten().numpy(), atol=1e-9)
    np.testing.assert_array_equal(latent.residual, symbols.flatten().numpy())
    assert len(np.unique(latent.prior.levels)) > 20
    assert latent.prior.steps is not None and latent.prior.steps.min() == 0.5 < 0.6
    assert latent.prior.steps.max() > 1.2


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_rate_is_that_of_the_codecs_own_scales(kind: str) -> None:
    """Levels are the nearest of 64: near the ideal, where symbols follow their scales."""
    model = lively(FAMILIES[kind])
    adapter = adapter_class(model)(model)
    rng = np.random.default_rng(0)
    [features] = [adapter.features(rng.integers(-3, 4, SIDE * 6 * 6).astype(float), (SIDE, 6, 6))]
    walk = Conditioned(adapter, features)
    values = np.zeros(int(np.prod(walk.shape)))
    ideal = 0.0

    def leaf(index: NDArray, scales: NDArray, means: NDArray, steps: NDArray) -> NDArray:
        nonlocal ideal
        wide = np.maximum(scales, 0.11)
        points = np.rint(wide * rng.standard_normal(len(index)))
        values[index] = means + steps * points
        normal = torch.distributions.Normal(0.0, torch.from_numpy(wide))
        p = normal.cdf(torch.from_numpy(points + 0.5)) - normal.cdf(torch.from_numpy(points - 0.5))
        ideal -= float(p.log2().sum())
        return values[index]

    adapter.visit(features, leaf)
    latent = LatticeChannel(adapter.main_density, RULES["int"]).send(walk, Point(values))
    np.testing.assert_array_equal(latent.hat, values)  # so that scales are those of the drawing
    bits = float(latent.bits().sum())
    assert 0.99 < bits / ideal < 1.008  # tails of the tables: 0.5 %; scales: 0.1 %


@pytest.mark.parametrize("kind", FAMILIES)
def test_passes_cover_each_element_once(kind: str) -> None:
    model = lively(FAMILIES[kind])
    adapter = adapter_class(model)(model)
    places = []

    def leaf(index: NDArray, scales: NDArray, means: NDArray, steps: NDArray) -> NDArray:
        places.append(index)
        return means

    features = adapter.features(np.zeros(SIDE * 2 * 3), (SIDE, 2, 3))
    adapter.visit(features, leaf)
    assert len(places) == adapter.passes
    np.testing.assert_array_equal(np.sort(np.concatenate(places)), np.arange(MAIN * 8 * 12))
    assert len({len(index) for index in places}) == 1


# -- whole codecs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("quant", RULES)
@pytest.mark.parametrize("kind", FAMILIES)
def test_round_trips(kind: str, quant: str) -> None:
    codec = latentopt.wrap(lively(FAMILIES[kind]), quant)
    x = photo(75, 130, batch=2)
    out = codec.compress(x)
    x_hat = codec.decompress(**out)["x_hat"]
    promised = codec(x)
    assert torch.equal(x_hat, promised["x_hat"])
    bits = sum(float(-p.double().log2().sum()) for p in promised["likelihoods"].values())
    assert abs(byte_count(out) * 8 - bits) < 0.002 * bits + 8 * 6 * 4


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "fast"},
        {"preset": "default"},
        {"preset": "slow", "effort": SHORT},
        {"preset": "paper"},
        {"quant": "hex", "shift": "grid", "direction": "split"},
        {"quant": "e8", "shift": True, "scales": True, "portable": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", FAMILIES)
def test_presets(kind: str, options: dict[str, Any]) -> None:
    codec = latentopt.wrap(lively(FAMILIES[kind]), **options)
    out = codec.compress(X)
    assert torch.equal(codec.decompress(**out)["x_hat"], codec(X)["x_hat"])
    fresh = latentopt.wrap(lively(FAMILIES[kind]), **options)
    assert torch.equal(fresh.decompress(**out)["x_hat"], codec(X)["x_hat"])


@pytest.mark.parametrize("kind", FAMILIES)
def test_searched_points_cost_less_than_the_nearest(kind: str) -> None:
    model = lively(FAMILIES[kind])
    costs = []
    for options in ({"quant": "int", "shift": False, "scales": True}, {"preset": "default"}):
        codec = latentopt.wrap(model, **options)
        out = codec(X)
        bits = -float(out["likelihoods"]["y"].double().log2().sum())
        error = float((out["x_hat"] - X).square().sum(dtype=torch.float64))
        costs.append(bits + codec.trade * error)
    assert costs[1] < 0.97 * costs[0]


@pytest.mark.parametrize("kind", FAMILIES)
def test_batch_and_draft_agree_with_one_image(kind: str) -> None:
    """The walk of a batch is that of each image."""
    codec = latentopt.wrap(lively(FAMILIES[kind]), "oct", shift=False)
    x = photo(64, 128, batch=2)
    both = codec.compress(x)["strings"]
    for i in range(2):
        alone = codec.compress(x[i : i + 1])["strings"]
        assert [strings[i] for strings in both] == [string for [string] in alone]


def decode_all(folder: Path) -> None:
    torch.set_num_threads(2)
    for kind, family in FAMILIES.items():
        codec = latentopt.wrap(lively(family), "e8", shift=False)
        torch.save(codec.load(folder / f"{kind}.lo"), folder / f"{kind}.pt")


def test_files_decode_in_a_fresh_process(tmp_path: Path) -> None:
    """Which shares nothing with this one but the code."""
    paths = {}
    for kind, family in FAMILIES.items():
        codec = latentopt.wrap(lively(family), "e8")
        codec.save(tmp_path / f"{kind}.lo", X)
        paths[kind] = codec.load(tmp_path / f"{kind}.lo")
    elsewhere(decode_all, tmp_path)
    for kind, expected in paths.items():
        found = torch.load(tmp_path / f"{kind}.pt", weights_only=True)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_latent_of_several_encoders_is_their_mean() -> None:
    model = lively(SeveralEncoders)
    adapter = adapter_class(model)(model)
    x = photo(64, 128)
    for last, count in ((None, 3), (0, 1), (1, 2)):
        model.forward_enc_id = last
        expected = sum(encoder(x) for encoder in model.encs[:count]) / count
        scale = model.q_basic.clamp(min=0.5) * model.q_scale[0]
        torch.testing.assert_close(adapter.analysis(x), expected / scale)


# -- rates -----------------------------------------------------------------------------------------


def test_q_scale_sets_the_rate_of_the_dual_prior() -> None:
    model = lively(DualPrior)
    sizes = [
        byte_count(latentopt.wrap(model, "int", shift=False, adapter=intra(q_scale=q)).compress(X))
        for q in (0.7, 1.5, 4.0)
    ]
    assert sizes[0] > sizes[1] > sizes[2]
    first = latentopt.wrap(model, "int", shift=False).compress(X)
    assert byte_count(first) == sizes[1]  # the checkpoint's first
    by_index = latentopt.wrap(model, "int", shift=False, adapter=intra(q_index=2))
    assert byte_count(by_index.compress(X)) == sizes[0]


def test_q_scales_of_four_parts_come_in_pairs() -> None:
    model = lively(FourPart)
    first, second, given = (
        latentopt.wrap(model, "int", shift=False, adapter=adapter)
        for adapter in (intra(), intra(q_index=1), intra(q_scale=(0.7, 0.7)))
    )
    assert given.compress(X)["strings"] == second.compress(X)["strings"]
    assert first.compress(X)["strings"] != second.compress(X)["strings"]
    with pytest.raises(InputError, match="of the encoder, of the decoder"):
        latentopt.wrap(model, adapter=intra(q_scale=1.0))


@pytest.mark.parametrize(
    ("kind", "other"), [("dual", {"q_scale": 1.2}), ("four", {"q_scale": (1.5, 1.2)})]
)
def test_a_decoder_at_another_rate_refuses(
    kind: str, other: dict[str, Any], tmp_path: Path
) -> None:
    model = lively(FAMILIES[kind])
    latentopt.wrap(model, "int", shift=False).save(tmp_path / "x.lo", X)
    with pytest.raises(BitstreamError, match="weights hash"):
        latentopt.wrap(model, "int", adapter=intra(**other)).load(tmp_path / "x.lo")
    same = intra(q_index=0)
    assert latentopt.wrap(model, "int", adapter=same).load(tmp_path / "x.lo").shape == X.shape


def test_rates_that_do_not_exist_are_refused() -> None:
    model = lively(DualPrior)
    for arguments, message in (
        ({"q_index": 3}, "3 scales"),
        ({"q_index": -1}, "3 scales"),
        ({"q_scale": 0.0}, "positive"),
        ({"q_scale": (1.0, 1.0)}, "one positive"),
        ({"q_scale": 1.0, "q_index": 1}, "not both"),
    ):
        with pytest.raises(InputError, match=message):
            latentopt.wrap(model, adapter=intra(**arguments))
    with pytest.raises(InputError, match="no intra codec"):
        latentopt.wrap(nn.Conv2d(3, 3, 1), adapter=intra())


# -- recognition -----------------------------------------------------------------------------------


def test_classes_are_known_by_their_structure() -> None:
    assert adapter_class(lively(DualPrior)) is DualPriorAdapter
    assert adapter_class(lively(FourPart)) is FourPartAdapter
    for family in (Unrefined, SeveralEncoders):
        assert adapter_class(lively(family)) is EVCAdapter
    for missing in ("q_scale", "y_spatial_prior", "bit_estimator_z"):
        model = lively(DualPrior)
        delattr(model, missing)
        with pytest.raises(UnsupportedModelError):
            adapter_class(model)


def test_it_has_no_other_step() -> None:
    model = lively(DualPrior)
    assert with_step(model, 1.0) is model
    with pytest.raises(UnsupportedModelError, match="DualPrior"):
        with_step(model, 2.0)


def test_new_weights_are_picked_up() -> None:
    model, other = lively(DualPrior), lively(DualPrior, seed=1)
    codec = latentopt.wrap(model, "hex")
    codec.compress(X)
    codec.load_state_dict(latentopt.wrap(other, "hex").state_dict())
    expected = latentopt.wrap(other, "hex").compress(X)["strings"]
    assert codec.compress(X)["strings"] == expected


def test_bit_estimators_are_bottlenecks_one_unit_wide() -> None:
    torch.manual_seed(0)
    estimator = BitEstimator(5)
    for parameter in estimator.parameters():
        nn.init.normal_(parameter, 0, 0.5)
    density = bit_estimator_density(estimator)
    t = np.linspace(-30, 30, 121)
    with torch.no_grad():
        expected = estimator.double()(torch.from_numpy(t)[None, None, None].expand(1, 5, 1, -1))
    for level in range(5):
        np.testing.assert_allclose(density.cdf(level, t), expected[0, level, 0], atol=1e-12)
    np.testing.assert_array_equal(density.medians, 0)
