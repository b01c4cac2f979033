"""scripts/train_zoo.py: runs go on where they stopped, codecs start from others, exports load."""

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import train_zoo
from support.models import moving, photo

from latentopt import zoo
from latentopt.errors import InputError
from latentopt.media.images import write_png
from latentopt.training import InTurn, Photographs, inherit
from latentopt.zoo.architectures import CLASSES
from latentopt.zoo.embedded import CODECS, EMBEDDED
from latentopt.zoo.folder import Folder
from latentopt.zoo.names import OWN, SAMPLED

pytest.importorskip("pytorch_optimizer", reason="pip install 'latentopt[train]'")

COMMON = train_zoo.Settings(
    architecture="mbt2018-mean",
    widths=[8, 12],
    lmbda=0.01,
    steps=4,
    warmup=2,
    learning_rate=1e-3,
    crop=64,
    batch=2,
    seed=1,
)
START = ("tiny-mbt2018-mean", 1)
CONFIGS = {
    "tiny-mbt2018-mean": COMMON,
    "tiny-mbt2018": replace(COMMON, architecture="mbt2018", widths=[8, 10], start=START),
    "tiny-ssf2020": replace(
        COMMON,
        architecture="ssf2020",
        widths=[8, 12, 10, 6],
        half=["img_decoder"],
        crop=128,
        batch=1,
        frames=2,
        steps=2,
    ),
}


