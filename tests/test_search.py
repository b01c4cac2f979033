"""Step searches on a synthesis that is linear, so that the best step is known."""

import pytest
import torch

from latentopt.coding import decode_step
from latentopt.encoder import ShiftProblem, get_search
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
    return ShiftProblem(synthesis, y_hat, direction, x, PIXELS)


@pytest.mark.parametrize("height", [256, 200, 129])
@pytest.mark.parametrize("step", [0.02, -0.05, 0.4])
def test_secant_finds_the_step(height: int, step: float) -> None:
    for code in get_search("secant").main(problem(step, height)):
        assert decode_step(code) == pytest.approx(step, rel=0.05)


@pytest.mark.parametrize("height", [256, 200])
def test_grid_finds_the_nearest_candidate(height: int) -> None:
    for code in get_search("grid").main(problem(0.04, height)):
        assert decode_step(code) == pytest.approx(0.04, rel=0.25)


@pytest.mark.parametrize("name", ["secant", "grid"])
def test_no_shift_where_none_helps(name: str) -> None:
    perfect = problem(0.0, 200)
    assert get_search(name).main(perfect) == [0, 0]
    still = ShiftProblem(
        synthesis, perfect.y_hat, torch.zeros_like(perfect.y_hat), perfect.x * 0.9, PIXELS
    )
    assert get_search(name).main(still) == [0, 0]


def test_the_band_is_the_middle_of_the_same_image() -> None:
    whole = problem(0.1, 200)
    band = whole.band(0.8)
    assert band.y_hat.shape[-2] == 14 and band.x.shape[-2] == 200 - PIXELS
    torch.testing.assert_close(band.image([0.1, 0.1]), band.x)


def test_unknown_search() -> None:
    with pytest.raises(InputError, match="secant, grid"):
        get_search("annealing")
