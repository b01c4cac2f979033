"""DCVC-FM's codec of predicted frames, on a small model of the same structure.

What it has in common with DCVC-DC's is tested there: here, where the two differ.
"""

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from support.clips import assert_float32_does_not_matter, assert_round_trips
from support.dcvc_models import Diverse, FourPart, Modulated, lively
from support.fresh import assert_decodes_elsewhere
from support.models import photo

import latentopt
from latentopt import BitstreamError, InputError, UnsupportedModelError
from latentopt.adapters import Reference, adapter_class, dcvc_dc
from latentopt.adapters.dcvc_fm import MotionAdapter, is_fm, video

KEY = lively(FourPart)
FRAMES = [photo(70, 120).roll(k, -1) for k in (0, 2, 5, 6, 6, 8, 11)]


def wrapped(*args: Any, q_index: int = 0, **options: Any) -> Any:
    make = video(KEY, adapter_class(KEY), q_index)
    return latentopt.wrap(lively(Modulated), *args, adapter=make, **options)


# -- where it differs from DCVC-DC's ---------------------------------------------------------------


def test_pictures_are_turned_to_ycbcr_and_back() -> None:
    own: Any = video(KEY, adapter_class(KEY))(lively(Modulated), True).predicted["motion"]
    assert isinstance(own, MotionAdapter)
    for rgb, ycbcr in {
        (0.5, 0.5, 0.5): (0.5, 0.5, 0.5),
        (1.0, 0.0, 0.0): (0.2126, 0.5 - 0.2126 / 1.8556, 1.0),
        (0.0, 0.0, 1.0): (0.0722, 1.0, 0.5 - 0.0722 / 1.5748),
    }.items():
        image, turned = (torch.tensor(of).double().reshape(1, 3, 1, 1) for of in (rgb, ycbcr))
        torch.testing.assert_close(own.seen(image), turned, atol=1e-7, rtol=0)
    x = photo(20, 30).double()
    torch.testing.assert_close(own.shown(own.seen(x)), x, atol=1e-14, rtol=0)


def twin(q_index: int) -> Any:
    """DCVC-DC's codec, with the same networks and steps."""
    model, own = lively(Diverse), lively(Modulated)
    model.load_state_dict(own.state_dict(), strict=False)
    for part in ("mv_y", "y"):
        for side in ("enc", "dec"):
            first, last = getattr(own, f"{part}_q_{side}").flatten().tolist()
            step = math.exp(math.log(first) + math.log(last / first) * q_index / 63)
            getattr(model, f"{part}_q_basic_{side}").data.fill_(1)
            getattr(model, f"{part}_q_scale_{side}").data.fill_(step)
    make = dcvc_dc.video(KEY, adapter_class(KEY))
    return latentopt.wrap(model, "int", shift=False, adapter=make)


@torch.no_grad()
def test_it_is_that_of_dc_on_other_colours_and_other_numbers() -> None:
    fm, dc = wrapped("int", shift=False, q_index=20), twin(20)
    turned: Any = fm.parts["motion"].assembly.adapter
    before = Reference(photo(64, 128).double())
    like_dc = {0: 1, 1: 0, 2: 2}  # network, and after how many frames DCVC-DC takes it
    for number, network in enumerate([None, 0, 2, 0, 2, 0, 2, 0, 1], 1):
        x = photo(64, 128, seed=number)
        image = turned.seen(before.image)
        known = Reference(image, before.latents, before.features, like_dc.get(network, 0))
        right = dc.frames.encode_frame(turned.seen(x), known)[1]
        before = fm.frames.encode_frame(x, before)[1]
        assert before.age == number and (network is None) == (known.features is None)
        pairs = [(before.image, turned.shown(right.image)), (before.features, right.features)]
        pairs += [(before.latents[name], right.latents[name]) for name in right.latents]
        for found, expected in pairs:
            near = 1e-6 * float(expected.abs().max())  # colours in float32 on the way in
            torch.testing.assert_close(found, expected, atol=near, rtol=0)


@torch.no_grad()
def test_features_are_dropped_after_32_frames() -> None:
    """Not the latents."""
    codec, x = wrapped("int", shift=False), photo(64, 128, seed=1)
    start = Reference(photo(64, 128).double())
    _, made = codec.frames.encode_frame(x, start)
    without = Reference(made.image, made.latents)
    for age, is_dropped in ((1, False), (31, False), (32, True), (33, False), (64, True)):
        aged = Reference(made.image, made.latents, made.features, age)
        frames = [codec.frames.encode_frame(x, known)[1].image for known in (aged, without)]
        assert torch.equal(*frames) == is_dropped


# -- whole codecs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("quant", "portable"), [("e8", True), ("int", False)])
def test_round_trips(quant: str, portable: bool) -> None:
    codec = wrapped(quant, parts=["image", "motion", "residual"], portable=portable)
    assert_round_trips(codec, FRAMES)


def test_presets() -> None:
    codec = wrapped(preset="fast", parts=["motion", "residual"])
    assert_round_trips(codec, FRAMES[:3])


def test_a_decoder_whose_float32_is_wrong_decodes_the_same() -> None:
    make = partial(wrapped, "oct", parts=["image", "residual"])
    assert_float32_does_not_matter(make, FRAMES)


def decode(folder: Path) -> None:
    torch.set_num_threads(2)
    torch.save(list(wrapped("e8").load(folder / "x.lo")), folder / "x.pt")


def test_files_decode_in_a_fresh_process(tmp_path: Path) -> None:
    assert_decodes_elsewhere(decode, wrapped("e8"), FRAMES, tmp_path)


def test_there_are_64_rates(tmp_path: Path) -> None:
    file = tmp_path / "clip.lov"
    codecs = [wrapped("int", shift=False, q_index=k) for k in (0, 63)]
    codecs[0].save(file, FRAMES[:2])
    with pytest.raises(BitstreamError, match="written by another model"):
        list(codecs[1].load(file))
    for q_index in (64, -1, True, 1.5, "0", None):
        with pytest.raises(InputError, match="DCVC-FM has 64 rates"):
            wrapped("int", q_index=q_index)


def test_it_is_known_by_its_structure() -> None:
    model, other = lively(Modulated), lively(Diverse)
    assert is_fm(model) and not is_fm(other) and not dcvc_dc.is_dc(model)
    with pytest.raises(UnsupportedModelError, match=r"dcvc_fm\.video\(key"):
        latentopt.wrap(model)
