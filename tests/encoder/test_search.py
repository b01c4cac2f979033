"""Step searches on a synthesis that is linear, so that the best step is known."""

from dataclasses import replace

import pytest
import torch

from latentopt.adapters.tiles import Tiling
from latentopt.bitstream import NO_SHIFT, decode_step, encode_step
from latentopt.encoder import ShiftProblem, get_search, shifted
from latentopt.errors import InputError

PIXELS = 16


def synthesis(y: torch.Tensor) -> torch.Tensor:
    """Each latent element becomes a block of pixels."""
    return y[:, :3].repeat_interleave(PIXELS, 2).repeat_interleave(PIXELS, 3) * 0.1 + 0.5


def problem(step: float, height: int, batch: int = 2) -> ShiftProblem:
    """An image that ``step`` reproduces exactly; its height need not fill the last latent rows."""
    generator = torch.Generator().manual_seed(0)
    y_hat, direction = torch.randn(2, batch, 3, 16, 4, generator=generator)
    x = synthesis(y_hat + step * direction)[..., :height, :50]
    return ShiftProblem(synthesis, y_hat, direction[:, None], x, PIXELS)


@pytest.mark.parametrize("height", [256, 200, 129])
@pytest.mark.parametrize("step", [0.02, -0.05, 0.4])
def test_secant_finds_the_step(height: int, step: float) -> None:
    for [code] in get_search("secant").main(problem(step, height)):
        assert decode_step(code) == pytest.approx(step, rel=0.05)


@pytest.mark.parametrize("height", [256, 200])
def test_grid_finds_the_nearest_candidate(height: int) -> None:
    for [code] in get_search("grid").main(problem(0.04, height)):
        assert decode_step(code) == pytest.approx(0.04, rel=0.25)


@pytest.mark.parametrize("name", ["secant", "grid"])
def test_no_shift_where_none_helps(name: str) -> None:
    perfect = problem(0.0, 200)
    assert get_search(name).main(perfect) == [[0], [0]]
    still = ShiftProblem(
        synthesis, perfect.y_hat, torch.zeros_like(perfect.directions), perfect.x * 0.9, PIXELS
    )
    assert get_search(name).main(still) == [[0], [0]]


def several(steps: list[list[float]], height: int = 200) -> ShiftProblem:
    """The same with as many directions, each of which moves other elements, for each image."""
    generator = torch.Generator().manual_seed(1)
    batch, count = len(steps), len(steps[0])
    y_hat = torch.randn(batch, 3, 16, 4, generator=generator)
    part = torch.randint(0, count, y_hat.shape, generator=generator)
    sign = torch.randn(y_hat.shape, generator=generator).sign()
    directions = torch.stack([sign * (part == k) for k in range(count)], dim=1)
    x = synthesis(shifted(y_hat, directions, steps))[..., :height, :50]
    return ShiftProblem(synthesis, y_hat, directions, x, PIXELS)


def test_secant_solves_for_all_directions_at_once() -> None:
    steps = [[0.05, -0.1, 0.02], [-0.03, 0.04, 0.15]]
    for codes, wanted in zip(get_search("secant").main(several(steps)), steps):
        assert [decode_step(code) for code in codes] == pytest.approx(wanted, rel=0.05)


def test_secant_leaves_out_directions_that_do_not_help() -> None:
    problem_ = several([[0.05, 0.0, -0.1]])
    [codes] = get_search("secant").main(problem_)
    assert codes[1] == NO_SHIFT and NO_SHIFT not in (codes[0], codes[2])


@pytest.mark.parametrize("name", ["secant", "grid"])
def test_more_directions_never_cost_distortion(name: str) -> None:
    whole = several([[0.05, -0.04, 0.02], [0.0, 0.0, 0.0]])
    before = whole.distortion(whole.nothing)
    codes = get_search(name).main(whole)
    after = whole.distortion(codes)
    assert after[0] < before[0] and after[1] <= before[1]
    assert codes[1] == [NO_SHIFT] * 3


@pytest.mark.parametrize("name", ["secant", "grid"])
def test_a_direction_that_moves_nothing_is_left_alone(name: str) -> None:
    whole = several([[0.04, 0.04]])
    whole.directions[:, 1] = 0
    [codes] = get_search(name).main(whole)
    assert codes[0] != NO_SHIFT and codes[1] == NO_SHIFT


def test_equal_directions_share_the_step() -> None:
    """Their equations are singular; any solution will do that is finite and helps."""
    one = problem(0.05, 200)
    twice = replace(one, directions=one.directions.expand(-1, 2, -1, -1, -1))
    codes = get_search("secant").main(twice)
    before, after = (twice.distortion(c) for c in (twice.nothing, codes))
    assert all(a < b / 10 for a, b in zip(after, before))


def test_the_band_is_the_middle_of_the_same_image() -> None:
    code = encode_step(0.1)
    whole = problem(decode_step(code), 200)
    band = whole.band(0.8)
    assert band.y_hat.shape[-2] == 14 and band.x.shape[-2] == 200 - PIXELS
    torch.testing.assert_close(band.image([[code]] * 2), band.x)


@pytest.mark.parametrize("name", ["secant", "grid"])
def test_tiles_find_what_the_whole_finds(name: str) -> None:
    whole = several([[0.05, -0.04, 0.02], [-0.3, 0.1, 0.0]], height=241)
    tiles = replace(whole, tiles=lambda y: Tiling(1, PIXELS, margin=1, side=3).tiles(*y.shape[-2:]))
    assert len(list(tiles.tiles(whole.y_hat))) == 12
    codes = get_search(name).main(tiles)
    assert codes == get_search(name).main(whole)
    assert tiles.distortion(codes) == pytest.approx(whole.distortion(codes), rel=1e-6)


def test_unknown_search() -> None:
    with pytest.raises(InputError, match="secant, grid"):
        get_search("annealing")
