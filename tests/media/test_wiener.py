"""Wiener filters: the best of their kind, whole on their way, and refused where they are none."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.models import photo
from torch import Tensor

from latentopt import BitstreamError
from latentopt.media import wiener
from latentopt.media.wiener import CONSTANT, FINENESS, IDENTITY, PAIRS, SHAPES, Wiener, fit

X = photo(70, 96)
NOISY = (X + 0.05 * torch.randn(X.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
DEAR = 1e7  # bits that an error of 1 is worth


def error(a: Tensor, b: Tensor) -> float:
    return float((a - b).square().sum())


@st.composite
def filters(draw: st.DrawFn) -> Wiener:
    shape = draw(st.integers(0, len(SHAPES) - 1))
    count = len(SHAPES[shape])
    each = st.lists(st.integers(-500, 500), min_size=count, max_size=count)
    numbers = tuple(tuple(draw(each)) for _ in range(3))
    found = Wiener(shape, draw(st.integers(0, len(FINENESS) - 1)), numbers)
    return found if any(map(any, numbers)) else IDENTITY


@given(filters(), st.binary(max_size=5))
def test_what_is_sent_is_read(own: Wiener, rest: bytes) -> None:
    assert Wiener.read(own.to_bytes() + rest) == (own, rest)


@given(st.binary(max_size=80))
@settings(max_examples=300)
def test_garbage_is_refused_or_what_a_filter_is_written_as(data: bytes) -> None:
    try:
        found, rest = Wiener.read(data)
    except BitstreamError:
        return
    assert found.to_bytes() + rest == data
    assert torch.isfinite(found(X)).all()


def test_truncated_filters_are_refused() -> None:
    data = fit(NOISY, X, DEAR).to_bytes()
    assert len(data) > 20
    for size in range(len(data)):
        with pytest.raises(BitstreamError, match="filter"):
            Wiener.read(data[:size])


def test_numbers_larger_than_any_that_are_written_are_refused() -> None:
    """Among them those that no parameter of the code could say."""
    known, short, long = 8 * len(FINENESS) * len(SHAPES), b"\x7f" * 300, b"\xff" * 8 + b"\x7f" * 300
    for head in range(1, 256):
        for rest in (long,) if head <= known else (short, long):  # long: 64 ones
            with pytest.raises(BitstreamError, match="filter"):
                Wiener.read(bytes([head]) + rest)


def test_the_largest_number_is_read() -> None:
    largest = Wiener(1, 0, ((-4096, *[4095] * 15), (0,) * 16, (1,) * 16))  # 63 ones, and 7 bits
    assert Wiener.read(largest.to_bytes()) == (largest, b"")


def test_a_filter_adds_up_its_taps() -> None:
    """Of one colour that has one tap after the other."""
    grey = X.mean(dim=1, keepdim=True).expand(1, 3, -1, -1).contiguous() / 2 + 0.25
    around = torch.nn.functional.pad(grey, [2] * 4, mode="replicate")[0, 0]
    height, width = grey.shape[-2:]

    def moved(i: int, j: int) -> Tensor:
        return around[2 + i : 2 + i + height, 2 + j : 2 + j + width]

    pairs = [moved(i, j) + moved(-i, -j) - 2 * moved(0, 0) for i, j in PAIRS]
    constant = torch.full_like(moved(0, 0), CONSTANT) / np.sqrt(3)  # of brightness, in each colour
    for tap, expected in enumerate([*pairs, moved(0, 0) - 0.5]):
        found = Wiener(1, 2, (tuple(12 * (k == tap) for k in range(16)), (0,) * 16, (0,) * 16))
        wanted = (moved(0, 0) + 12 / 256 * expected).expand_as(grey)
        torch.testing.assert_close(found(grey), wanted, atol=1e-6, rtol=0)
    last = Wiener(1, 2, (tuple(12 * (k == 15) for k in range(16)), (0,) * 16, (0,) * 16))
    torch.testing.assert_close(last(grey), grey + 12 / 256 * constant, atol=1e-6, rtol=0)


def test_no_other_weights_are_better() -> None:
    """Least squares, found without any search."""
    found, unit = fit(NOISY, X, DEAR), np.zeros((3, TAPS := wiener.TAPS), int)
    least = error(found(NOISY), X)
    assert least < 0.9 * error(NOISY, X)
    for colour, tap in [(0, 0), (0, 12), (1, 5), (2, TAPS - 1)]:
        for sign in (-8, 8):
            unit[colour, tap] = sign
            numbers = np.array(found.numbers) @ SHAPES[found.shape].astype(int) + unit
            other = Wiener(1, found.fineness, tuple(tuple(map(int, row)) for row in numbers))
            assert error(other(NOISY), X) > least
            unit[colour, tap] = 0


def test_what_was_filtered_is_filtered_back() -> None:
    """A tint, which a few numbers undo."""
    tinted = (0.8 * X + torch.tensor([0.1, 0.05, 0.0])[:, None, None]).clamp(0, 1)
    assert error(fit(tinted, X, DEAR)(tinted), X) < 0.01 * error(tinted, X)


def test_a_filter_that_does_not_pay_is_not_sent() -> None:
    assert fit(X, X, DEAR) == IDENTITY
    assert fit(NOISY, X, 1e-3) == IDENTITY
    assert IDENTITY.to_bytes() == b"\0" and IDENTITY(X) is X
    dear, cheap = (fit(NOISY, X, trade) for trade in (DEAR, 30.0))
    assert len(cheap.to_bytes()) < len(dear.to_bytes())
    gained = 30.0 * (error(NOISY, X) - error(cheap(NOISY), X))
    assert gained > 8 * (len(cheap.to_bytes()) - 1) > 0


def test_a_filter_pays_for_all_of_its_bytes() -> None:
    """At prices about those from which on it pays."""
    sent = 0
    for trade in np.geomspace(7.0, 8.0, 30):
        found = fit(NOISY, X, trade)
        gained = trade * (error(NOISY, X) - error(found(NOISY), X))
        assert gained >= 8 * (len(found.to_bytes()) - 1)
        sent += found != IDENTITY
    assert 0 < sent < 30


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (64, 5), (65, 5)])
def test_any_size(size: tuple[int, int]) -> None:
    x, decoded = X[..., : size[0], : size[1]], NOISY[..., : size[0], : size[1]]
    found = fit(decoded, x, DEAR)
    assert found(decoded).shape == x.shape
    assert error(found(decoded), x) <= error(decoded, x)
    flat = torch.full_like(decoded, 0.3)
    assert error(fit(flat, x, DEAR)(flat), x) <= error(flat, x)


def test_wide_images_take_little_memory() -> None:
    """What is held at a time goes by pixels, not by rows."""
    x = X[..., :8, :64].repeat(1, 1, 1, 1024)
    tracemalloc.start()
    try:
        fit(0.9 * x, x, DEAR)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6  # 8 rows at once take 350 MB
