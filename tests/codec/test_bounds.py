"""What a small file may cost its reader, and that what it gives are numbers."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.codec_families import IMAGE_MODELS, VIDEO_CODECS
from support.crossing import received, sent, string_of
from support.models import FAMILIES, moving, photo, tiny

import latentopt
from latentopt.bitstream import Container
from latentopt.codec import assembly
from latentopt.codec.recipe import Recipe
from latentopt.codec.wrap import wrap_image
from latentopt.densities import GaussianDensity
from latentopt.errors import BitstreamError
from latentopt.latents import Coded, Point, Prior
from latentopt.latents.lattice import LatticeChannel
from latentopt.lattices import LATTICES, RULES
from latentopt.pmf.tables import JointTable, build_paper_table

# -- numbers ---------------------------------------------------------------------------------------


@torch.no_grad()
def huge(codec: latentopt.Codec, depth: int, strings: list[bytes], grid: Any) -> list[bytes]:
    """The strings of an image with one that holds the largest integers there are."""
    one = codec.assembly
    above, walk = list[Any](), one.adapter.walk([], grid)
    for k in range(len(strings) - 1, depth, -1):
        decoded = Coded.read(one.channels[k], walk, strings[k], one.direction(k))
        above.append(decoded.shifted(one.direction(k)))
        walk = one.adapter.walk(above, grid)
    n = int(np.prod(walk.shape))
    values = np.where(np.arange(n) % 3, 2.0**28, -(2.0**28)).astype(np.float32)
    crossed = one.channels[depth].send(walk, Point(values))
    codes = codec.encode(photo(64, 64))[one.names[depth]][0].step_codes
    return [*strings[:depth], Coded(crossed, codes).string, *strings[depth + 1 :]]


@pytest.mark.parametrize("family", IMAGE_MODELS)
def test_a_decoded_image_is_of_numbers(family: str) -> None:
    codec, x = latentopt.wrap(IMAGE_MODELS[family](0), "int", shift=False), photo(64, 64)
    strings = [string for [string] in codec.compress(x)["strings"]]
    for depth in range(len(strings)):
        crafted = huge(codec, depth, strings, codec.assembly.grid((64, 64)))
        try:
            x_hat = codec.decompress([[s] for s in crafted], (64, 64))["x_hat"]
        except BitstreamError:
            continue
        assert torch.isfinite(x_hat).all()


def test_a_picture_that_is_none_is_refused() -> None:
    codec = latentopt.wrap(tiny(FAMILIES["bmshj2018-factorized"]), "int", shift=False)
    strings = [s for [s] in codec.compress(photo(64, 64))["strings"]]
    crafted = huge(codec, 0, strings, codec.assembly.grid((64, 64)))
    with pytest.raises(BitstreamError, match="no numbers"):
        codec.decompress([[s] for s in crafted], (64, 64))


def test_a_frame_that_is_none_is_refused() -> None:
    codec: Any = VIDEO_CODECS["ssf"]()
    [key], shapes = codec.compress(moving(1, 64, 64))
    image = codec.parts["image"]
    with torch.no_grad():  # networks of which one overflows, as with other weights
        image.model.decoder[-1].bias.fill_(torch.inf)
    with pytest.raises(BitstreamError, match="no numbers"):
        codec.decompress([key], shapes)


# -- what a header claims --------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "words", [{"quant": "int"}, {"quant": "oct", "scales": True}, {"spread": 0.289}], ids=str
)
def test_a_small_file_of_a_large_image_is_refused_cheaply(family: str, words: Any) -> None:
    """8192 x 8192, which takes gigabytes, in as many bytes as 64 x 64."""
    codec = latentopt.wrap(tiny(FAMILIES[family]), **words)
    strings = tuple(s for [s] in codec.compress(photo(64, 64))["strings"])
    data = Container(codec.settings, 8192, 8192, *codec.identity.hashes, strings).to_bytes()
    tracemalloc.start()
    with pytest.raises(BitstreamError, match="too few for a latent of this size"):
        codec.load_bytes(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (10 if not codec.settings.scales or len(strings) == 2 else 400) * 2**20


@pytest.mark.parametrize("quant", ["int", "hex", "d4", "e8"])
def test_the_cheapest_latents_are_not_refused(quant: str) -> None:
    """Zeros at the least scale: a millionth of a bit each, and two million of them."""
    density = GaussianDensity(np.array([0.11, 0.6]), tails=())
    channel, n = LatticeChannel(density, RULES[quant]), 1 << 21
    for level in (0, 1):
        prior = Prior((1, 1, n), np.full(n, level, np.int16), np.zeros(n, np.float32))
        latent = sent(channel, np.zeros(n, np.float32), prior)
        decoded = received(channel, string_of(latent), prior).latent
        assert not decoded.residual.any()
        assert channel.tables.least_bits[level] * n <= latent.bits().sum() * (1 + 1e-9)


def test_other_weights_are_seen_before_tables_are_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    writer = latentopt.wrap(tiny(FAMILIES["bmshj2018-factorized"]), "hex")
    writer.save(tmp_path / "x.lo", photo(64, 64))
    theirs = Container.from_bytes((tmp_path / "x.lo").read_bytes()).identity

    def never(*_: object) -> None:
        raise AssertionError("tables were built")

    monkeypatch.setattr(assembly, "make_channel", never)
    recipe = Recipe.reading(theirs.settings)
    with pytest.raises(BitstreamError, match="another model"):
        wrap_image(tiny(FAMILIES["bmshj2018-factorized"], seed=1), recipe, reads=theirs)


def test_the_papers_tables_are_built_of_few_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A header may ask for them: one value per coordinate, not per point of the lattice."""
    computed, smoothed = 0, GaussianDensity.smoothed

    def counting(self: Any, level: int, t: Any, variance: float) -> Any:
        nonlocal computed
        computed += np.size(t)
        return smoothed(self, level, t, variance)

    monkeypatch.setattr(GaussianDensity, "smoothed", counting)
    table = build_paper_table(GaussianDensity(np.array([3.0]), tails=()), 0, LATTICES["oct"])
    assert isinstance(table, JointTable)
    assert computed < 1000 < 5000 < len(table.points)
