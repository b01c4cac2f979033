"""What a codec's state dict may be loaded into, and what is said where it may not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from compressai.models import MeanScaleHyperprior
from support.codec_families import VIDEO_CODECS
from support.models import FAMILIES, moving, photo, tiny
from torch import Tensor

import latentopt
from latentopt.errors import WeightsError

EXTRA = "_extra_state"


def never_updated() -> Any:
    """As one makes a model to load weights into: CompressAI's own tables are empty."""
    return MeanScaleHyperprior(8, 12).eval()


@pytest.mark.parametrize("words", [{"quant": "hex"}, {"preset": "default"}], ids=str)
def test_a_state_loads_into_a_new_codec(words: dict[str, Any], tmp_path: Path) -> None:
    model: Any = tiny(MeanScaleHyperprior)
    model.entropy_bottleneck.quantiles.data *= 2
    model.update(force=True)
    sender, x = latentopt.wrap(model, **words), photo(64, 64)
    torch.save(sender.state_dict(), tmp_path / "state.pt")
    sender.save(tmp_path / "x.lo", x)
    for fresh in (never_updated(), tiny(MeanScaleHyperprior, seed=3)):
        receiver = latentopt.wrap(fresh, **words)
        found = receiver.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        assert not found.missing_keys and not found.unexpected_keys
        assert torch.equal(receiver.load(tmp_path / "x.lo"), sender.load(tmp_path / "x.lo"))
        assert receiver.compress(x) == sender.compress(x)


@pytest.mark.parametrize("kind", VIDEO_CODECS)
def test_a_state_loads_into_a_new_video_codec(kind: str) -> None:
    sender, receiver, clip = VIDEO_CODECS[kind](1), VIDEO_CODECS[kind](2), moving(2, 64, 64)
    for part in receiver.parts.values():
        for module in part.model.modules():
            if "_quantized_cdf" in module._buffers:  # as in a model that was never updated
                module._quantized_cdf = torch.zeros(0, dtype=torch.int32)
    receiver.load_state_dict(sender.state_dict())
    assert receiver.compress(clip) == sender.compress(clip)


OTHERS: list[dict[str, Any]] = [
    {"quant": "oct"},
    {"quant": "hex", "pmf": "paper"},
    {"quant": "hex", "direction": "split"},
    {"quant": "hex", "scales": True},
    {"quant": "hex", "adaptive": True},
    {"quant": "hex", "postfilter": True},
    {"quant": "hex", "portable": False},
]


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_a_state_of_other_settings_is_refused(other: dict[str, Any]) -> None:
    """Before anything is loaded: the codec goes on as it was."""
    codec, x = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), "hex"), photo(64, 64)
    before = codec.compress(x)
    state = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"], seed=1), **other).state_dict()
    with pytest.raises(WeightsError, match=r"of a codec with .*: wrap it so"):
        codec.load_state_dict(state)
    assert codec.compress(x) == before
    assert codec.assembly.channels[0].tables.lattices[40].name == "hex"


def test_a_state_from_before_there_were_settings_in_it() -> None:
    hexagonal, octahedral = (
        latentopt.wrap(tiny(FAMILIES["mbt2018-mean"], seed=k), quant)
        for k, quant in enumerate(("hex", "oct"))
    )
    state, x = hexagonal.state_dict(), photo(64, 64)
    del state[EXTRA]["settings"]
    with pytest.raises(WeightsError, match="lattice hex, not oct"):
        octahedral.load_state_dict(state)
    assert octahedral.compress(x) == latentopt.wrap(octahedral.model, "oct").compress(x)
    receiver = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"], seed=2), "hex")
    receiver.load_state_dict(state)
    assert receiver.compress(x) == hexagonal.compress(x)


def test_a_state_from_before_priors_could_adapt() -> None:
    sender, x = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), "hex"), photo(64, 64)
    state = sender.state_dict()
    words = json.loads(bytes(state[EXTRA]["settings"].numpy()))
    assert words.pop("adaptive") is False
    known = torch.frombuffer(bytearray(json.dumps(words).encode()), dtype=torch.uint8)
    receiver = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"], seed=2), "hex")
    receiver.load_state_dict(extra(settings=known)(state))
    assert receiver.compress(x) == sender.compress(x)


def without(state: dict[str, Any], *names: str) -> dict[str, Any]:
    return {k: v for k, v in state.items() if k not in names}


def extra(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def odd(state: dict[str, Any]) -> dict[str, Any]:
        own = {**state[EXTRA], **changes}
        return {**state, EXTRA: {k: v for k, v in own.items() if v is not None}}

    return odd


def ints(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.int32)


ODD: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "of the model": (lambda s: without(s, EXTRA), "not of a wrapped codec"),
    "a tensor": (lambda s: {**s, EXTRA: torch.zeros(3)}, "does not hold the tables"),
    "None": (lambda s: {**s, EXTRA: None}, "not of a wrapped codec"),
    "one table": (extra(**{"1": None}), "does not hold the tables"),
    "a table of floats": (extra(**{"0": torch.zeros(5)}), "does not hold the tables"),
    "an empty table": (extra(**{"0": ints()}), "tables are not such"),
    "a table cut short": (extra(**{"0": ints(4, 4, 2, 3, 1)}), "tables are not such"),
    "offsets": (extra(offsets=ints(1, 2)), "offsets that are none"),
    "large offsets": (extra(offsets=ints(*[256] * 6)), "offsets that are none"),
    "settings": (extra(settings=torch.zeros(4, dtype=torch.uint8)), "settings that are none"),
    "no weights": (lambda s: without(s, "model.g_s.0.weight"), "has no model.g_s.0.weight"),
    "other weights": (
        lambda s: {**s, "model.g_s.0.weight": torch.zeros(3)},
        r"model.g_s.0.weight is \(3,\), not",
    ),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_states_are_refused_and_change_nothing(what: str) -> None:
    change, message = ODD[what]
    model, x = tiny(FAMILIES["mbt2018-mean"]), photo(64, 64)
    codec = latentopt.wrap(model, "hex")
    before = codec.compress(x)
    with pytest.raises(WeightsError, match=message):
        codec.load_state_dict(change(codec.state_dict()))
    assert codec.compress(x) == before


def test_a_state_without_tables_where_that_is_meant() -> None:
    codec = latentopt.wrap(tiny(FAMILIES["bmshj2018-factorized"]), "hex")
    other = latentopt.wrap(tiny(FAMILIES["bmshj2018-factorized"], seed=1), "hex")
    found = codec.load_state_dict(without(other.state_dict(), EXTRA), strict=False)
    assert found.missing_keys == [EXTRA]
    assert codec.identity == other.identity
