"""What every channel owes every codec family: decode(encode(x)) is what the encoder said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import dcvc_models, trees, vbr
from support.dcvc_models import DualPrior, FourPart, Predicted
from support.models import FAMILIES, moving, photo, tiny, tiny_flow
from support.raw import RawChannel
from torch import nn

import latentopt
from latentopt import BitstreamError, Codec, InputError, VideoCodec
from latentopt.adapters import adapter_class, at_rate
from latentopt.adapters.dcvc_net import video
from latentopt.encoder import Effort, Schedule
from latentopt.latents import CHANNELS
from latentopt.latents.dither import Dither
from latentopt.latents.lattice import Moved

X = photo(70, 60, batch=2)

IMAGES: dict[str, Callable[[], nn.Module]] = {
    **{name: lambda family=family: tiny(family) for name, family in FAMILIES.items()},
    **{f"tree {name}": lambda name=name: trees.lively(name) for name in trees.MODELS},
    **{name: lambda name=name: at_rate(vbr.lively(name), gain=0.7) for name in vbr.MODELS},
    "DCVC-HEM": lambda: dcvc_models.lively(DualPrior),
    "DCVC-DC": lambda: dcvc_models.lively(FourPart),
}
VIDEOS = ("ssf2020", "DCVC")
WAYS: dict[str, dict[str, Any]] = {
    **{quant: {"quant": quant} for quant in ("int", "hex", "oct", "d4", "e8", "auto")},
    "paper's tables": {"quant": "oct", "pmf": "paper"},
    "corrected": {"quant": "e8", "scales": True, "direction": "split"},
    "adaptive": {"quant": "int", "adaptive": True},
    "context": {"quant": "int", "context": True},
    "raw": {"channel": "raw"},
    "searched": {"quant": "e8", "scales": True, "effort": Effort(Schedule(2, (1, 0.3), (1, 1)))},
    **{f"{quant} dithered": {"quant": quant, "dither": 7} for quant in ("int", "oct", "d4", "e8")},
    "main latent dithered": {"quant": "d4", "dither": Dither(2**32 - 1, "main")},
    "sampled": {"spread": 0.29},
    "side latents dithered": {"quant": "int", "dither": Dither(0, "side")},
    "softly": {"quant": "int", "dither": Dither(3, alpha=4.0, mean=True)},
    "means": {"quant": "e8", "dither": Dither(3, mean=True)},
}
OFTEN = ("hex", "corrected", "adaptive", "raw", "e8 dithered", "sampled", "searched")
"""The ways that every family takes; the others differ in their tables only."""

REFUSED = (("mbt2018", "context"), ("bmshj2018-factorized", "adaptive"))
"""What has a context of its own, or no side latent."""

PAIRS = [
    (family, way)
    for family in IMAGES
    for way in (WAYS if family in FAMILIES else OFTEN)
    if (family, way) not in REFUSED
]

BATCHES = [pair for pair in PAIRS if pair[1] == "hex" or pair[0] == "mbt2018-mean"]
"""Of several images: all families, and all ways; the others of one, which takes half the time."""


@pytest.fixture(autouse=True)
def with_raw(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second channel: all it takes is a name."""
    monkeypatch.setitem(CHANNELS, "raw", RawChannel)


def video_codec(family: str, **words: Any) -> VideoCodec:
    if family == "ssf2020":
        return latentopt.wrap(tiny_flow(), shift=True, **words)
    key = dcvc_models.lively(DualPrior)
    make = video(key, adapter_class(key))
    return latentopt.wrap(dcvc_models.lively(Predicted), shift=True, adapter=make, **words)


@pytest.mark.parametrize(("family", "way"), PAIRS)
def test_the_decoder_gets_what_the_encoder_said(family: str, way: str) -> None:
    codec: Codec = latentopt.wrap(IMAGES[family](), shift=True, **WAYS[way])
    x = X if (family, way) in BATCHES else X[:1]
    coded = codec.encode(x)
    strings = [[one.string for one in latents] for latents in coded.values()]
    for i in range(len(x)):
        decoded = codec.decode([string[i] for string in strings], (70, 60))
        for there, here in zip(decoded, (latents[i] for latents in coded.values())):
            np.testing.assert_array_equal(there.latent.hat, here.latent.hat)
            np.testing.assert_array_equal(there.latent.prior.levels, here.latent.prior.levels)
            assert list(there.step_codes) == list(here.step_codes)
            assert there.string == here.string
    out = codec.compress(x)
    assert list(out["strings"]) == strings
    assert torch.equal(codec.decompress(**out)["x_hat"], codec(x)["x_hat"])


