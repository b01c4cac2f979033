"""Figures of one-hot max: sheets of digits, recipes, integers in maps, what is measured of cuts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.models import photo
from support.one_hot import one_hot

import latentopt
from latentopt import Codec, Container, InputError
from latentopt.training import fit_quantiles
from latentopt.zoo.one_hot_codec import OneHotCodec
from tables.common.experiment import Request
from tables.common.harness import Dataset
from tables.onehot import onehot_digits, onehot_photographs
from tables.onehot.codecs import cutting, rows, train
from tables.onehot.codecs.digits import Sheets, cut_out, digits, sheet
from tables.onehot.codecs.integers import IntegerAdapter, IntegerCodec

RECIPES = sorted(path.stem for path in train.FOLDER.glob("*.toml"))
DIGITS = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)


def integers() -> IntegerCodec:
    torch.manual_seed(0)
    model = IntegerCodec(6, 8, maps=4, layers=2)
    model.g_a[-1].weight.data *= 20
    fit_quantiles(model, steps=50)
    model.update(force=True)
    return model.eval()


def test_digits_come_out_of_a_sheet_as_they_went_in() -> None:
    x = sheet(DIGITS, columns=4)
    assert x.shape == (1, 3, 96, 128)
    found = cut_out(x)[0, 0].flatten(0, 1) * 255
    assert torch.equal(found.round().to(torch.uint8), torch.from_numpy(DIGITS))
    assert float(x[..., :2, :].sum()) == float(x[..., 30:34, :].sum()) == 0


def test_sheets_follow_from_the_step() -> None:
    data = Sheets(DIGITS, columns=2, batch_size=3, seed=5)
    assert data.batch(4).shape == (3, 3, 64, 64)
    assert torch.equal(data.batch(4), data.batch(4))
    assert not torch.equal(data.batch(4), data.batch(5))


def test_the_file_of_digits_is_named_where_it_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mnist\.npz: no such file"):
        digits(tmp_path / "mnist.npz", "test")
    np.savez(tmp_path / "m.npz", train_images=np.arange(300), test_images=np.arange(7))
    parts = [digits(tmp_path / "m.npz", part) for part in ("train", "held out", "test")]
    assert [len(part) for part in parts] == [300 - 256, 256, 7]


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_make_their_models(name: str) -> None:
    own = train.Recipe.named(name)
    model = own.model()
    assert isinstance(model, OneHotCodec) == bool(own.symbols)
    assert own.rates.maps == (model.quantizer.maps if own.symbols else model.M)
    if own.start:  # the transforms are those of the start
        donor = latentopt.zoo.load(*own.start)
        x = photo(64, 64)
        y = model.g_a[:7](x)
        torch.testing.assert_close(y, donor.g_a(x))
        torch.testing.assert_close(model.g_s[-7:](y), donor.g_s(y))


def test_all_that_the_figures_show_has_a_recipe() -> None:
    shown = [*onehot_digits.CODECS.values(), *onehot_photographs.CODECS.values()]
    assert sorted(shown) == RECIPES
    with pytest.raises(InputError, match="unknown codec 'nope': choose clic-int-16"):
        train.Recipe.named("nope")
    with pytest.raises(InputError, match=r"python -m tables\.onehot\.codecs\.train clic-ohm"):
        train.trained("clic-ohm", Path("/nowhere"))


def test_integers_are_cut_as_they_are_trained() -> None:
    model, x = integers(), photo(32, 48)
    codec = latentopt.wrap(model, "int", False, progressive=True, adapter=IntegerAdapter)
    data = codec.save_bytes(x)
    assert len(Container.from_bytes(data).maps) == 4
    for count in (1, 3, 4):
        expected = model(x, torch.tensor([count]))["x_hat"].clamp(0, 1)
        torch.testing.assert_close(codec.load_bytes(data, maps=count), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["mnist-ohm-0-a", "mnist-int-16"])
def test_training_begins_with_the_transforms_of_another(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = replace(train.Recipe.named("mnist-start"), widths=(4, 6), maps=6)
    second = replace(train.Recipe.named(name), widths=(4, 6), maps=3)
    donor = IntegerCodec(4, 6, maps=6, layers=3)
    donor.g_a[-1].weight.data *= 20
    donor.update(force=True)
    state = {f"codec.{k}": v for k, v in donor.state_dict().items()}
    torch.save({"model": state}, tmp_path / "mnist-start.best.pt")
    known = {"mnist-start": first}
    monkeypatch.setattr(train.Recipe, "named", staticmethod(known.__getitem__))
    source = Sheets(DIGITS, columns=2, batch_size=2, seed=0)
    model = second.begun(source, tmp_path)
    assert torch.equal(model.g_s[-1].weight, donor.g_s[-1].weight)
    x, kept = source.batch(9), torch.full((2,), 99)
    y = donor.g_a[:-1](x)
    wanted = donor.g_s[0](donor.g_a[-1](y))  # what the donor's synthesis sees, but for rounding
    found = model.through(y, kept.clamp(max=3))[0]
    assert float((found - wanted).square().mean() / wanted.var(dim=(0, 2, 3)).mean()) < 0.5


def test_rows_are_of_the_weights_that_were_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request("x", Dataset("x", ()), (), tmp_path / "rows", tmp_path / "committed")
    monkeypatch.setattr(rows, "RUNS", tmp_path)
    monkeypatch.setattr(rows, "codec_of", lambda name: latentopt.wrap(one_hot()))
    monkeypatch.setattr(rows, "trained", lambda name: one_hot())
    place, measured = rows.Place("clic-ohm", "kodak", 2, request), []

    def measure(codec: Codec) -> list[cutting.Cut]:
        measured.append(codec)
        return [cutting.Cut(1, 0.1, 20.0), cutting.Cut(2, 0.2, 22.5)]

    torch.save({"step": 7, "seconds": 90.0}, tmp_path / "clic-ohm.best.pt")
    found = rows.rows_of(place, measure)
    assert found == rows.Rows(measure(one_hot()), steps=7, minutes=1.5)
    assert rows.rows_of(place, measure) == found
    assert len(measured) == 2  # the second time here, not there
    (tmp_path / "rows").rename(tmp_path / "committed")
    (tmp_path / "clic-ohm.best.pt").unlink()
    assert rows.rows_of(place, measure) == found
    torch.save({"step": 7, "seconds": 90.0}, tmp_path / "clic-ohm.best.pt")
    monkeypatch.setattr(rows, "trained", lambda name: one_hot(seed=1))
    with pytest.raises(InputError, match="clic-ohm was trained, and not measured"):
        rows.rows_of(replace(place, request=replace(request, run=False)), measure)
    shown = replace(place, request=replace(request, rows=request.committed))
    assert rows.rows_of(shown, measure) == found


def test_a_file_that_was_cut_is_measured_anew_and_others_rows_stay(tmp_path: Path) -> None:
    request = Request("x", Dataset("x", ()), (), tmp_path / "rows", tmp_path / "committed")
    two, one = (rows.Place("a", "kodak", count, request) for count in (2, 1))
    cuts = [cutting.Cut(1, 0.1 + 0.2, 20.0), cutting.Cut(2, 0.5, 22.5)]
    assert rows.shipped_cuts(two, one_hot, lambda: cuts) == cuts
    assert rows.shipped_cuts(one, one_hot, lambda: cuts[:1]) == cuts[:1]
    assert rows.shipped_cuts(two, one_hot, lambda: []) == cuts  # still there
    [file] = (tmp_path / "rows").rglob("*.csv")
    file.write_bytes(file.read_bytes()[:-9])
    assert rows.shipped_cuts(two, one_hot, lambda: cuts) == cuts


def test_cuts_are_of_bytes_and_pixels() -> None:
    codec, images = latentopt.wrap(one_hot()), [photo(32, 48), photo(40, 40, seed=1)]
    cuts = cutting.curve(codec, images)
    assert [cut.maps for cut in cuts] == [1, 2, 3, 4, 5]
    sizes = [len(Container.from_bytes(codec.save_bytes(x)).cut(2).to_bytes()) for x in images]
    assert cuts[1].bpp == pytest.approx(np.mean([8 * sizes[0] / 1536, 8 * sizes[1] / 1600]))
    few = cutting.curve(codec, images, maps=(2, 99))
    assert few == [cuts[1], cuts[4]]
    half = cuts[0].bpp + (cuts[1].bpp - cuts[0].bpp) / 2
    [between, beyond] = cutting.at_rates(cuts, [half, 99.0])
    assert between == pytest.approx((cuts[0].psnr_db + cuts[1].psnr_db) / 2)
    assert np.isnan(beyond)


def test_a_codec_is_trained_and_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = train.Recipe.named("mnist-ohm-0-a")
    small = replace(own, widths=(4, 6), maps=3, symbols=4, steps=2, batch=1, after="")
    monkeypatch.setattr(train.Recipe, "named", staticmethod(lambda name: small))
    many = np.random.default_rng(0).integers(0, 256, (300, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "mnist.npz", train_images=many, test_images=many[:2])
    argv = ["mnist-ohm-0-a", "--data", str(tmp_path), "--runs", str(tmp_path)]
    assert train.main([*argv, "--check-every", "1"]) == 0
    assert train.main([*argv, "--export", str(tmp_path / "w.safetensors")]) == 0
    model = latentopt.zoo.load("tiny-ohm", weights=tmp_path / "w.safetensors")
    trained = train.trained("mnist-ohm-0-a", tmp_path)
    for name, value in trained.state_dict().items():
        error = (model.state_dict()[name] - value).abs().max()
        assert float(error) <= float(value.abs().max()) / 100, name  # of storage in eight bits
