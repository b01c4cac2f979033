"""Checkpoints of every family, saved before and after `update()`, and without its tables."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from compressai.models import MeanScaleHyperprior
from compressai.models.vbr import MeanScaleHyperpriorVbr, ScaleHyperpriorVbr
from support import vbr
from support.models import photo, tiny, tiny_flow
from torch import Tensor, nn

from latentopt import WeightsError, zoo
from latentopt.adapters import at_rate
from latentopt.zoo import catalog
from latentopt.zoo.names import SAMPLED, URLS

X = photo(64, 64)
TABLES = ("_quantized_cdf", "_offset", "_cdf_length", "scale_table")
QUALITY = 5

MADE = {
    "ssf2020": [tiny_flow],
    "bmshj2018-hyperprior-vbr": [
        lambda: ScaleHyperpriorVbr(8, 12),
        lambda: ScaleHyperpriorVbr(8, 12, vr_entbttlnck=True),
    ],
    "mbt2018-mean-vbr": [
        lambda: MeanScaleHyperpriorVbr(8, 12),
        lambda: MeanScaleHyperpriorVbr(8, 12, vr_entbttlnck=True),
    ],
}
"""Where widths alone do not tell all."""


def small(codec: str) -> list[nn.Module]:
    """Models of a family, with random weights and without tables."""
    kind = zoo.architecture(codec)
    widths = [{"N": 8, "M": 12}[n] for n in ("N", "M") if n in inspect.signature(kind).parameters]
    torch.manual_seed(0)
    return [make().eval() for make in MADE.get(codec, [lambda: kind(*widths)])]


def without_tables(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if k.rpartition(".")[2] not in TABLES}


def written(model: Any) -> object:
    """What a codec writes; of clips, of two frames."""
    with torch.no_grad():
        if hasattr(model, "g_a"):
            return model.compress(X)["strings"]
        return model.compress([photo(128, 128)] * 2)


@pytest.mark.parametrize("codec", [name for name in URLS if name not in SAMPLED])
def test_a_codec_is_read_however_it_was_saved(codec: str, tmp_path: Path) -> None:
    for model in small(codec):
        before = dict(model.state_dict())
        model.update()
        after = dict(model.state_dict())
        expected = written(at_rate(model, QUALITY - 1) if catalog.is_variable(codec) else model)
        for i, state in enumerate((before, after, without_tables(after))):
            torch.save(state, tmp_path / f"{i}.pt")
            quality = QUALITY if catalog.is_variable(codec) else None
            loaded = zoo.load(codec, quality, weights=tmp_path / f"{i}.pt")
            assert written(loaded) == expected


def test_some_of_the_tables_are_not_enough(tmp_path: Path) -> None:
    state = dict(tiny(MeanScaleHyperprior).state_dict())
    del state["gaussian_conditional._offset"]
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match=r"lacks gaussian_conditional\._offset"):
        zoo.load("mbt2018-mean", weights=tmp_path / "x.pt")


def test_a_variable_rate_codec_can_be_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTOPT_HOME", str(tmp_path / "home"))
    model = vbr.lively("mbt2018-mean-vbr")
    torch.save(model.state_dict(), tmp_path / "x.pt")
    zoo.add("mine", tmp_path / "x.pt", "mbt2018-mean-vbr", QUALITY)
    assert written(zoo.load("mine", QUALITY)) == written(at_rate(model, QUALITY - 1))


def test_a_variable_rate_codec_keeps_its_scales() -> None:
    model: Any = MeanScaleHyperpriorVbr(8, 12, vr_entbttlnck=True)
    own = torch.tensor([0.2, 1.0, 5.0])
    model.update(own)
    fixed: Any = at_rate(model, 3)
    assert torch.equal(fixed.gaussian_conditional.scale_table, own)


def test_the_weights_of_a_variable_rate_codec_say_so(tmp_path: Path) -> None:
    torch.save(vbr.lively("mbt2018-mean-vbr").state_dict(), tmp_path / "x.pt")
    with pytest.raises(WeightsError, match="looks like mbt2018-mean-vbr"):
        zoo.load("mbt2018-mean", weights=tmp_path / "x.pt")


def test_tables_of_a_side_latent_that_would_never_end_are_refused(tmp_path: Path) -> None:
    state = dict(vbr.lively("mbt2018-mean-vbr").state_dict())
    state["entropy_bottleneck.quantiles"] = state["entropy_bottleneck.quantiles"] * 1e9
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match="span more than 65536 levels"):
        zoo.load("mbt2018-mean-vbr", QUALITY, weights=tmp_path / "x.pt")
