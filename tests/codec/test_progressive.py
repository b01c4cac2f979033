"""Streams that may be cut: of wrapped codecs, and of codecs of one-hot maps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import vbr
from support.models import FAMILIES, photo, tiny, tiny_flow
from support.one_hot import one_hot
from torch import Tensor

import latentopt
from latentopt import BitstreamError, Codec, Container, InputError
from latentopt.adapters import at_rate
from latentopt.bitstream.maps import join_maps, split_maps
from latentopt.codec.recipe import get_preset
from latentopt.densities import SymbolDensity
from latentopt.errors import MapError, WeightsError
from latentopt.latents import Point, ProgressiveLatent

X = photo(70, 60)
CUTTABLE = ("bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean")
MODELS: dict[str, Any] = {
    **{name: lambda name=name: tiny(FAMILIES[name]) for name in CUTTABLE},
    "with a step": lambda: at_rate(vbr.lively("mbt2018-mean-vbr"), gain=0.7),
    "one-hot": one_hot,
}


def wrapped(family: str, **words: Any) -> Codec:
    ways = {} if family == "one-hot" else {"quant": "int", **words}
    return latentopt.wrap(MODELS[family](), progressive=True, **ways)


@pytest.fixture(scope="module", params=MODELS)
def codec(request: pytest.FixtureRequest) -> Codec:
    return wrapped(request.param)


def squared(a: Tensor, b: Tensor = X) -> float:
    return float((a - b).square().mean())


def main_of(codec: Codec) -> ProgressiveLatent:
    [coded] = codec.encode(X)["y"]
    assert isinstance(coded.latent, ProgressiveLatent)
    return coded.latent


# -- laws ------------------------------------------------------------------------------------------


def test_the_decoder_gets_what_the_encoder_said(codec: Codec) -> None:
    out = codec.compress(X)
    assert torch.equal(codec.decompress(**out)["x_hat"], codec(X)["x_hat"])
    decoded = codec.decode([string for [string] in out["strings"]], (70, 60))
    assert [[one.string] for one in decoded] == list(out["strings"])
    main = decoded[0].latent
    assert isinstance(main, ProgressiveLatent) and list(main.maps) == list(main_of(codec).maps)


def test_cut_after_any_map_it_decodes_to_those_maps(codec: Codec) -> None:
    latent, data = main_of(codec), codec.save_bytes(X)
    container = Container.from_bytes(data, codec.string_count)
    assert len(container.maps) == len(latent.maps)
    for count in (0, 1, len(latent.maps) // 2, len(latent.maps)):
        cut = container.cut(count).to_bytes()
        [main, *_] = codec.decode(container.cut(count).strings, (70, 60))
        expected = latent.ordered(list(latent.maps)[:count])
        np.testing.assert_array_equal(main.latent.hat, expected.hat)
        assert torch.equal(codec.load_bytes(cut), codec.load_bytes(data, maps=count))


def test_a_damaged_map_is_named_and_those_before_it_decode(codec: Codec) -> None:
    data = bytearray(codec.save_bytes(X))
    whole = len(Container.from_bytes(bytes(data)).maps)
    data[-6] ^= 1  # of the last map
    with pytest.raises(MapError, match=rf"^map {whole} is corrupt: its checksum differs; maps=\d"):
        codec.load_bytes(bytes(data))
    with pytest.raises(MapError):
        codec.load_bytes(bytes(data), maps=whole)
    expected = codec.load_bytes(codec.save_bytes(X), maps=whole - 1)
    assert torch.equal(codec.load_bytes(bytes(data), maps=whole - 1), expected)


@pytest.mark.parametrize("maps", [-1, 1.5, "3", True, float("nan")])
def test_counts_of_maps_that_are_none(codec: Codec, maps: Any) -> None:
    with pytest.raises(InputError, match="a whole number, 0 or more"):
        codec.load_bytes(codec.save_bytes(X), maps=maps)


def test_bits_sum_to_the_string(codec: Codec) -> None:
    latent = main_of(codec)
    slack = 8 * 4 * len(latent.maps)  # at most so much the coder's last words take
    beyond = 8 * len(latent.string()) - latent.bits().sum()
    assert beyond <= slack  # where a map ends in many first symbols, the coder has them for nothing
    assert beyond >= 0 or isinstance(codec.assembly.channels[0].density, SymbolDensity)
    alone = latent.ordered(list(latent.maps)[:1])
    assert np.count_nonzero(alone.bits()) <= alone.planes[1]


def test_explanations_say_what_did_not_come(codec: Codec) -> None:
    cut = Container.from_bytes(codec.save_bytes(X), codec.string_count).cut(2)
    main, *_ = codec.explain_bytes(cut.to_bytes()).latents
    shares = {share.name: share.elements for share in main.lattices}
    channels, plane = main_of(codec).planes
    assert shares["absent"] == (channels - 2) * plane and main.string_bytes > 0
    assert "absent" in str(codec.explain_bytes(cut.to_bytes()))


def test_strings_that_no_encoder_writes_are_refused(codec: Codec) -> None:
    walk = codec.assembly.adapter.walk
    channel, latent = codec.assembly.channels[0], main_of(codec)
    strings = [string for [string] in codec.compress(X)["strings"]]
    with torch.no_grad():
        side = [one.latent.hat for one in codec.decode(strings, (70, 60))[1:]]
        here = walk(side, codec.assembly.grid((70, 60)))
    [first, *_] = split_maps(latent.string())
    for wrong, match in [
        (join_maps([first, first]), "map 2 is of no channel, or again"),
        (join_maps([b"\x7f" + first[1:]]), "map 1 is of no channel"),
        (latent.string()[:-1], "ends within map"),
        (join_maps([first + b"\x01"]), "entropy-coded data|corrupt|ends"),
    ]:
        with pytest.raises(BitstreamError, match=match):
            channel.receive(here, wrong)


def test_files_travel_by_name_and_refuse_other_codecs(tmp_path: Path) -> None:
    codec = wrapped("mbt2018-mean")
    codec.save(tmp_path / "x.lo", X)
    plain = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), "int", False)
    with pytest.raises(BitstreamError, match="progressive=True, not False"):
        plain.load(tmp_path / "x.lo")
    reader = latentopt.Recipe.reading(codec.settings)
    other = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), recipe=reader)
    assert torch.equal(other.load(tmp_path / "x.lo", maps=3), codec.load(tmp_path / "x.lo", maps=3))
    with pytest.raises(BitstreamError, match="in one piece"):
        plain.load_bytes(plain.save_bytes(X), maps=1)


def test_states_load(tmp_path: Path) -> None:
    codec, again = wrapped("mbt2018-mean"), wrapped("mbt2018-mean")
    again.load_state_dict(codec.state_dict())
    assert again.identity == codec.identity
    with pytest.raises(WeightsError, match="progressive=True, not False"):
        latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), "int", False).load_state_dict(
            codec.state_dict()
        )


# -- the order -------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", CUTTABLE)
def test_the_most_valuable_channels_come_first(family: str) -> None:
    codec = wrapped(family)
    latent, y = main_of(codec), codec.assembly.adapter.analysis(codec.padded(X))
    from latentopt.encoder import sensitivity_of

    weight = sensitivity_of(codec.assembly.adapter).squared
    absent, rows = latent.ordered([]).hat, y.detach().numpy().reshape(latent.planes)
    value = {}
    for channel in latent.maps:
        own = latent.ordered([channel])
        before, after = (h.reshape(latent.planes)[channel] for h in (absent, own.hat))
        gain = np.square(rows[channel] - before).sum() - np.square(rows[channel] - after).sum()
        value[channel] = weight[channel] * gain / own.bits().sum()
    order = [value[channel] for channel in latent.maps]
    assert order == sorted(order, reverse=True) and min(order) > 0


def test_what_does_not_come_is_what_is_expected() -> None:
    codec = wrapped("mbt2018-mean")
    latent = main_of(codec)
    np.testing.assert_array_equal(latent.ordered([]).hat, latent.prior.centres)
    factorized = wrapped("bmshj2018-factorized")
    density, latent = factorized.assembly.adapter.densities[0], main_of(factorized)
    t = np.linspace(-200, 200, 400_001)
    for level in range(3):
        mean = np.trapezoid(t * density.pdf(level, t), t) if hasattr(np, "trapezoid") else None
        mean = np.trapz(t * density.pdf(level, t), t) if mean is None else mean
        assert density.absent[level] == pytest.approx(mean, abs=0.05 * density.spread(level))


def test_searches_know_the_maps() -> None:
    model = tiny(FAMILIES["mbt2018-mean"])
    plain = latentopt.wrap(model, progressive=True, quant="int")
    searched = latentopt.wrap(model, progressive=True)
    assert searched.recipe == latentopt.wrap(model, progressive=True, preset="default").recipe
    assert searched.recipe.effort and not searched.settings.scales and not searched.recipe.shift

    def cost(codec: Codec) -> float:
        data = codec.save_bytes(X)
        error = (codec.load_bytes(data) - X).square().sum()
        return 8 * len(data) + searched.trade * float(error)

    assert cost(searched) < cost(plain)


def test_vectors_stay_within_a_channel() -> None:
    latent = main_of(latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), "e8", progressive=True))
    assert "e8" in latent.kinds.names


# -- codecs of one-hot maps ------------------------------------------------------------------------


def test_maps_of_symbols_come_in_order() -> None:
    codec, model = wrapped("one-hot"), one_hot()
    latent = main_of(codec)
    assert list(latent.maps) == [0, 1, 2, 3, 4]
    x = codec.padded(X)
    symbols = model.quantizer.symbols_of(model.g_a(x))
    np.testing.assert_array_equal(latent.hat, symbols.numpy().ravel())
    rate = -model.prior(*symbols.shape[-2:]).gather(1, symbols[0][:, None])[:, 0] / np.log(2)
    for channel, own in latent.maps.items():
        assert own.bits().sum() == pytest.approx(float(rate[channel].sum()), rel=1e-4)
    for count in (1, 3, 5):
        symbols[:, count:] = -1 if count < 5 else symbols[:, count:]
        kept = torch.tensor([count])
        expected = model(x, kept)["x_hat"].clamp(0, 1)[..., :70, :60]
        torch.testing.assert_close(codec.load_bytes(codec.save_bytes(X), maps=count), expected)


@pytest.mark.parametrize("size", [(1, 1), (4, 90), (9, 9), (33, 5)])
def test_images_of_any_size(size: tuple[int, int]) -> None:
    codec, x = wrapped("one-hot"), photo(*size)
    data = codec.save_bytes(x)
    assert torch.equal(codec.load_bytes(data), codec(x)["x_hat"])


def test_presets_are_all_the_same_for_them_and_words_are_refused() -> None:
    model = one_hot()
    data = {latentopt.wrap(model, preset=p).save_bytes(X) for p in ("fast", "default", "plain")}
    assert len(data) == 1 and data == {latentopt.wrap(model).save_bytes(X)}
    for words in (
        {"quant": "e8"},
        {"shift": True, "quant": "int"},
        {"scales": True, "quant": "int"},
    ):
        with pytest.raises(InputError, match="leave out all but the preset"):
            latentopt.wrap(model, **words)


def test_large_images_are_cut_into_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    from latentopt.adapters import tiles

    codec, x = wrapped("one-hot"), photo(700, 720)
    whole = codec.save_bytes(x)
    monkeypatch.setattr(tiles, "_LARGE", 1)
    monkeypatch.setattr(tiles, "_MANY", 1)
    tiled = wrapped("one-hot")
    assert tiles.Tiled(tiled.assembly.adapter).tiling(torch.zeros(1, 5, 175, 180)) is not None
    assert tiled.save_bytes(x) == whole
    torch.testing.assert_close(tiled.load_bytes(whole), codec.load_bytes(whole), atol=1e-5, rtol=0)


# -- what is refused -------------------------------------------------------------------------------


def test_what_it_excludes() -> None:
    model = tiny(FAMILIES["mbt2018-mean"])
    for words, match in [
        ({"scales": True}, "progressive=True excludes scales"),
        ({"shift": True, "quant": "int"}, "excludes shift"),
        ({"context": True}, "excludes context"),
        ({"dither": 1, "quant": "int"}, "excludes dither"),
        ({"spread": 0.3}, "excludes spread, channel"),
        (
            {"preset": "default", "format": "compressai"},
            "progressive=True is not for format='compressai'",
        ),
    ]:
        with pytest.raises(InputError, match=match):
            latentopt.wrap(model, progressive=True, **words)
    with pytest.raises(InputError, match="a context model of its own"):
        latentopt.wrap(tiny(FAMILIES["mbt2018"]), progressive=True)
    with pytest.raises(InputError, match="for image codecs"):
        latentopt.wrap(tiny_flow(), progressive=True)
    assert get_preset("slow").but(progressive=True).alternatives["factorized"].progressive


@pytest.mark.parametrize(
    "words",
    [{"quant": "oct"}, {"shift": True}, {"lmbda": 0.1}, {"context": True}, {"dither": 0}],
    ids=str,
)
def test_of_one_hot_maps_nothing_is_chosen(words: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"^{next(iter(words))} is for codecs with something"):
        latentopt.wrap(one_hot(), **words)
    assert latentopt.wrap(one_hot(), preset="fast", portable=False, progressive=True)


@pytest.mark.parametrize("word", ["shift", "scales", "adaptive", "context", "postfilter"])
def test_of_one_hot_maps_what_is_said_not_to_be_is_not(word: str) -> None:
    model = one_hot()
    codec = latentopt.wrap(model, preset="fast", **{word: False})  # type: ignore
    assert codec.recipe == latentopt.wrap(model).recipe


def test_native_files_have_no_maps() -> None:
    native = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), format="compressai", preset="fast")
    with pytest.raises(InputError, match="are in one piece"):
        native.load_bytes(b"", maps=1)


def test_a_walk_in_groups_is_refused_by_the_channel() -> None:
    codec = wrapped("mbt2018-mean")

    class Halves:
        shape = (2, 1, 1)

        def go(self, carry):
            for i in range(2):
                carry(np.array([i]), np.zeros(1, np.int16), np.zeros(1))

    with pytest.raises(latentopt.UnsupportedModelError, match="all entropy parameters at once"):
        codec.assembly.channels[0].send(Halves(), Point(np.zeros(2)))
