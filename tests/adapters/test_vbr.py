"""CompressAI's variable-rate models: each gain is a codec of its own."""

from pathlib import Path
from typing import Any

import pytest
import torch
from compressai.models.vbr import MeanScaleHyperpriorVbr
from support import vbr
from support.models import photo
from torch import nn

import latentopt
from latentopt import InputError, UnsupportedModelError, zoo
from latentopt.adapters import at_rate, with_step

X = photo(64, 128)


def size(out: dict[str, Any]) -> int:
    return sum(len(string) for strings in out["strings"] for string in strings)


@pytest.mark.parametrize("gain", [0.4, 1.7])
@pytest.mark.parametrize("name", vbr.MODELS)
def test_int_without_shift_is_the_model_without_its_offsets(name: str, gain: float) -> None:
    model: Any = at_rate(vbr.lively(name), gain=gain)
    model.model.no_quantoffset = True
    with torch.no_grad():
        theirs = model.compress(X)
        x_hat = model.decompress(theirs["strings"], theirs["shape"])["x_hat"].clamp(0, 1)
    codec = latentopt.wrap(model, "int", shift=False)
    ours = codec.compress(X)
    decoded = codec.decompress(ours["strings"], ours["shape"])["x_hat"]
    torch.testing.assert_close(decoded, x_hat, atol=1e-4, rtol=0)
    assert size(ours) <= size(theirs) * 1.15 + 8  # random weights: nothing is Gaussian


@pytest.mark.parametrize("name", vbr.MODELS)
def test_a_higher_rate_costs_more_and_is_nearer(name: str) -> None:
    model = vbr.lively(name)
    coded = [latentopt.wrap(at_rate(model, index), "oct") for index in (3, 7)]
    low, high = (size(codec.compress(X)) for codec in coded)
    assert low < high


def test_each_rate_has_an_identity_of_its_own() -> None:
    model = vbr.lively("mbt2018-mean-vbr")
    hashes = {latentopt.wrap(at_rate(model, i)).assembly.identity for i in (0, 1)}
    assert len(hashes) == 2


def test_a_step_is_a_gain() -> None:
    model = at_rate(vbr.lively("mbt2018-mean-vbr"), 7)
    assert float(with_step(model, 2.0).gain) == 0.5 and float(model.gain) == 1


def test_rates_that_there_are_not() -> None:
    model = vbr.lively("mbt2018-mean-vbr")
    with pytest.raises(UnsupportedModelError, match="at_rate"):
        latentopt.wrap(model)
    with pytest.raises(InputError, match="rates are 0 to 7"):
        at_rate(model, 8)
    with pytest.raises(InputError, match="give one of them"):
        at_rate(model)
    with pytest.raises(InputError, match="positive"):
        at_rate(model, gain=0.0)
    with pytest.raises(UnsupportedModelError, match="no gains"):
        at_rate(nn.Identity(), 1)


def test_the_zoo_loads_a_rate_by_its_quality(tmp_path: Path) -> None:
    assert zoo.qualities("mbt2018-mean-vbr") == tuple(range(1, 9))
    model = MeanScaleHyperpriorVbr(8, 12, vr_entbttlnck=True)
    torch.save(model.state_dict(), tmp_path / "x.pt")
    loaded: Any = zoo.load("mbt2018-mean-vbr", 8, weights=tmp_path / "x.pt")
    assert float(loaded.gain) == 1 and loaded.lmbda == 0.18
    with pytest.raises(InputError, match="quality 9"):
        zoo.load("mbt2018-mean-vbr", 9, weights=tmp_path / "x.pt")
    with pytest.raises(InputError, match="give a quality"):
        zoo.load("mbt2018-mean-vbr", weights=tmp_path / "x.pt")
