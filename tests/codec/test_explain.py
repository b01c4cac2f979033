"""Explanations of files: every bit is accounted for, where it belongs, and can be looked at."""

from pathlib import Path

import numpy as np
import pytest
import torch
from compressai.models import FactorizedPrior, MeanScaleHyperprior
from matplotlib.figure import Figure
from PIL import Image
from support.crossing import sent
from support.models import FAMILIES, photo, tiny
from torch import nn

from latentopt import BitstreamError, Codec, Container, InputError, wrap, zoo
from latentopt.bench.plots import plot_bits
from latentopt.bitstream import NO_SHIFT, Settings, encode_step
from latentopt.bitstream.steps import unpack_steps
from latentopt.codec.explain import Explanation, LatentExplanation, Share, explain, largest
from latentopt.densities import GaussianDensity
from latentopt.latents import Coded, Prior
from latentopt.latents.lattice import MAX_CORRECTION, LatticeChannel
from latentopt.latents.lattice.corrections import correction_bits
from latentopt.lattices import RULES


@pytest.fixture(scope="module")
def codec(tiny_mean: nn.Module) -> Codec:
    return wrap(tiny_mean, "hex")


@pytest.fixture(scope="module")
def coded(codec: Codec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explain") / "x.lo"
    codec.save(path, photo(100, 150))
    return path


@pytest.fixture(scope="module")
def explanation(codec: Codec, coded: Path) -> Explanation:
    return codec.explain(coded)


def all_bits(latent: LatentExplanation) -> float:
    return latent.bits.sum() + latent.correction_bits + latent.step_bits + latent.filter_bits


def check_sums(latent: LatentExplanation) -> None:
    """The bits are the string's, and each way to share them out comes to the same."""
    assert -1 <= latent.string_bytes - all_bits(latent) / 8 <= 5
    for shares in (latent.lattices, latent.spreads, latent.channels):
        assert sum(share.elements for share in shares) == np.prod(latent.shape)
        assert sum(share.bits for share in shares) == pytest.approx(latent.bits.sum())
        for column in ("zeros", "vectors"):
            sums = [sum(getattr(s, column) for s in of) for of in (shares, latent.channels)]
            assert sums[0] == pytest.approx(sums[1])


# -- what it holds -------------------------------------------------------------------------------


@pytest.mark.parametrize("scales", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_bit_is_accounted_for(family: str, scales: bool, tmp_path: Path) -> None:
    codec = wrap(tiny(FAMILIES[family]), "hex", scales=scales)
    size = codec.save(tmp_path / "x.lo", photo(100, 150))
    explanation = codec.explain(tmp_path / "x.lo")
    strings = [latent.string_bytes for latent in explanation.latents]
    assert (explanation.width, explanation.height, explanation.file_bytes) == (150, 100, size)
    assert explanation.settings == codec.settings
    container = Container.from_bytes((tmp_path / "x.lo").read_bytes())  # as `info` reads it
    assert explanation.payload_bytes == container.payload_bytes
    lengths = explanation.payload_bytes - sum(strings)
    assert explanation.header_bytes + lengths + sum(strings) == size
    assert lengths == {1: 0, 2: 1 + (strings[0] > 127)}[len(strings)]
    assert [latent.name for latent in explanation.latents] == ["main", "side"][: len(strings)]
    for latent in explanation.latents:
        check_sums(latent)
    main = explanation.latents[0]
    assert (main.corrections is not None) == scales == (main.correction_bits > 0)
    assert all(latent.corrections is None for latent in explanation.latents[1:])


def test_it_says_what_the_encoder_chose(tiny_mean: nn.Module, tmp_path: Path) -> None:
    codec, x = wrap(tiny_mean, "auto", direction="split", scales=True), photo(64, 128)
    codec.save(tmp_path / "x.lo", x)
    strings = codec.compress(x)["strings"]
    codes, _ = unpack_steps(strings[0][0], 6)
    main, side = codec.explain(tmp_path / "x.lo").latents
    assert [encode_step(step) for step in main.steps] == codes
    assert [encode_step(step) for step in side.steps] == [strings[1][0][0]]
    assert np.abs(main.corrections).max() in range(1, MAX_CORRECTION + 1)
    assert len(main.corrections) == main.shape[0]
    assert {share.name: share.vectors / share.elements for share in main.lattices} == {
        "int": pytest.approx(1),
        "e8": pytest.approx(1 / 8),
    }
    likelihoods = codec(x)["likelihoods"]
    for latent, likelihood in zip((main, side), likelihoods.values()):
        bits = -likelihood[0].double().log2().numpy()
        assert latent.shape == bits.shape
        # Likelihoods spread it over all elements.
        ahead = latent.step_bits + latent.filter_bits + latent.correction_bits
        each = latent.bits + ahead / latent.bits.size
        assert np.allclose(each, bits.sum(axis=0), rtol=1e-4)
        channels = np.array([c.bits for c in latent.channels])
        channels += (latent.step_bits + latent.filter_bits) / len(channels)
        if latent.corrections is not None:
            channels += correction_bits(latent.corrections)
        assert np.allclose(channels, bits.sum(axis=(1, 2)), rtol=1e-4)


def test_zeros_spreads_and_escapes_are_counted() -> None:
    density = GaussianDensity(np.array([0.3, 0.7, 3.0]))
    channel = LatticeChannel(density, RULES["int"])
    levels = np.array([0, 0, 0, 0, 1, 1, 2, 2], dtype=np.int16)
    values = np.array([0, 0, 0, 0.9, 0, 1, 1e5, -1e6])
    coded = Coded(sent(channel, values, Prior((2, 2, 2), levels, np.zeros(8))), [NO_SHIFT])
    settings = Settings("int", "exact", "density", True)
    container = Container(settings, 30, 32, b"abcd", b"efgh", (coded.string,))
    [explained] = explain(container, 99, 16, [coded]).latents
    check_sums(explained)
    assert (explained.stride, explained.escaped) == (16, 2)
    found = [(share.name, share.elements, share.zeros) for share in explained.spreads]
    assert found == [("0.25 … 0.5", 4, 3), ("0.5 … 1", 2, 1), ("2 … 4", 2, 0)]
    assert [(share.name, share.zeros) for share in explained.channels] == [("0", 3), ("1", 1)]
    assert explained.bits.argmax() == 3
    assert "50.0 % zero, 2 coordinates escaped" in str(explained)


def test_the_map_covers_the_image(explanation: Explanation) -> None:
    bits = explanation.bits_per_pixel()  # (100, 150), of 128x192 with the padding
    main, side = (latent.bits for latent in explanation.latents)
    assert (main.shape, side.shape, bits.shape) == ((8, 12), (2, 3), (100, 150))
    assert bits[16, 33] == pytest.approx(main[1, 2] / 16**2 + side[0, 0] / 64**2)
    assert bits[99, 149] == pytest.approx(main[6, 9] / 16**2 + side[1, 2] / 64**2)


def test_bits_go_where_the_detail_is(tmp_path: Path) -> None:
    codec = wrap(zoo.load("tiny-mbt2018-mean", quality=3), "int", shift=False)
    x = torch.full((1, 3, 64, 256), 0.5)
    x[..., 192:] = photo(64, 64)
    codec.save(tmp_path / "x.lo", x)
    bits = codec.explain(tmp_path / "x.lo").bits_per_pixel()
    assert bits[:, 208:].mean() > 5 * bits[:, :128].mean()


def test_largest() -> None:
    shares = [Share(str(i), 10, i, 5.0, float(bits)) for i, bits in enumerate((3, 9, 1, 4))]
    assert largest(shares, 2) == [shares[1], shares[3], Share("2 others", 20, 2, 10.0, 4.0)]
    assert largest(shares, 4) == [shares[i] for i in (1, 3, 0, 2)]


# -- refusals ------------------------------------------------------------------------------------


def test_files_that_are_not_its_own(codec: Codec, coded: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*absent.lo"):
        codec.explain(tmp_path / "absent.lo")
    (tmp_path / "cut.lo").write_bytes(coded.read_bytes()[:-1])
    with pytest.raises(BitstreamError, match="checksum"):
        codec.explain(tmp_path / "cut.lo")
    with pytest.raises(BitstreamError, match="written by a codec with quant='hex'"):
        wrap(codec.model, "int").explain(coded)
    with pytest.raises(BitstreamError, match="another model"):
        wrap(tiny(MeanScaleHyperprior, seed=1), "hex").explain(coded)


# -- text and plot -------------------------------------------------------------------------------


def test_text(explanation: Explanation) -> None:
    paragraphs = str(explanation).split("\n\n")
    bpp = 8 * explanation.file_bytes / 15000
    assert paragraphs[0].splitlines() == [
        f"150x100, {explanation.file_bytes} bytes, {bpp:.4f} bpp",
        "lattice hex, pmf exact, direction density, portable",
    ]
    parts = [line.split()[0] for line in paragraphs[1].splitlines()]
    assert parts == ["part", "header", "lengths", "main", "side"]
    assert paragraphs[2].startswith("main latent: 12x8x12, ")
    headings = [paragraph.split()[0] for paragraph in paragraphs[3:]]
    assert headings == ["lattice", "spread", "channel", "side", "lattice", "spread", "channel"]
    for table in (*paragraphs[1:2], *paragraphs[3:6]):
        assert len({len(line) for line in table.splitlines()}) == 1  # columns line up
    [*_, last] = paragraphs[5].splitlines()
    assert last.startswith("4 others ")  # than the eight channels that are shown, of twelve


def test_text_of_shifts_and_corrections(tmp_path: Path) -> None:
    for shift in (True, False):
        codec = wrap(tiny(FactorizedPrior), "int", shift, direction="split", scales=True)
        codec.save(tmp_path / "x.lo", photo(64, 64))
        explanation = codec.explain(tmp_path / "x.lo")
        [main] = explanation.latents
        shifts = ", ".join(f"{step:.3g}" for step in main.steps) if shift else "none"
        lines = str(explanation).splitlines()
        assert f"shift: {shifts}" in lines and any(main.steps) == shift
        assert "lattice int, pmf exact, direction split, portable, scales corrected" in lines
        [corrected] = (line for line in lines if line.startswith("channels corrected: "))
        step = next(step for step in main.corrections if step)
        assert f"{(main.corrections == step).sum()} by {step:+d}" in corrected


def test_plot(explanation: Explanation, codec: Codec, coded: Path, tmp_path: Path) -> None:
    plot_bits(explanation, codec.load(coded), tmp_path / "bits.png")
    with Image.open(tmp_path / "bits.png") as image:
        assert image.format == "PNG" and image.width > image.height > 300


def test_a_plot_is_written_whole_or_not_at_all(
    explanation: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Figure, file: object, **__: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", broken)
    with pytest.raises(KeyboardInterrupt):
        plot_bits(explanation, torch.zeros(1, 3, 100, 150), tmp_path / "bits.png")
    assert not list(tmp_path.iterdir())
