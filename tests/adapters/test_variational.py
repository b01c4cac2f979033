"""Codecs that send samples: what arrives is what the encoder says, of both levels."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from support.commands import run
from support.models import photo
from torch import nn

import latentopt
from latentopt import BitstreamError, InputError, UnsupportedModelError, zoo
from latentopt.adapters import VariationalAdapter, with_step
from latentopt.adapters.variational_net import (
    GammaPln,
    MirrorConv,
    MirrorDeconv,
    Normal,
    Pln,
    Vae,
    mirrored,
)
from latentopt.bitstream.headers import SAMPLERS
from latentopt.cli import samples
from latentopt.codec import sampled
from latentopt.codec.image import Codec
from latentopt.codec.sampled import SampledEncoder
from latentopt.latents import Gaussian
from latentopt.latents.sampling import SampledLatent, Sampling
from latentopt.media.images import to_uint8, write_png
from latentopt.media.quality import psnr_db
from latentopt.zoo.names import SAMPLED

KINDS = (Vae, Pln, GammaPln)


def model(kind: type[Vae] = Pln, seed: int = 0) -> Vae:
    """Small, with posteriors that say something."""
    torch.manual_seed(seed)
    made = kind(N=8, F=6) if kind is Vae else kind(N=8, M=8, F=6, G=4)  # type: ignore[call-arg]
    with torch.no_grad():
        for name in ("g_a.6", "h_a.4")[: made.levels]:
            last = made.get_submodule(name)
            last.weight *= 20
            last.bias[len(last.bias) // 2 :] -= 1.5
        for unit in ("unit", "unit2")[: made.levels]:
            made.get_submodule(unit).spread.fill_(0.2)
    return made.eval()


def codec(kind: type[Vae] = Pln, sampler: str = "layered") -> Codec:
    return latentopt.wrap(model(kind), spread=Sampling(1.0, sampler, seed=3))


# -- networks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(64, 64), (64, 128), (192, 128)])
def test_shapes(kind: type[Vae], size: tuple[int, int]) -> None:
    out = model(kind)(torch.rand(2, 3, *size))
    assert out["x_hat"].shape == (2, 3, *size)
    shapes = [tuple(own.shape) for own in out["divergences"]]
    assert (
        shapes
        == [(2, 6, size[0] // 16, size[1] // 16), (2, 4, size[0] // 64, size[1] // 64)][
            : kind.levels
        ]
    )


def test_edges_are_mirrored() -> None:
    x = torch.arange(5.0).reshape(1, 1, 1, 5).expand(1, 1, 5, 5)
    assert mirrored(x, 2)[0, 0, 0].tolist() == [2, 1, 0, 1, 2, 3, 4, 3, 2]
    constant = torch.ones(1, 1, 8, 8)
    for layer in (MirrorConv(1, 1), MirrorDeconv(1, 1)):
        nn.init.constant_(layer.weight, 1.0)
        y = layer(constant)[0, 0]
        phases = y[::2, ::2] if isinstance(layer, MirrorDeconv) else y
        torch.testing.assert_close(phases, phases[:1, :1].expand_as(phases))  # no edge is seen


def test_divergence_and_combination_are_those_of_gaussians() -> None:
    q, p = (Normal(*torch.rand(2, 50, dtype=torch.float64) + 0.1) for _ in range(2))
    torch_q, torch_p = (torch.distributions.Normal(n.mean, n.spread) for n in (q, p))
    expected = torch.distributions.kl_divergence(torch_q, torch_p)
    torch.testing.assert_close(q.divergence(p), expected)
    both, t = q.combined(p, 2.0), torch.linspace(-1, 2, 7, dtype=torch.float64)[:, None]
    product = torch_q.log_prob(t) + torch_p.log_prob(t)
    difference = product - torch.distributions.Normal(both.mean, both.spread).log_prob(t)
    torch.testing.assert_close(difference, difference[:1].expand_as(difference))
    other = q.combined(p, 1.0)
    torch.testing.assert_close(1 / other.spread, 1 / q.spread + 1 / p.spread)


def test_only_gamma_ladders_learn_the_scale() -> None:
    assert [model(kind).log_gamma.requires_grad for kind in KINDS] == [False, False, True]


# -- what arrives ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_decoding_gives_the_encoders_own_sample(kind: type[Vae], sampler: str) -> None:
    own, x = codec(kind, sampler), photo(40, 100)
    coded = own.encode(x)
    strings = [one.string for [one] in coded.values()]
    assert [isinstance(one.latent, SampledLatent) for [one] in coded.values()] == [True] * len(
        coded
    )
    again = own.decode(strings, (40, 100))
    for [one], two in zip(coded.values(), again):
        np.testing.assert_array_equal(one.latent.hat, two.latent.hat)
        assert two.string == one.string
    out = own.compress(x)
    assert torch.equal(own.decompress(**out)["x_hat"], own(x)["x_hat"])


@pytest.mark.parametrize("sampler", ["astar", "rejection", "poisson"])
def test_samples_are_of_each_posterior(sampler: str) -> None:
    """Of those elements that candidates suffice for, whose spreads no decoder knows."""
    own = codec(Pln, sampler)
    [levels] = SampledEncoder(own.assembly).sent(photo(256, 256))
    [(crossed, target), _] = levels
    assert isinstance(target, Gaussian) and isinstance(crossed, SampledLatent)
    noise = (crossed.hat - target.values) / target.spreads
    kl = own.assembly.channels[0].divergence(crossed, target)  # type: ignore[attr-defined]
    assert kstest(noise[kl < 3], "norm").pvalue > 1e-3 and (kl < 3).sum() > 500


def test_the_prior_is_the_models_own() -> None:
    """Whatever level of the table an element has, its prior is what level 2 says."""
    own, x = codec(), photo(64, 128)
    adapter = own.assembly.adapter
    assert isinstance(adapter, VariationalAdapter)
    [one], [two] = own.encode(x).values()
    second = torch.from_numpy(two.latent.hat).reshape(1, 4, 1, 2)
    with torch.no_grad():
        expected = Normal.of(own.model.double().h_s(second))
    prior = one.latent.prior
    spread = prior.scaled(adapter.densities[0].spreads[prior.levels])
    np.testing.assert_allclose(spread, expected.spread.numpy().ravel(), rtol=1e-9)
    np.testing.assert_allclose(prior.centres, expected.mean.numpy().ravel(), rtol=1e-9, atol=1e-12)


def test_divergences_are_those_of_the_network() -> None:
    own, x = codec(), photo(128, 128)
    found = own.divergences(x)
    torch.manual_seed(0)
    with torch.no_grad():
        expected = [float(kl.sum()) / np.log(2) for kl in own.model(x)["divergences"]]
    assert found["z"][0] == pytest.approx(expected[1], rel=0.02)
    assert found["y"][0] == pytest.approx(expected[0], rel=0.1)  # given another sample of level 2


def test_divergences_of_codecs_that_are_not_trained_for_samples(mean_scale: nn.Module) -> None:
    found = latentopt.wrap(mean_scale, spread=0.29).divergences(photo(64, 64))
    assert found["y"][0] > 0 and np.isnan(found["z"][0])


@pytest.fixture
def mean_scale() -> nn.Module:
    from support.models import FAMILIES, tiny

    return tiny(FAMILIES["mbt2018-mean"])


def test_a_batch_is_its_images() -> None:
    own, x = codec(), torch.cat([photo(64, 64), photo(64, 64).flip(3)])
    both = own.compress(x)["strings"]
    each = [own.compress(x[i : i + 1])["strings"] for i in range(2)]
    assert [[s[0] for s in one] for one in each] == [[s[i] for s in both] for i in range(2)]


# -- recipes, files, the command -------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["plain", "default"])
def test_that_no_vectors_are_formed_ahead_may_be_said_of_samples(preset: str) -> None:
    said = latentopt.wrap(model(), preset=preset, prepacked=False)
    assert said.settings == latentopt.wrap(model()).settings


def test_recipes() -> None:
    default = latentopt.wrap(model()).recipe.spread
    assert (
        default == Sampling(samples.SPREAD, sampled.SAMPLER) and samples.SAMPLER == sampled.SAMPLER
    )
    with pytest.raises(InputError, match="sends samples"):
        latentopt.wrap(model(), "hex")
    with pytest.raises(InputError, match="sends samples"):
        latentopt.wrap(model(), preset="best")
    with pytest.raises(UnsupportedModelError):
        with_step(model(), 2.0)


def test_files_and_damage(tmp_path: Path) -> None:
    own, path = codec(sampler="is-gs"), tmp_path / "x.lo"
    own.save(path, photo(64, 80))
    assert torch.equal(own.load(path), own(photo(64, 80))["x_hat"])
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    with pytest.raises(BitstreamError):
        own.load_bytes(bytes(data))


@pytest.mark.parametrize("name", [f"tiny-{family}" for family in SAMPLED[1:]])
def test_the_embedded_ones(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, file, decoded = (tmp_path / n for n in ("x.png", "x.lo", "y.png"))
    write_png(image, photo(96, 128))
    argv = ["encode", image, "-o", file, "--codec", name, "--quality", 2]
    assert run(*argv, "--sampler", "is-gs", "--seed", 5) == 0
    assert run("decode", file, "-o", decoded) == 0
    capsys.readouterr()
    assert run("explain", file, "--against", image) == 0
    text = capsys.readouterr().out
    assert "is-gs, spread 1.0, seed 5" in text and "above KL" in text and "side latent:" in text
    assert run(*argv, "--quant", "hex") == 2
    assert zoo.qualities(name) == (1, 2, 3, 4)


@pytest.mark.parametrize("name", [f"tiny-{family}" for family in SAMPLED[1:]])
def test_each_quality_has_learned(name: str) -> None:
    x, last = photo(256, 256), (0.0, 0.0)
    for quality in zoo.qualities(name):
        found = zoo.load(name, quality)
        codec = latentopt.wrap(found, spread=1.0)
        data = codec.save_bytes(x)
        psnr = float(-10 * torch.log10((codec.load_bytes(data) - x).square().mean()))
        assert (len(data), psnr) > last and psnr > last[1], (quality, psnr)
        last = len(data), psnr


@pytest.mark.parametrize(
    "option",
    [
        *(("--quant", "hex"), ("--dither", "3"), ("--progressive",), ("--lmbda", "0.1")),
        *(("--versus-plain",), ("--target-bpp", "1"), ("--step", "2"), ("--format", "compressai")),
    ],
    ids=lambda option: option[0],
)
def test_options_for_points_are_refused_by_name(
    option: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(tmp_path / "x.png", photo(64, 64))
    assert run("encode", tmp_path / "x.png", "--codec", "tiny-pln", *option) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"latentopt: {option[0]}") and "tiny-pln sends samples" in error
    assert not (tmp_path / "x.lo").exists()


def test_another_image_is_no_original(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, other, file = (tmp_path / n for n in ("x.png", "z.png", "x.lo"))
    write_png(image, photo(64, 64))
    write_png(other, photo(64, 80))
    assert run("encode", image, "-o", file, "--codec", "tiny-pln", "--quality", 1) == 0
    assert run("explain", file, "--against", other) == 2
    assert "not the file's original" in capsys.readouterr().err


def test_an_image_of_the_same_size_is_told_by_its_psnr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, other, file = (tmp_path / n for n in ("x.png", "z.png", "x.lo"))
    write_png(image, x := photo(64, 64))
    write_png(other, x.flip(3))
    assert run("encode", image, "-o", file, "--codec", "tiny-pln", "--quality", 3) == 0
    x_hat = latentopt.wrap(zoo.load("tiny-pln", 3)).load(file)
    for path, original in ((image, x), (other, x.flip(3))):
        capsys.readouterr()
        assert run("explain", file, "--against", path, "--json") == 0
        told = json.loads(capsys.readouterr().out)["against"]
        assert told["psnr_db"] == pytest.approx(psnr_db(to_uint8(original), to_uint8(x_hat)))
        assert run("explain", file, "--against", path) == 0
        text = capsys.readouterr().out
        assert f"PSNR against {path}: {told['psnr_db']:.2f} dB" in text
    assert told["psnr_db"] < 20 and all(kl > 0 for kl in told["kl_bits"])


def test_of_latents_that_are_not_sampled_no_divergence_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, file = tmp_path / "x.png", tmp_path / "x.lo"
    write_png(image, photo(64, 64))
    assert run("encode", image, "-o", file, "--spread", 0.29) == 0
    capsys.readouterr()
    assert run("explain", file, "--against", image) == 0
    _, above = capsys.readouterr().out.split("above KL:")
    assert [line.split(":")[0] for line in above.split("\n") if line] == ["main latent"]
    assert run("explain", file, "--against", image, "--json") == 0
    main, side = json.loads(capsys.readouterr().out)["against"]["kl_bits"]
    assert main > 0 and side is None


def test_weights_of_ones_own(tmp_path: Path) -> None:
    torch.save(model().state_dict(), tmp_path / "w.pt")
    loaded = zoo.load("pln", weights=tmp_path / "w.pt")
    assert isinstance(loaded, Pln)
    a, b = (
        latentopt.wrap(m, spread=1.0).compress(photo(64, 64))["strings"] for m in (loaded, model())
    )
    assert a == b
