"""Tiles of transforms: together they are the whole, and what has no local parts is left alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.models import FAMILIES, photo, tiny
from torch import Tensor, nn

import latentopt
from latentopt.adapters import MeanScaleAdapter, Tiled, tiles
from latentopt.adapters.tiles import Tile, Tiling, tiling_of
from latentopt.encoder import Effort, Fit, Objective, Schedule, Secant, annealer, draft


def test_tiles_cover_each_element_once() -> None:
    covered = torch.zeros(2 * 7, 2 * 10)
    for tile in Tiling(3, 2, margin=2, side=4).tiles(3 * 7, 3 * 10):
        covered[tile.core] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_what_tiles_give_is_what_the_whole_gives(family: str) -> None:
    adapter = latentopt.wrap(tiny(FAMILIES[family])).assembly.adapter
    y_hat = adapter.analysis(photo(320, 448))
    for run, x, side in ((adapter.analysis, photo(320, 448), 640), (adapter.synthesis, y_hat, 40)):
        tiling = tiling_of(run, x, side)
        assert tiling is not None
        parts = replace(tiling, side=9).apply(run, x)
        torch.testing.assert_close(parts, run(x), atol=1e-5, rtol=1e-5)


class Pooled(nn.Module):
    """Each sample depends on all others."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=(2, 3), keepdim=True)


class Windowed(nn.Module):
    """Each sample depends on its window, which begins at a multiple of four."""

    def forward(self, x: Tensor) -> Tensor:
        windows = nn.functional.avg_pool2d(x, 4)
        return nn.functional.interpolate(windows, scale_factor=4)


@pytest.mark.parametrize("network", [Pooled(), Windowed()])
def test_what_is_not_local_is_not_cut(network: nn.Module) -> None:
    assert tiling_of(network, torch.rand(1, 2, 8, 8), 40) is None


def test_gradients_of_tiles_are_those_of_the_whole() -> None:
    kernel = torch.randn(3, 3, 3, 3, generator=torch.Generator().manual_seed(0)) / 30

    def synthesis(y: Tensor) -> Tensor:
        return nn.functional.conv2d(y, kernel, padding=1) + 0.5

    def cut(y: Tensor) -> list[Tile]:
        return list(Tiling(1, 1, margin=1, side=5).tiles(*y.shape[-2:]))

    x, y = torch.rand(1, 3, 15, 11), torch.rand(1, 3, 16, 12)
    whole = Objective(synthesis, x, 1.0, torch.ones(y.numel()))
    pull = replace(whole, tiles=cut).pull(y.flatten(), y.shape[1:])
    torch.testing.assert_close(pull, whole.pull(y.flatten(), y.shape[1:]), atol=1e-6, rtol=1e-5)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small images are large, and tiles smaller still."""
    for name, pixels in (("_LARGE", 1 << 14), ("_MANY", 1 << 6), ("_MANY_SIDE", 1 << 2)):
        monkeypatch.setattr(tiles, name, pixels)
    monkeypatch.setattr(tiles, "_SIDE_OF_SIDE", 2)
    for module in (draft, annealer):
        monkeypatch.setattr(module, "DRAFT_SIDE", 5)
    monkeypatch.setattr(tiles, "tiling_of", lambda *args: replace(tiling_of(*args), side=5))


@torch.no_grad()
def test_scales_of_a_large_image_are_those_of_the_whole(
    tiny_mean: nn.Module, small_tiles: None
) -> None:
    """To about 1e-14, as between machines: they select tables."""
    adapter = latentopt.wrap(tiny_mean).assembly.adapter
    assert isinstance(adapter, MeanScaleAdapter)
    side = torch.randn(1, 8, 5, 7, dtype=torch.float64).round()
    cut = Tiled(adapter).features(adapter._portable, side)
    assert adapter._kept["tiling of hyper-synthesis"].margin > 0
    whole = adapter._portable(side)
    half = whole.shape[1] // 2
    torch.testing.assert_close(cut[:, :half], whole[:, :half], atol=1e-13, rtol=1e-13)
    torch.testing.assert_close(cut, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "family, dtype",
    [("bmshj2018-factorized", torch.float16), ("mbt2018-mean", torch.bfloat16)],
)
def test_large_images_of_models_in_half_precision(
    family: str, dtype: torch.dtype, small_tiles: None
) -> None:
    codec = latentopt.wrap(tiny(FAMILIES[family]), preset="default").to(dtype)
    x = photo(130, 150).to(dtype)
    out = codec.compress(x)
    assert torch.equal(codec.decompress(out["strings"], out["shape"])["x_hat"], codec(x)["x_hat"])


@pytest.mark.parametrize(
    "words",
    [
        {"preset": "default"},
        {"preset": "slow", "effort": Effort(Schedule(3, (2.0, 0.3), (0.3, 0.1)))},
    ],
)
def test_a_large_image_is_decoded_as_it_was_encoded(
    tiny_mean: nn.Module, words: dict[str, Any], small_tiles: None
) -> None:
    codec = latentopt.wrap(tiny_mean, **words)
    x = photo(190, 250)
    assert Tiled(codec.assembly.adapter).tiling(torch.zeros(1, 12, 12, 16)) is not None
    out = codec.compress(x)
    decoded = codec.decompress(out["strings"], out["shape"])["x_hat"]
    assert torch.equal(decoded, codec(x)["x_hat"])


def fit_of_steps(family: str, x: Tensor) -> Fit:
    codec = latentopt.wrap(tiny(FAMILIES[family]), "int", shift=True, direction="split")
    latents = [coded.latent for coded in codec.encode(x)["y"]]
    [fit] = Secant().fits(codec.shift_problem(latents, x, "split"))
    return fit


@pytest.mark.parametrize("family", ["bmshj2018-factorized", "mbt2018-mean", "mbt2018"])
@torch.no_grad()
def test_steps_of_a_large_image_are_those_of_the_whole(
    family: str, request: pytest.FixtureRequest
) -> None:
    x = photo(190, 250)
    whole = fit_of_steps(family, x)
    request.getfixturevalue("small_tiles")
    cut = fit_of_steps(family, x)
    assert np.diag(whole.gram).any() and cut.energy == pytest.approx(whole.energy, rel=1e-5)
    for name in ("gram", "along"):
        one, other = getattr(cut, name), getattr(whole, name)
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


@pytest.mark.parametrize("family", ["mbt2018-mean", "mbt2018"])
def test_no_large_image_is_synthesized_at_once(family: str, small_tiles: None) -> None:
    effort = Effort(Schedule(1, (1.0, 1.0), (0.3, 0.3)), probes=1)
    codec = latentopt.wrap(tiny(FAMILIES[family]), preset="slow", effort=effort)
    tiling = Tiled(codec.assembly.adapter).tiling(torch.zeros(1, 12, 12, 16))
    planes = list[int]()
    codec.model.g_s.register_forward_pre_hook(
        lambda _, given: planes.append(given[0].shape[-2] * given[0].shape[-1])
    )
    codec.compress(x := photo(190, 250))  # finds what is known of the model once and for all
    planes.clear()
    out = codec.compress(x)
    codec.decompress(out["strings"], out["shape"])
    assert tiling and max(planes) <= (5 + 2 * tiling.margin) ** 2 < 12 * 16
