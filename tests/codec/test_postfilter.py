"""Filters of decoded images: nearer to the image for a few bytes, and alike on both sides."""

import pytest
import torch
from support.models import FAMILIES, photo, tiny, tiny_flow
from torch import Tensor

import latentopt
from latentopt import BitstreamError, InputError, Recipe, zoo
from latentopt.codec.recipe import PRESETS
from latentopt.media.wiener import IDENTITY

X = photo(80, 120)


def error(a: Tensor, b: Tensor) -> float:
    return float((a - b).square().sum())


@pytest.mark.parametrize("family", FAMILIES)
def test_points_are_the_same_and_pictures_nearer(family: str) -> None:
    model = tiny(FAMILIES[family])
    plain, codec = (
        latentopt.wrap(model, "int", False, lmbda=0.05, postfilter=on) for on in (False, True)
    )
    before, out = plain.compress(X), codec.compress(X)
    (own, *deeper), (was, *deeper_was) = out["strings"], before["strings"]
    assert deeper == deeper_was and own[0].endswith(was[0][1:])
    x_hat = codec.decompress(**out)["x_hat"]
    assert torch.equal(codec(X)["x_hat"], x_hat)
    [main] = codec.decode([string for [string] in out["strings"]], (80, 120))[:1]
    assert main.postfilter and main.postfilter != IDENTITY
    bits = 8 * (len(own[0]) - len(was[0]))
    assert bits == 8 * len(main.postfilter.to_bytes())
    gained = codec.trade * (error(plain.decompress(**before)["x_hat"], X) - error(x_hat, X))
    assert gained > bits


def test_each_image_of_a_batch_has_its_own() -> None:
    codec = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), preset="fast")
    x = torch.cat([X, 1 - X])
    together, alone = codec.compress(x), [codec.compress(one) for one in x.split(1)]
    first, second = (one.postfilter for one in codec.encode(x)["y"])
    assert first != second
    for k, one in enumerate(alone):
        assert [own[k] for own in together["strings"]] == [own[0] for own in one["strings"]]


def test_presets_have_one_and_gain_by_it() -> None:
    """On real weights and a photograph."""
    model, x = zoo.load("tiny-mbt2018-mean", 2), photo(256, 384)
    plain, codec = (latentopt.wrap(model, preset="fast", postfilter=on) for on in (False, None))
    before, data = plain.save_bytes(x), codec.save_bytes(x)
    gained = error(plain.load_bytes(before), x) - error(codec.load_bytes(data), x)
    assert 0 < 8 * (len(data) - len(before)) < codec.trade * gained
    explained = codec.explain_bytes(data)
    assert explained.latents[0].filter_bits > 8 and "image filter: 9 weights" in str(explained)
    assert latentopt.wrap(model, preset="plain").recipe.postfilter is False


def test_samples_are_filtered_too() -> None:
    model = zoo.load("tiny-pln", 1)
    codec = latentopt.wrap(model, spread=1.0, postfilter=True)
    assert latentopt.wrap(model, postfilter=True).recipe.postfilter
    assert not latentopt.wrap(model).recipe.postfilter
    data = codec.save_bytes(X)
    assert torch.equal(codec.load_bytes(data), codec(X)["x_hat"])
    [main] = codec.encode(X)["y"]
    assert main.postfilter and main.postfilter != IDENTITY


def test_what_knows_no_filter_refuses() -> None:
    model = tiny(FAMILIES["mbt2018-mean"])
    data = latentopt.wrap(model, "hex", postfilter=True).save_bytes(X)
    with pytest.raises(BitstreamError, match="postfilter=True, not False"):
        latentopt.wrap(model, "hex").load_bytes(data)
    with pytest.raises(InputError, match="postfilter is for image codecs"):
        latentopt.wrap(tiny_flow(), postfilter=True)
    with pytest.raises(InputError, match="postfilter is for image codecs"):
        latentopt.wrap(tiny_flow(), recipe=Recipe(postfilter=True))
    for words in ({"format": "compressai"}, {"progressive": True}):
        with pytest.raises(InputError, match="postfilter"):
            latentopt.wrap(model, preset="fast", postfilter=True, **words)  # type: ignore
    for preset in ("fast", "default"):  # which have one for images
        video = latentopt.wrap(tiny_flow(), recipe=PRESETS[preset])
        assert not any(part.recipe.postfilter for part in video.parts.values())


@pytest.mark.parametrize("damage", [b"\xff", b"\x01"])
def test_a_damaged_filter_is_named(damage: bytes) -> None:
    model = tiny(FAMILIES["bmshj2018-factorized"])
    codec = latentopt.wrap(model, "int", False, lmbda=0.05, postfilter=True)
    out = codec.compress(X)
    [[string], *_] = out["strings"]
    with pytest.raises(BitstreamError):
        codec.decompress([[string[:1] + damage + b"\xff" * 60]], out["shape"])
