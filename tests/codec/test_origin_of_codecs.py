"""Codecs that know where their model comes from, and what they are called."""

from pathlib import Path

import pytest
import torch
from compressai.models import MeanScaleHyperprior
from support.models import moving, photo, tiny, tiny_flow
from torch import nn

import latentopt
from latentopt.adapters import MeanScaleAdapter, with_step
from latentopt.bitstream import Container, Origin, read_header

MINE = Origin("mine", 2)


def named(model: nn.Module, origin: Origin = MINE) -> nn.Module:
    """The model, marked as the zoo marks what it loads."""
    model.origin = origin
    return model


def written(codec: latentopt.Codec) -> Container:
    return Container.from_bytes(codec.save_bytes(photo(64, 64)))


def test_an_origin_is_all_that_tells_a_named_models_file() -> None:
    codec, other = (
        latentopt.wrap(m, "hex")
        for m in (tiny(MeanScaleHyperprior), named(tiny(MeanScaleHyperprior)))
    )
    assert written(codec).origin is codec.origin is None and written(codec).version == 1
    assert written(other).origin == other.origin == MINE and written(other).version == 2
    assert written(codec).strings == written(other).strings
    x = photo(64, 64)
    assert torch.equal(codec.load_bytes(other.save_bytes(x)), other.load_bytes(codec.save_bytes(x)))


def test_saved_bytes_are_the_file(tmp_path: Path) -> None:
    codec, x = latentopt.wrap(tiny(MeanScaleHyperprior), "hex"), photo(64, 64)
    assert codec.save(tmp_path / "x.lo", x) == len(codec.save_bytes(x))
    assert (tmp_path / "x.lo").read_bytes() == codec.save_bytes(x)
    with pytest.raises(latentopt.InputError, match="a file holds one image"):
        codec.save_bytes(photo(64, 64, batch=2))


def test_videos_do_all_that_too(tmp_path: Path) -> None:
    flow, frames = latentopt.wrap(named(tiny_flow()), "hex", gop=2), moving(3, 50, 70)
    flow.save(tmp_path / "x.lov", frames)
    data = flow.save_bytes(frames)
    assert data == (tmp_path / "x.lov").read_bytes() and data[3] == 2
    assert read_header(tmp_path / "x.lov").origin == flow.origin == MINE
    plain = latentopt.wrap(tiny_flow(), "hex", gop=2)
    assert plain.origin is None and plain.save_bytes(frames)[3] == 1
    shown = zip(plain.load_bytes(data), flow.load(tmp_path / "x.lov"), strict=True)
    assert all(torch.equal(a, b) for a, b in shown)
    flow.load_state_dict(latentopt.wrap(tiny_flow(seed=1), "hex").state_dict())
    assert flow.origin is None


def test_other_weights_are_not_those_that_the_origin_names() -> None:
    codec = latentopt.wrap(named(tiny(MeanScaleHyperprior)), "hex")
    codec.load_state_dict(latentopt.wrap(tiny(MeanScaleHyperprior), "hex").state_dict())
    assert codec.origin == MINE  # the same again
    codec.load_state_dict(latentopt.wrap(tiny(MeanScaleHyperprior, seed=1), "hex").state_dict())
    assert codec.origin is None and written(codec).version == 1


def test_an_adapter_of_ones_own_makes_another_codec() -> None:
    model = named(tiny(MeanScaleHyperprior))
    assert latentopt.wrap(model, "hex", adapter=MeanScaleAdapter).origin is None


def test_steps_are_part_of_it() -> None:
    model = named(tiny(MeanScaleHyperprior))
    stepped = with_step(model, 1.5)
    codec = latentopt.wrap(stepped, "hex")
    assert codec.origin == Origin("mine", 2, step=1.5) and model.origin == MINE
    assert written(codec).origin == codec.origin
    assert with_step(stepped, 2).origin is None  # rounds otherwise than a step of 3
    assert not hasattr(with_step(tiny(MeanScaleHyperprior), 2), "origin")


def test_codecs_say_what_they_are_in_a_line() -> None:
    model = tiny(MeanScaleHyperprior)
    assert repr(latentopt.wrap(model)) == (
        "Codec(MeanScaleHyperprior; preset default; files of version 2)"
    )
    assert repr(latentopt.wrap(named(model), "hex", False, lmbda=0.1)) == (
        "Codec(mine quality 2; hex; files of version 2)"
    )
    assert repr(latentopt.wrap(tiny_flow(), preset="plain")) == (
        "VideoCodec(a model of one's own; preset plain of image, residual; files of version 1)"
    )
