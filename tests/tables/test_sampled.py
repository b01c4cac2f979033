"""Tables about samples: their recipes, what they measure, and the loss that ladders learn by."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.models import photo
from torch import Tensor

import latentopt
from latentopt import InputError, zoo
from latentopt.adapters.variational_net import GammaPln, Output, Pln
from latentopt.media.images import write_png
from latentopt.training.elbo import GAMMA_LEAST, BetaElbo
from latentopt.zoo.architectures import SAMPLED
from tables.common.data import resolve
from tables.common.experiment import Request
from tables.sampling import powers
from tables.sampling.codecs import train
from tables.sampling.common.anchors import QUALITIES, anchor
from tables.sampling.common.coded import OF_FILE, OF_SAMPLES, coded, information
from tables.sampling.sampled_rd import EXPERIMENT

WIDTHS = {"N": 4, "M": 4, "F": 4, "G": 3}


def out(x: Tensor, error: float, gamma: float) -> Output:
    kl = [torch.full((1, 2, 4, 4), 0.5), torch.full((1, 1, 1, 1), 3.0)]
    return {"x_hat": x + error, "divergences": kl, "gamma": torch.tensor(gamma)}


def test_the_loss_is_the_negative_elbo() -> None:
    x, loss = torch.full((1, 3, 8, 8), 0.4), BetaElbo(2.0)
    terms = loss(out(x, 0.1, 0.05), x)
    law = torch.distributions.Laplace(x + 0.1, 0.05)
    expected = -law.log_prob(x).sum() / 64 + 2.0 * (16 + 3) / 64
    assert float(terms.loss) == pytest.approx(float(expected), rel=1e-5)
    assert float(terms.shown["kl_bpp"]) == pytest.approx(19 / 64 / math.log(2))
    assert float(terms.shown["second_bpp"]) == pytest.approx(3 / 64 / math.log(2))
    narrow = loss(out(x, 0.1, 1e-9), x)
    assert float(narrow.shown["gamma"]) == pytest.approx(GAMMA_LEAST)


def test_beta_warms_up_in_training_alone() -> None:
    x, loss = torch.full((1, 3, 8, 8), 0.4), BetaElbo(2.0, warm=10)
    loss.before_step(4)
    whole = BetaElbo(2.0)(out(x, 0.0, 1.0), x).loss
    half = loss(out(x, 0.0, 1.0), x).loss
    assert float(whole - half) == pytest.approx(19 / 64)
    with torch.no_grad():
        assert loss(out(x, 0.0, 1.0), x).loss == whole


@pytest.mark.parametrize("codec", ["tiny-pln", "tiny-gamma-pln"])
def test_recipes_are_those_of_the_shipped_weights(codec: str) -> None:
    for quality in zoo.qualities(codec):
        own, made = train.Settings.of(codec, quality), zoo.embedded.metadata(codec, quality)
        assert float(made["beta"]) == own.beta and made["architecture"] == own.architecture
        model = zoo.load(codec, quality)
        assert type(model) is SAMPLED[own.architecture]
        assert type(model).widths(model.state_dict()) == dict(own.widths)
    with pytest.raises(InputError, match="no quality 9"):
        train.Settings.of(codec, 9)


def test_training_goes_on_from_other_weights(tmp_path: Path) -> None:
    own = replace(train.Settings.of("tiny-pln", 3), widths=WIDTHS, donor=None)
    batch = photo(64, 64)
    before = own.model(tmp_path, batch)
    torch.save({"model": before.state_dict()}, tmp_path / "tiny-pln-3.best.pt")
    learned = replace(own, architecture="gamma-pln", start=("tiny-pln", 3)).model(tmp_path, batch)
    assert isinstance(learned, GammaPln)
    error = (learned(batch)["x_hat"] - batch).abs().mean()
    assert float(learned.log_gamma.exp()) == pytest.approx(float(error), rel=0.2)
    with pytest.raises(InputError, match="no such file"):
        replace(own, start=("tiny-pln", 7)).model(tmp_path, batch)


def test_transforms_are_inherited_with_the_channels_that_vary_most() -> None:
    donor, model = zoo.load("tiny-mbt2018-mean", 1), Pln(48, 8, 10, 4)
    train.inherit_transforms(model, donor, batch := photo(256, 256))
    latent = donor.g_a(batch)
    keep = latent.std(dim=(0, 2, 3)).argsort(descending=True)[:10]
    mean = model.g_a(batch)[:, :10]
    inner = ..., slice(5, -5), slice(5, -5)  # where no edge is seen
    torch.testing.assert_close(mean[inner], latent[:, keep][inner], atol=1e-4, rtol=1e-4)


def test_what_is_measured_of_a_file() -> None:
    codec, x = latentopt.wrap(zoo.load("tiny-pln", 1), spread=1.0), photo(192, 192)
    found, kl = coded(codec, x), information(codec, x)
    assert tuple(found) == OF_FILE and tuple(kl) == OF_SAMPLES
    assert found["bpp"] == 8 * len(codec.save_bytes(x)) / 192**2
    assert 0 < kl["second_bpp"] < kl["kl_bpp"] < kl["theory_bpp"]


def test_anchors_are_measured_once(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", photo(192, 192))
    data = resolve(str(tmp_path))
    request = Request(str(tmp_path), data, [], tmp_path / "rows", tmp_path / "committed")
    rows = anchor("jpeg", request)
    assert len(rows) == len(QUALITIES["jpeg"]) and rows["psnr_db"].is_monotonic_increasing
    again = anchor("jpeg", replace(request, run=False))
    assert again.equals(rows)
    assert [cell.column for cell in EXPERIMENT.cells(request)][:3] == [
        "bpp",
        "psnr_db",
        "ms_ssim_db",
    ]


def test_powers_differ_in_what_they_weight(tmp_path: Path) -> None:
    """Codecs that begin alike, of which each goes by its own rule, also once it was trained."""
    for codec, power in (("pln-power-1", 1.0), ("pln-power-2", 2.0)):
        own = replace(train.Settings.of(codec, powers.QUALITY), widths=WIDTHS, donor=None)
        model = own.model(tmp_path, photo(64, 64))
        assert isinstance(model, Pln) and model.power == power
        torch.save({"model": model.state_dict()}, tmp_path / f"{codec}-{powers.QUALITY}.best.pt")
        again = train.trained(codec, powers.QUALITY, tmp_path)
        assert isinstance(again, Pln) and again.power == power and not again.training
    found = powers.PROBE.prepare(again)(photo(64, 64))
    assert tuple(found) == powers.PROBE.quantities
    assert 0 < found["second_bpp"] < found["kl_bpp"]
