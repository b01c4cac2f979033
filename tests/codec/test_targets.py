"""Targets: what is met, by what, and that a file is what its setting says."""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from compressai.models import MeanScaleHyperprior
from support.models import photo, tiny
from support.trees import lively
from torch import nn
from torch.nn.functional import avg_pool2d

from latentopt import wrap, zoo
from latentopt.adapters import MeanScaleAdapter, has_steps, with_step
from latentopt.codec.climb import Outcome
from latentopt.codec.dial import LambdaDial, Range, best_dial, lambda_dial
from latentopt.codec.image import Codec
from latentopt.codec.ladder import Ladder
from latentopt.codec.recipe import Recipe, get_preset
from latentopt.codec.rung import Rung, encode_image
from latentopt.codec.seek import MAX_ENCODES, Seek, Trial, next_position
from latentopt.codec.target import Bpp, MatchBytes, MatchPsnr, MaxBytes, Psnr, Target, Window
from latentopt.codec.wrap import wrap_image
from latentopt.errors import InputError, RateRangeError
from latentopt.media.images import to_uint8
from latentopt.media.quality import psnr_db

CODEC = "tiny-mbt2018-mean"
FAST, DEFAULT = get_preset("fast"), get_preset("default")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    """Less noisy than :func:`photo`, or hardly any rate would pay."""
    return avg_pool2d(photo(640, 896), 4)


@pytest.fixture(scope="module")
def ladder() -> Ladder:
    return Ladder(zoo.models(CODEC), FAST)


@pytest.fixture(scope="module")
def met(ladder: Ladder, x: torch.Tensor) -> Outcome:
    return ladder.encode(x, Bpp(0.6))


def of(model: nn.Module, recipe: Recipe = FAST) -> Ladder:
    return Ladder({None: lambda: model}, recipe)


def decoded_psnr_db(outcome: Outcome, x: torch.Tensor) -> float:
    """What comes out of the file's bytes, and nothing else."""
    x_hat = outcome.file.codec.load_bytes(outcome.file.data)
    return psnr_db(to_uint8(x), to_uint8(x_hat))


def test_a_rate_is_met_from_below(met: Outcome) -> None:
    most = 0.6 * 160 * 224 / 8
    assert 0.99 * most <= len(met.file.data) <= most
    assert met.file.bpp == len(met.file.data) * 8 / (160 * 224)
    assert met.encodes <= MAX_ENCODES and met.plain is None


def test_a_larger_target_takes_a_higher_quality(
    ladder: Ladder, met: Outcome, x: torch.Tensor
) -> None:
    more = ladder.encode(x, Bpp(1.1))
    assert met.quality is not None and more.quality is not None
    assert met.quality < more.quality and met.file.psnr_db < more.file.psnr_db


def test_a_psnr_is_met_from_above(ladder: Ladder, x: torch.Tensor) -> None:
    outcome = ladder.encode(x, Psnr(27.5))  # about 27 it jumps by 0.1 from one step to the next
    assert 27.5 <= decoded_psnr_db(outcome, x) <= 27.55
    assert decoded_psnr_db(outcome, x) == outcome.file.psnr_db


def test_plain_rounding_is_matched_in_psnr(x: torch.Tensor) -> None:
    """Without a filter, which is worth two dB of this blurred picture."""
    ladder = Ladder(zoo.models(CODEC), FAST.but(postfilter=False))
    outcome = ladder.encode(x, MatchPsnr(), quality=2)
    assert outcome.quality == 2 and outcome.plain is not None
    plain = wrap(zoo.load(CODEC, 2), "int", shift=False)(x)["x_hat"]
    assert outcome.plain.psnr_db == psnr_db(to_uint8(x), to_uint8(plain))
    assert -0.01 <= outcome.file.psnr_db - outcome.plain.psnr_db <= 0.04
    assert len(outcome.file.data) < len(outcome.plain.data)


def test_plain_rounding_is_beaten_where_it_is_not_matched(ladder: Ladder, x: torch.Tensor) -> None:
    """By the filter, as far below the codec's lambda as a search is coarse."""
    outcome = ladder.encode(x, MatchPsnr(), quality=2)
    assert outcome.plain is not None and outcome.file is not outcome.plain
    assert -0.01 <= outcome.file.psnr_db - outcome.plain.psnr_db <= 0.19
    assert len(outcome.file.data) < 0.6 * len(outcome.plain.data)


def test_plain_rounding_is_matched_in_bytes(ladder: Ladder, x: torch.Tensor) -> None:
    outcome = ladder.encode(x, MatchBytes(), quality=3)
    assert outcome.quality == 3 and outcome.plain is not None
    most = len(outcome.plain.data)
    assert most - max(0.01 * most, 8) <= len(outcome.file.data) <= most
    assert outcome.file.psnr_db > outcome.plain.psnr_db