@pytest.fixture
def args(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    monkeypatch.setattr(train_zoo, "settings", lambda codec, _: CONFIGS[codec])
    for i in range(3):
        write_png(tmp_path / f"{i}.png", photo(140, 150, seed=i))
    folders = ["--data", str(tmp_path), "--runs", str(tmp_path), "--device", "cpu"]
    return train_zoo.parser().parse_args(["tiny-mbt2018-mean", "1", *folders])


def test_runs_resume_and_export(
    args: argparse.Namespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train_zoo.loop("tiny-mbt2018-mean", 1, args).train(4, check_every=2)
    run = train_zoo.loop("tiny-mbt2018-mean", 1, args)
    assert run.step == 4
    run.train(6, check_every=2)
    with open(args.runs / "tiny-mbt2018-mean-1.csv") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4", "6"]

    folder = Folder(args.runs / "weights", "embedded", EMBEDDED.codecs)
    monkeypatch.setattr(train_zoo, "EMBEDDED", folder)
    train_zoo.main(["tiny-mbt2018-mean", "1", "--runs", str(args.runs), "--export"])
    assert str(folder.file("tiny-mbt2018-mean", 1)) in capsys.readouterr().out
    assert folder.metadata("tiny-mbt2018-mean", 1)["start"] == "random"
    model = zoo.load("tiny-mbt2018-mean", weights=folder.file("tiny-mbt2018-mean", 1))
    assert model(photo(64, 64))["x_hat"].isfinite().all()


def test_a_codec_starts_from_another(args: argparse.Namespace) -> None:
    train_zoo.loop("tiny-mbt2018-mean", 1, args).train(4, check_every=4)
    donor = torch.load(args.runs / "tiny-mbt2018-mean-1.best.pt", weights_only=True)["model"]
    own = train_zoo.loop("tiny-mbt2018", 1, args).model.state_dict()
    assert torch.equal(own["g_a.0.weight"], donor["g_a.0.weight"])
    rows = {tuple(row.flatten().tolist()) for row in donor["g_a.6.weight"]}
    assert all(tuple(row.flatten().tolist()) in rows for row in own["g_a.6.weight"])


WIDER = {"all alike": (12, 20), "fewer latent channels": (12, 8), "only more of them": (8, 20)}


@pytest.mark.parametrize("widths", WIDER.values(), ids=WIDER)
@pytest.mark.parametrize("name", ["mbt2018-mean", "bmshj2018-factorized"])
def test_a_wider_codec_starts_as_the_same_function(name: str, widths: tuple[int, int]) -> None:
    torch.manual_seed(0)
    donor, model = CLASSES[name](8, 12), CLASSES[name](*widths)
    x = photo(64, 64)
    with torch.no_grad():
        inherit(model, donor, x)
        y, expected = model.g_a(x), donor.g_a(x)
        kept = min(widths[1], 12)
        loudest = expected.std(dim=(0, 2, 3)).argsort(descending=True)[:kept]
        keep = loudest if kept < 12 else torch.arange(12)
        torch.testing.assert_close(y[:, :kept], expected[:, keep])
        only = torch.zeros_like(expected)
        only[:, keep] = expected[:, keep]
        torch.testing.assert_close(model.g_s(y), donor.g_s(only))
    if name == "bmshj2018-factorized":
        densities = model.entropy_bottleneck.quantiles[:kept]
        assert torch.equal(densities, donor.entropy_bottleneck.quantiles[keep])


def test_a_narrower_codec_is_no_start() -> None:
    donor, model = CLASSES["mbt2018-mean"](12, 12), CLASSES["mbt2018-mean"](8, 12)
    with pytest.raises(InputError, match="start from a codec whose transforms are no wider"):
        inherit(model, donor, photo(64, 64))


def test_weights_that_ship_are_a_start_and_others_must_be_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = train_zoo.weights("tiny-mbt2018-mean", 1, tmp_path)
    assert found.keys() == zoo.load("tiny-mbt2018-mean", 1).state_dict().keys()
    assert "as it ships" in capsys.readouterr().out
    for codec in ("tiny-mbt2018-mean", "small-mbt2018-mean"):
        with pytest.raises(InputError, match=f"train {codec} 0 first"):
            train_zoo.weights(codec, 0, tmp_path)


def test_settings_that_there_are_none_of_are_named(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for codec, quality, said in (
        ("nope", "1", "tiny-mbt2018"),
        ("tiny-mbt2018", "9", "4, 3, 2, 1"),
    ):
        with pytest.raises(InputError, match=said):
            train_zoo.main([codec, quality, "--runs", str(runs)])
    assert not runs.exists()


def test_folders_take_turns(args: argparse.Namespace, tmp_path: Path) -> None:
    other = tmp_path / "grey"
    other.mkdir()
    write_png(other / "x.png", torch.full((1, 3, 140, 140), 0.5))
    own = CONFIGS["tiny-mbt2018-mean"]
    source = train_zoo.data(own, [train_zoo.images(f) for f in (*args.data, other)], "cpu")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none: no photographs in it"):
        train_zoo.images(tmp_path / "none")
    with pytest.raises(InputError, match="no sources"):
        InTurn([])
    spread = [source.batch(step).std(dim=(2, 3)).max().item() for step in range(4)]
    assert min(spread[::2]) > 0.01 > 1e-6 > max(spread[1::2])


def test_a_video_codec_trains_resumes_and_exports(
    args: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_zoo, "HELD_OUT_CLIPS", 8)
    large = args.runs / "large"
    large.mkdir()
    for i in range(2):
        write_png(large / f"{i}.png", photo(200, 210, seed=i))
    args.data = [large]
    folders = ["--data", str(large), "--runs", str(args.runs), "--device", "cpu"]
    train_zoo.main(["tiny-ssf2020", "1", *folders, "--check-every", "2"])
    monkeypatch.setitem(CONFIGS, "tiny-ssf2020", replace(CONFIGS["tiny-ssf2020"], steps=4))
    run = train_zoo.loop("tiny-ssf2020", 1, args)
    assert run.step == 2
    run.train(4, check_every=2)
    folder = Folder(args.runs / "weights", "embedded", EMBEDDED.codecs)
    monkeypatch.setattr(train_zoo, "EMBEDDED", folder)
    train_zoo.export("tiny-ssf2020", 1, args)
    loaded = zoo.load("tiny-ssf2020", weights=folder.file("tiny-ssf2020", 1))
    frames = moving(2, 128, 128)
    strings, shapes = loaded.compress(frames)
    assert len(loaded.decompress(strings, shapes)) == 2


def test_minutes_end_a_run_that_starts_from_its_own_best_weights(
    args: argparse.Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = "tiny-mbt2018-mean"
    train_zoo.loop(codec, 1, args).train(4, check_every=4)
    before = torch.load(tmp_path / f"{codec}-1.best.pt", weights_only=True)["model"]
    args.start, args.runs, args.minutes, args.batch = tmp_path, tmp_path / "runs", 0.05, 1
    args.runs.mkdir()
    own = train_zoo.loop(codec, 1, args).model.state_dict()
    assert all(torch.equal(v, before[k]) for k, v in own.items() if v.shape == before[k].shape)

    train_zoo.train(codec, 1, args)
    with open(args.runs / f"{codec}-1.csv") as file:
        checks = list(csv.DictReader(file))
    assert checks[0]["step"] == "0" and int(checks[-1]["step"]) > 0
    assert int(checks[-1]["seconds"]) <= 3 + 1
    args.to = tmp_path / "weights"
    train_zoo.export(codec, 1, args)
    assert replace(EMBEDDED, path=args.to).metadata(codec, 1)["start"] == f"{codec}-1"


def test_where_there_is_no_checkpoint_training_starts_from_the_weights_that_ship(
    tmp_path: Path,
) -> None:
    args = argparse.Namespace(start=tmp_path, runs=tmp_path)
    given = train_zoo.donor("tiny-mbt2018-mean", 1, args)
    shipped = zoo.load("tiny-mbt2018-mean", 1)
    x = photo(64, 64)
    assert given and torch.equal(given.eval()(x)["x_hat"], shipped(x)["x_hat"])


def test_a_codec_goes_on_with_the_transforms_of_another(
    args: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = replace(CONFIGS["tiny-mbt2018"], transforms=START)
    monkeypatch.setitem(CONFIGS, "tiny-mbt2018", own)
    states = {}
    for codec in ("tiny-mbt2018", "tiny-mbt2018-mean"):
        states[codec] = CLASSES[CODECS[codec]](8, 12).state_dict()
        state = {"model": states[codec], "step": 1, "seconds": 1.0}
        torch.save(state, args.runs / f"{codec}-1.best.pt")
    args.start = args.runs
    model = train_zoo.donor("tiny-mbt2018", 1, args)
    assert model
    for name, value in model.state_dict().items():
        other = name.startswith(("g_a.", "g_s."))
        given = states["tiny-mbt2018-mean" if other else "tiny-mbt2018"][name]
        assert torch.equal(value, given), name


def test_transforms_that_do_not_fit_are_refused(
    args: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = CONFIGS["tiny-mbt2018"]
    monkeypatch.setitem(
        CONFIGS, "tiny-mbt2018", replace(own, transforms=("tiny-cheng2020-attn", 1))
    )
    with pytest.raises(InputError, match="tiny-cheng2020-attn 1 are not of the shape of tiny-mbt"):
        train_zoo.donor("tiny-mbt2018", 1, args)
    monkeypatch.setitem(CONFIGS, "tiny-mbt2018", replace(own, start=None, transforms=START))
    with pytest.raises(InputError, match="tiny-mbt2018 1: transforms take the place of a start's"):
        train_zoo.donor("tiny-mbt2018", 1, args)


def test_densities_of_clips_are_not_learned_first(args: argparse.Namespace) -> None:
    own = replace(CONFIGS["tiny-ssf2020"], crop=64, fits_densities=True)
    source = train_zoo.data(own, [train_zoo.images(args.data[0])], "cpu")
    with pytest.raises(InputError, match="ssf2020: fits_densities is for codecs of images"):
        train_zoo.new_model(own, source, None)


def test_densities_are_learned_first_where_settings_say_so(args: argparse.Namespace) -> None:
    source = Photographs(train_zoo.images(args.data[0]), crop=64, batch=2, seed=1)
    x = source.batch(1)

    def rate(own: train_zoo.Settings) -> float:
        model = train_zoo.new_model(own, source, None).eval()
        return -float(model(x)["likelihoods"]["y"].detach().log2().mean())

    own = replace(COMMON, architecture="bmshj2018-factorized")
    assert rate(replace(own, fits_densities=True)) < 0.5 * rate(own)


def test_larger_batches_have_larger_learning_rates() -> None:
    assert COMMON.sized(None, None) == COMMON
    assert COMMON.sized(8, 96) == replace(COMMON, batch=8, crop=96, learning_rate=2e-3)
    assert COMMON.sized(200, None).learning_rate == train_zoo.MAX_RATE
    hot = replace(COMMON, learning_rate=5e-3)
    assert hot.sized(8, None).learning_rate == 5e-3


@pytest.mark.parametrize("codec", [c for c in CODECS if zoo.family(c) not in (*SAMPLED, *OWN)])
def test_settings_of_all_qualities_are_complete(codec: str) -> None:
    text = (train_zoo.FOLDER / f"{codec}.toml").read_text()
    for quality in train_zoo.tomllib.loads(text)["quality"]:
        own = train_zoo.settings(codec, int(quality))
        assert own.architecture == CODECS[codec] and own.steps > own.warmup