@pytest.mark.parametrize("family", VIDEOS)
@pytest.mark.parametrize("way", OFTEN)
def test_so_do_frames(family: str, way: str) -> None:
    codec, frames = video_codec(family, **WAYS[way]), moving(3, 60, 90)
    out = codec.compress(frames)
    expected = codec(frames)["x_hat"]
    assert all(torch.equal(a, b) for a, b in zip(codec.decompress(*out), expected, strict=True))


@pytest.mark.parametrize("family", IMAGES)
def test_searched_vectors_are_formed_ahead_where_a_codec_has_a_context(family: str) -> None:
    codec: Codec = latentopt.wrap(IMAGES[family](), **WAYS["searched"])
    contextual = codec.assembly.adapter.contextual
    assert codec.settings.prepacked == codec.assembly.channels[0].prepacked == contextual
    [main] = codec.encode(X[:1])["y"]
    parts = [part for group in main.latent.groups for part in group.parts]
    own = [part for part in parts if isinstance(part, Moved)]
    assert all(part.lattice.name == "e8" for part in own)
    assert bool(own) == contextual or family not in FAMILIES  # trees here have narrow levels only


@pytest.mark.parametrize("family", FAMILIES)
def test_raw_costs_four_bytes_an_element_and_loses_nothing(family: str) -> None:
    codec: Codec = latentopt.wrap(IMAGES[family](), shift=False, channel="raw")
    x = X[:1]
    for latents in codec.encode(x).values():
        [coded] = latents
        n = len(coded.latent.prior.levels)
        assert len(coded.string) == 1 + 4 * n and coded.latent.bits().sum() == 32 * n
    y = codec.assembly.adapter.analysis(codec.padded(x)).flatten()
    [main] = codec.encode(x)["y"]
    torch.testing.assert_close(torch.from_numpy(main.latent.hat).float(), y, atol=1e-5, rtol=1e-5)


def test_files_name_the_channel_in_version_2(tmp_path: Path) -> None:
    model = tiny(FAMILIES["mbt2018-mean"])
    codec = latentopt.wrap(model, channel="raw")
    codec.save(tmp_path / "x.lo", X[:1])
    assert (tmp_path / "x.lo").read_bytes()[3] == 2
    expected = codec(X[:1])["x_hat"]
    assert torch.equal(codec.load(tmp_path / "x.lo"), expected)
    with pytest.raises(BitstreamError, match="channel='raw', not 'lattice'"):
        latentopt.wrap(model).load(tmp_path / "x.lo")
    flow = video_codec("ssf2020", channel="raw")
    frames = moving(2, 60, 90)
    flow.save(tmp_path / "x.lov", frames)
    assert (tmp_path / "x.lov").read_bytes()[3] == 2
    shown = zip(flow.load(tmp_path / "x.lov"), flow(frames)["x_hat"], strict=True)
    assert all(torch.equal(a, b) for a, b in shown)


def test_explanations_know_other_channels(tmp_path: Path) -> None:
    codec = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), channel="raw")
    codec.save(tmp_path / "x.lo", X[:1])
    main, side = codec.explain(tmp_path / "x.lo").latents
    assert [share.name for share in main.lattices] == ["all"]
    assert main.bits.sum() == 32 * np.prod(main.shape) and side.escaped == 0


def test_a_channel_that_there_is_not() -> None:
    with pytest.raises(InputError, match=r"unknown channel 'rwa': choose lattice, .*raw"):
        latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), channel="rwa")
    with pytest.raises(InputError, match="excludes effort, scales, adaptive"):
        latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), channel="raw", scales=True)


def test_the_decoder_of_a_truncated_raw_string_refuses() -> None:
    codec = latentopt.wrap(tiny(FAMILIES["bmshj2018-factorized"]), channel="raw")
    out = codec.compress(X[:1])
    cut = [[string[:-1] for string in strings] for strings in out["strings"]]
    with pytest.raises(BitstreamError, match="are not a latent of"):
        codec.decompress(cut, out["shape"])