@pytest.mark.parametrize(
    ("codec", "recipe"),
    [
        ("tiny-bmshj2018-factorized", DEFAULT.but(quant="int")),  # each step has its own tables
        ("tiny-mbt2018", FAST),  # which does not search where there is a context
    ],
)
def test_every_family_meets_it_by_its_step(codec: str, recipe: Recipe, x: torch.Tensor) -> None:
    model = zoo.load(codec, 2)
    most = 0.8 * len(encode_image(wrap_image(model, recipe), x).data)
    outcome = of(model, recipe).encode(x, MaxBytes(most))
    assert 0.99 * most - 8 <= len(outcome.file.data) <= most
    assert outcome.quality is None and outcome.step > 1
    assert decoded_psnr_db(outcome, x) == outcome.file.psnr_db


def test_the_outcome_says_what_repeats_it(met: Outcome, x: torch.Tensor, tmp_path: Path) -> None:
    assert met.quality is not None
    codec = wrap(with_step(zoo.load(CODEC, met.quality), met.step), preset="fast")
    codec.save(tmp_path / "again.lo", x)
    assert (tmp_path / "again.lo").read_bytes() == met.file.data
    assert codec.lmbda == met.lmbda


def test_a_lambda_of_ones_own_goes_along_with_the_step(x: torch.Tensor) -> None:
    model, recipe = zoo.load(CODEC, 3), FAST.but(lmbda=0.005)
    own = encode_image(wrap_image(model, recipe), x)
    outcome = of(model, recipe).encode(x, MaxBytes(0.8 * len(own.data)))
    assert own.codec.lmbda == 0.005 and outcome.step > 1
    assert outcome.lmbda == 0.005 / outcome.step**2


def test_lambda_alone_where_the_step_must_stay(x: torch.Tensor, tmp_path: Path) -> None:
    """Its files decode with the codec as it is."""
    model = zoo.load(CODEC, 3)
    ladder = Ladder({3: lambda: model}, DEFAULT.but(postfilter=False), dial=lambda_dial)
    outcome = ladder.encode(x, MatchPsnr())
    codec = wrap(model, preset="default", postfilter=False)
    assert outcome.plain is not None and outcome.step == 1 and outcome.lmbda < codec.lmbda
    assert len(outcome.file.data) < len(outcome.plain.data)
    assert -0.01 <= outcome.file.psnr_db - outcome.plain.psnr_db <= 0.04
    assert torch.equal(
        codec.load_bytes(outcome.file.data), outcome.file.codec.load_bytes(outcome.file.data)
    )
    codec.with_lmbda(outcome.lmbda).save(tmp_path / "again.lo", x)
    assert (tmp_path / "again.lo").read_bytes() == outcome.file.data
    with pytest.raises(InputError, match="lmbda 0: it must be a positive number"):
        codec.with_lmbda(0)


def test_a_codec_without_a_step_has_lambda_or_one_rate(x: torch.Tensor) -> None:
    model = lively("raster scan")
    assert not has_steps(model) and has_steps(tiny(MeanScaleHyperprior))
    dials = [best_dial(model, wrap_image(model, recipe), recipe) for recipe in (DEFAULT, FAST)]
    assert [isinstance(dial, LambdaDial) for dial in dials] == [True, True]
    assert dials[0].reach.low < 0 < dials[0].reach.high and dials[1].reach == Range(0.0, 0.0)
    with pytest.raises(RateRangeError, match=r"100 bytes: too little for this image: the codec"):
        of(model, FAST).encode(x, MaxBytes(100))


def test_an_adapter_of_ones_own_moves_lambda(x: torch.Tensor) -> None:
    model = zoo.load(CODEC, 2)
    ladder = Ladder({2: lambda: model}, DEFAULT, adapter=MeanScaleAdapter)
    most = 0.93 * len(encode_image(wrap_image(model, DEFAULT), x).data)
    outcome = ladder.encode(x, MaxBytes(most))
    assert outcome.step == 1 and 0.99 * most <= len(outcome.file.data) <= most


def test_what_moves_in_jumps_is_refused(x: torch.Tensor) -> None:
    """At no position does this dial give anything between two sizes."""
    model = zoo.load(CODEC, 2)
    own = encode_image(wrap_image(model, DEFAULT), x)

    class Jumps:
        reach, best = Range(-1.0, 1.0), Range(-1.0, 1.0)

        def snap(self, position: float) -> float:
            return position

        def step(self, position: float) -> float:
            return 1.0

        def codec(self, position: float) -> Codec:
            return own.codec if position < 0.1 else own.codec.with_lmbda(1.0)

    ladder = Ladder({2: lambda: model}, DEFAULT, dial=lambda *_: Jumps())
    told: list[str] = []
    with pytest.raises(RateRangeError, match="and nothing between was found") as refused:
        ladder.encode(x, MaxBytes(1.03 * len(own.data)), tell=told.append)
    assert len(told) == MAX_ENCODES
    assert told[0] == f"quality 2: {len(own.data):,} bytes" and told[0][-8:] in str(refused.value)


