"""Offline calibration: reconstruction offsets that cost no bits."""

from pathlib import Path

import pytest
import torch
from support.models import FAMILIES, photo, tiny
from torch import Tensor

import latentopt
from latentopt.errors import BitstreamError, InputError


def error(codec: latentopt.Codec, x: Tensor) -> float:
    return float((codec(x)["x_hat"] - x).square().mean())


@pytest.mark.parametrize("family", FAMILIES)
def test_offsets_lower_the_error_of_the_images_at_the_same_bytes(family: str) -> None:
    codec, x = latentopt.wrap(tiny(FAMILIES[family]), "auto", False), photo(96, 128)
    before, strings = error(codec, x), codec.compress(x)["strings"]
    assert latentopt.calibrate(codec, [x]) is codec
    assert any(codec.offsets)
    assert codec.compress(x)["strings"] == strings
    assert error(codec, x) < before


def test_offsets_travel_with_the_state_and_are_part_of_the_hash(tmp_path: Path) -> None:
    model, x = tiny(FAMILIES["mbt2018-mean"]), photo(64, 64)
    codec = latentopt.calibrate(latentopt.wrap(model, "hex"), [x])
    codec.save(tmp_path / "x.lo", x)
    other = latentopt.wrap(model, "hex")
    with pytest.raises(BitstreamError, match="state_dict"):
        other.load(tmp_path / "x.lo")
    other.load_state_dict(codec.state_dict())
    assert other.offsets == codec.offsets
    assert torch.equal(other.load(tmp_path / "x.lo"), codec.load(tmp_path / "x.lo"))


def test_states_of_before_have_no_offsets() -> None:
    model = tiny(FAMILIES["mbt2018-mean"])
    state = latentopt.wrap(model, "hex").state_dict()
    del state["_extra_state"]["offsets"]
    codec = latentopt.wrap(model, "hex")
    codec.load_state_dict(state)
    assert not any(codec.offsets)


def test_shift_starts_from_the_offsets() -> None:
    model, x = tiny(FAMILIES["mbt2018-mean"]), photo(96, 96)
    codec = latentopt.calibrate(latentopt.wrap(model, "hex", True, direction="split"), [x])
    out = codec.compress(x)
    assert torch.equal(codec.decompress(**out)["x_hat"], codec(x)["x_hat"])


def test_calibration_needs_images() -> None:
    codec = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), "hex")
    with pytest.raises(InputError, match="at least one"):
        latentopt.calibrate(codec, [])
    with pytest.raises(InputError, match="step codes"):
        codec.offsets = (1, 2)
