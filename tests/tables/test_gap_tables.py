"""Tables of gaps and of fine-tuned decoders: what they compute, on small data."""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from compressai.models import MeanScaleHyperprior
from support.models import photo, tiny

from latentopt import zoo
from latentopt.media.images import write_png
from latentopt.quantizers import Noise, SoftRound, SoftStraightThrough, StraightThrough
from latentopt.training import fit_quantiles
from tables.common.places import MEASURED
from tables.figures.reports import report
from tables.gaps import gap_gains, gap_training
from tables.gaps.trained import course
from tables.latent_shift import finetuned
from tables.universal.codecs import train

X = photo(128, 192)


def test_curves_differ_in_what_stands_for_rounding_alone() -> None:
    curves = {name: train.Curve.named(name) for name in gap_training.CURVES}
    kinds = [type(curve.quantizer()) for curve in curves.values()]
    expected = [Noise, StraightThrough, SoftStraightThrough, SoftStraightThrough, SoftRound]
    assert kinds == expected
    same = [
        replace(c, alpha=(), expected=False, stand_in="noise", spectral=False)
        for c in curves.values()
    ]
    assert all(curve == same[0] for curve in same)
    assert [c.spectral for c in curves.values()] == [False, False, False, True, False]


def test_both_ways_of_rounding() -> None:
    model = tiny(MeanScaleHyperprior)
    with torch.no_grad():
        out = model(X)
        found = gap_training._evaluated(model, X)
    bits = sum(float(-p.log2().sum()) for p in out["likelihoods"].values())
    assert found["centred bpp"] == pytest.approx(bits / (128 * 192))
    assert found["plain bpp"] != found["centred bpp"]
    assert "quantize" not in vars(model.gaussian_conditional)


def test_coefficients_are_of_points_that_have_both() -> None:
    x = np.arange(6.0)
    found = pd.DataFrame({"meter": x, "gain": np.exp(-x)})
    found.loc[6] = [3.0, np.nan]
    value, ranks, count = gap_gains.coefficients(found, "meter", "gain")
    assert (ranks, count) == (pytest.approx(-1), 6)
    assert value == pytest.approx(np.corrcoef(x, np.exp(-x))[0, 1])
    assert np.isnan(gap_gains.coefficients(found.tail(3), "meter", "gain")[0])


def test_what_scales_save_is_in_bytes() -> None:
    model = tiny(MeanScaleHyperprior)
    found = gap_gains.prepare(model)(X)
    assert set(found) == set(gap_gains.PROBE.quantities)
    saved = (1 + found["scales"] / 100) * gap_gains._bytes(
        gap_gains.wrap_image(model, gap_gains.ROUNDING), X
    )
    assert saved == pytest.approx(round(saved), abs=1e-6)


def test_gaps_in_the_course_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "hyperprior-soft-ste-sn"
    short = replace(train.Curve.named(name), steps=2, warmup=1, crop=64, batch=1)
    monkeypatch.setattr(train.Curve, "named", lambda _: short)
    monkeypatch.setattr(train, "fit_quantiles", partial(fit_quantiles, steps=10))
    for i in range(8):
        write_png(tmp_path / f"{i}.png", photo(160, 160, seed=i))
    given = argparse.Namespace(data=tmp_path, runs=tmp_path, rows=tmp_path / "rows", checks=2)
    for point in (1, 2, 1):  # the last of which has nothing to do
        course.train(name, point, given)
    [file] = (tmp_path / "rows").rglob("*.csv")
    rows = pd.read_csv(file)
    assert list(rows["step"]) == [1, 2, 1, 2] and list(rows["point"]) == [1, 1, 2, 2]
    assert file.relative_to(tmp_path / "rows").parts[:2] == ("probes", "gaps-course")
    assert (rows["discrete_2"] > 0).all()
    codec = train.trained(name, 1, tmp_path)
    assert set(codec.state_dict()) == set(
        short.model(1).__class__.from_state_dict(codec.state_dict()).state_dict()
    )


@pytest.mark.parametrize("codec", finetuned.CODECS, ids=lambda codec: codec.codec)
def test_before_is_what_was_measured(codec: finetuned.Tuned) -> None:
    request = report("finetuned", "kodak").request
    found = finetuned.measured(codec, request)
    before = found["int, before"]
    names = [f"step {step:g}" for step in (2, 1.4, 1, 0.7)]
    expected = names if len(codec.steps) > 1 else ["q1", "q2", "q3", "q4"]
    assert list(before.index) == expected and request.committed == MEASURED
    gained = finetuned.gains(before, found["default, before"])
    assert ((gained > -40) & (gained < -10)).all()
    assert (finetuned.gains(before, before.iloc[1:3]) == 0).all()
    rows = {cell.row for cell in finetuned.EXPERIMENT.cells(request)}
    assert f"{codec.label}, default, before, BD-rate" in rows


def test_a_run_that_found_nothing_better_is_as_before_and_one_that_was_stopped_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuned, "RUNS", tmp_path)
    name = "tiny-bmshj2018-factorized"
    own = finetuned.Tuned(name, name)
    for quality, last in ((1, 600), (2, 400)):
        run = tmp_path / f"{name}-int-{quality}.safetensors.run"
        run.mkdir()
        (run / "begun.json").write_text('{"steps": 600}')
        (run / "state.csv").write_text(f"step,loss\n200,1\n{last},1\n")
    [point] = own.trained("int").points
    assert point.name == "q1"
    state = zoo.load(name, 1).state_dict()
    assert all(torch.equal(state[k], v) for k, v in point.load().state_dict().items())