def test_what_a_codec_cannot_reach(ladder: Ladder, x: torch.Tensor) -> None:
    with pytest.raises(RateRangeError) as refused:
        ladder.encode(x, MaxBytes(1_000_000))
    reason = r"1,000,000 bytes: too much .*: quality 4 at step 0\.5 gives [\d,]+ bytes at most"
    assert re.fullmatch(reason, str(refused.value))
    with pytest.raises(
        RateRangeError, match=r"too little .* quality 1 at step 2 gives [\d,]+ bytes"
    ):
        ladder.encode(x, MaxBytes(60))
    with pytest.raises(RateRangeError, match=r"80\.00 dB: too much for this image: quality 4"):
        ladder.encode(x, Psnr(80.0))


@pytest.mark.parametrize("kind", [MaxBytes, Bpp, Psnr])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf])
def test_no_such_target(kind: Callable[[float], Target], value: float) -> None:
    with pytest.raises(InputError, match="must be a positive number, not"):
        kind(value)


class Bent:
    """A dial whose value is a function of the position, and a codec that is the value."""

    reach, best = Range(-1.8, 0.9), Range(-0.45, 0.25)

    def __init__(self, value: Callable[[float], float]):
        self._value = value

    def snap(self, position: float) -> float:
        return position

    def step(self, position: float) -> float:
        return 1.0

    def codec(self, position: float) -> Any:
        return self._value(position)


def sought(value: Callable[[float], float], window: Window, qualities: int) -> tuple[Trial, int]:
    """What is found on as many dials as there are qualities, an octave of 0.6 apart."""

    def rung(index: int) -> Any:
        nothing: Any = None
        return Rung(index, nothing, nothing, Bent(lambda p: value(p + 0.6 * index)))

    seek = Seek(rung, range(qualities), window, encode=cast(Any, float), tell=lambda said: None)
    return seek(qualities // 2), seek.encodes


def windowed(aim: float) -> Window:
    return Window(cast(Any, float), aim - 0.007, aim + 0.007, slope=1.0, cap=True, text=str)


@pytest.mark.parametrize("power", [0.6, 1.0, 3.0])
@pytest.mark.parametrize("aim", [0.2, 0.9, 1.3, 2.5])
def test_curves_of_any_bend_are_met_within_eight_encodes(power: float, aim: float) -> None:
    def value(position: float) -> float:
        return 3.0 * (max(position + 1.8, 0) / 4.5) ** power

    trial, encodes = sought(value, windowed(aim), 4)
    assert abs(trial.value - aim) <= 0.007 and encodes <= MAX_ENCODES


def test_what_is_out_of_reach_is_refused_after_three_encodes() -> None:
    tried: list[float] = []

    def value(position: float) -> float:
        tried.append(position)
        return position

    for aim, end in ((9.0, 0.9 + 3 * 0.6), (-9.0, -1.8)):
        tried.clear()
        with pytest.raises(RateRangeError, match="for this image"):
            sought(value, windowed(aim), 4)
        assert len(tried) <= 3 and tried[-1] == pytest.approx(end)


def test_what_a_ladder_refuses(ladder: Ladder, x: torch.Tensor) -> None:
    with pytest.raises(InputError, match=r"one image \(1, 3, H, W\), not \(2, 3, 160, 224\)"):
        ladder.encode(x.expand(2, -1, -1, -1), Bpp(0.5))
    with pytest.raises(InputError, match="quality 9: this codec has 1, 2, 3, 4"):
        ladder.encode(x, Bpp(0.5), quality=9)
    with pytest.raises(InputError, match="of one quality at least"):
        Ladder({})


@pytest.mark.parametrize("bend", [0.0, 0.3, -0.3])
def test_a_secant_finds_what_is_nearly_straight(bend: float) -> None:
    def value(position: float) -> float:
        return 10 + 1.3 * position + bend * position**2

    points, aim = [(0.0, value(0.0))], value(-0.4)
    for _ in range(4):
        position = next_position(points, aim, slope=1.0)
        points.append((position, value(position)))
    assert points[-1][0] == pytest.approx(-0.4, abs=0.005)


def test_a_slope_that_is_absurd_is_not_believed() -> None:
    flat = [(0.0, 10.0), (0.1, 10.0001)]
    assert abs(next_position(flat, aim=11.0, slope=1.0)) <= 2.6
