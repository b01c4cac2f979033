"""Fine-tuning: what is trained on is what is decoded, nothing else changes, and nothing is lost."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from compressai.models import CompressionModel, FactorizedPrior
from support.commands import Refused, pixels, run
from support.models import FAMILIES, photo, tiny
from torch import nn

import latentopt
from latentopt import Container, DataError, InputError, Recipe, zoo
from latentopt.adapters import with_step
from latentopt.bench.configs import parse_recipe
from latentopt.cli import finetune as command
from latentopt.codec.wrap import wrap_image
from latentopt.media.images import write_png
from latentopt.training.tuning import PARTS, Budget, finetune, sent
from latentopt.training.tuning.parts import Tuned, places_of
from latentopt.zoo import folder, writer

SHORT = Budget(steps=12, rounds=2, crops=3, crop=64, batch=2, learning_rate=3e-4)
WILD = 0.03
"""A learning rate that makes every step a bad one."""
SHIFTED, PLAIN = parse_recipe("hex+shift+split"), Recipe("int", None)
FACTORIZED, MEAN = "tiny-bmshj2018-factorized", "tiny-mbt2018-mean"


def dim(codec: str) -> CompressionModel:
    """An embedded codec whose images are too dark, which training mends first."""
    model = zoo.load(codec, 1)
    with torch.no_grad():
        model.g_s[-1].bias -= 0.05
    return model


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    home = tmp_path_factory.mktemp("photos")
    for i in range(8):  # the first and the last of which are for validation
        write_png(home / f"{i}.png", photo(130, 140, seed=i))
    return sorted(home.iterdir())


def states(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(model: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    """First names of the parts of which a tensor is another."""
    now = model.state_dict()
    return {name.split(".")[0] for name in now if not torch.equal(now[name], before[name])}


# -- what is trained on ----------------------------------------------------------------------------


@pytest.mark.parametrize("config", ["int", "hex+shift+split", "e8+scales"])
@pytest.mark.parametrize("family", ["bmshj2018-factorized", "mbt2018-mean"])
def test_points_are_what_files_decode(family: str, config: str) -> None:
    codec, x = wrap_image(tiny(FAMILIES[family]), parse_recipe(config)), photo(64, 128, batch=2)
    points = sent.code(codec, x)
    with torch.no_grad():
        decoded = codec.reconstruct(points.moved[0]).clamp(0, 1)
    out = codec.compress(x)
    assert torch.equal(decoded, codec.decompress(**out)["x_hat"])
    assert [hat.shape for hat in points.hats] == [moved.shape for moved in points.moved]


@pytest.mark.parametrize("name", [FACTORIZED, MEAN, "tiny-mbt2018"])
def test_trained_bits_are_about_those_written(name: str) -> None:
    codec = wrap_image(zoo.load(name, 1), PLAIN)
    tuned, x = Tuned(codec, PARTS[2:]), photo(128, 192)
    with torch.no_grad():
        estimated = tuned.train()(sent.code(codec, x))
        written = tuned.eval()(x)
    assert float(estimated.bits) == pytest.approx(float(written.bits), rel=0.05)
    torch.testing.assert_close(estimated.x_hat.clamp(0, 1), written.x_hat, atol=1e-4, rtol=0)


def test_what_is_judged_is_what_files_decode() -> None:
    codec, x = wrap_image(zoo.load(MEAN, 1), PLAIN.but(postfilter=True)), photo(80, 120)
    with torch.no_grad():
        judged = Tuned(codec, ()).eval()(x)
    out = codec.compress(x)
    assert torch.equal(judged.x_hat, codec.decompress(**out)["x_hat"])
    assert judged.bits == 8 * sum(len(string) for [string] in out["strings"])


def test_every_crop_comes_once_before_one_comes_again() -> None:
    class Crops:
        def batch(self, step: int) -> torch.Tensor:
            return torch.arange(5.0).reshape(5, 1, 1, 1).expand(5, 3, 64, 64) / 10 + step / 2

    codec = wrap_image(tiny(FactorizedPrior), PLAIN)
    budget = replace(SHORT, steps=10, crops=5)  # 2 rounds of 5 steps of 2 crops
    source = sent.Decoded(codec, Crops(), budget)  # type: ignore[arg-type]
    values = [source.batch(step).x.mean(dim=(1, 2, 3)) for step in range(10)]
    first, second = torch.cat(values[:5]), torch.cat(values[5:])
    for epoch in (first[:5], first[5:], second[:5] - 0.5, second[5:] - 0.5):
        torch.testing.assert_close(epoch.sort().values, torch.arange(5.0) / 10)


# -- what comes of it ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [FACTORIZED, MEAN])
def test_the_synthesis_gets_better_and_nothing_else_changes(
    name: str, photos: list[Path], tmp_path: Path
) -> None:
    model = dim(name)
    before = states(model)
    outcome = finetune(model, SHIFTED, photos, tmp_path / "run", SHORT)
    assert outcome.improved and outcome.after["loss"] < outcome.before["loss"]
    assert outcome.after["psnr_db"] > outcome.before["psnr_db"]
    assert changed(model, before) == {"g_s"}
    assert (tmp_path / "run" / "state.csv").read_text().startswith("step,seconds,bpp,psnr_db,loss")


def test_hyper_synthesis_and_density_learn_the_rate(photos: list[Path], tmp_path: Path) -> None:
    model = dim(MEAN)
    before = states(model)
    outcome = finetune(model, PLAIN, photos, tmp_path / "run", SHORT, PARTS)
    assert changed(model, before) == {"g_s", "h_s", "entropy_bottleneck"}
    assert outcome.after["bpp"] < outcome.before["bpp"]
    strings = model.compress(photo(64, 64))  # by its own tables, which have followed
    assert torch.isfinite(model.decompress(**strings)["x_hat"]).all()


def test_another_step_has_a_synthesis_of_its_own(photos: list[Path], tmp_path: Path) -> None:
    model = dim(FACTORIZED)
    before = states(model)
    outcome = finetune(model, PLAIN, photos, tmp_path / "run", SHORT, step=1.5)
    assert outcome.improved and changed(model, before) == {"g_s"}
    tuned = Tuned(wrap_image(with_step(model, 1.5), PLAIN), ())
    x = photo(64, 64)
    first = Tuned(wrap_image(with_step(dim(FACTORIZED), 1.5), PLAIN), ())
    with torch.no_grad():
        errors = [float((t.eval()(x).x_hat - x).square().mean()) for t in (tuned, first)]
    assert errors[0] < errors[1]
    with pytest.raises(InputError, match=r"step 1\.5: densities are trained at step 1 only"):
        finetune(model, PLAIN, photos, tmp_path / "other", SHORT, PARTS, 1.5)


def test_never_worse_than_before(photos: list[Path], tmp_path: Path) -> None:
    model = dim(FACTORIZED)
    before = states(model)
    wild = replace(SHORT, learning_rate=WILD)
    outcome = finetune(model, PLAIN, photos, tmp_path / "run", wild)
    assert not outcome.improved and outcome.after == outcome.before
    assert changed(model, before) == set()


def test_a_stopped_run_equals_one_that_was_not(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, twice = dim(FACTORIZED), dim(FACTORIZED)
    finetune(once, SHIFTED, photos, tmp_path / "once", SHORT)
    own = sent.Decoded.batch

    def stopped(source: sent.Decoded, step: int) -> sent.Points:
        if step == 9:  # in the second round
            raise KeyboardInterrupt
        return own(source, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sent.Decoded, "batch", stopped)
        finetune(twice, SHIFTED, photos, tmp_path / "twice", SHORT)
    assert changed(twice, states(dim(FACTORIZED))) == set()
    finetune(twice, SHIFTED, photos, tmp_path / "twice", SHORT)
    assert changed(once, states(twice)) == set()


def test_what_is_refused(photos: list[Path], tmp_path: Path) -> None:
    model, plain = tiny(FactorizedPrior), PLAIN
    with pytest.raises(InputError, match="no hyper-synthesis that could be trained"):
        finetune(model, plain, photos, tmp_path, SHORT, PARTS)
    with pytest.raises(InputError, match="unknown part 'analysis': choose of synthesis"):
        places_of(wrap_image(model, plain).assembly.adapter, ["analysis"])
    with pytest.raises(InputError, match="crop 72: this codec takes multiples of 16"):
        finetune(model, plain, photos, tmp_path, replace(SHORT, crop=72))
    with pytest.raises(InputError, match="1 photograph: at least 2 are needed"):
        finetune(model, plain, photos[:1], tmp_path, SHORT)
    with pytest.raises(InputError, match="rounds 0: it must be positive"):
        replace(SHORT, rounds=0)
    with pytest.raises(InputError, match="steps 1: at least one in each of 2 rounds"):
        replace(SHORT, steps=1)
    with pytest.raises(InputError, match="seed -1: it must not be negative"):
        replace(SHORT, seed=-1)
    assert not any(tmp_path.iterdir())
    short = replace(SHORT, steps=2)
    finetune(model, plain, photos, tmp_path / "run", short)
    with pytest.raises(InputError, match="holds a run that was begun otherwise"):
        finetune(model, SHIFTED, photos, tmp_path / "run", short)


def test_a_run_on_other_photographs_of_the_same_names_is_refused(
    photos: list[Path], tmp_path: Path
) -> None:
    model, short = tiny(FactorizedPrior), replace(SHORT, steps=2)
    own = [tmp_path / str(file.stem) / "x.png" for file in photos]  # all of one name
    for file, other in zip(own, photos):
        file.parent.mkdir()
        shutil.copy(other, file)
    folder = tmp_path / "run"
    finetune(model, PLAIN, own, folder, short)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    kept = tiny(FactorizedPrior)  # as the model was, whose weights are others now
    write_png(own[2], photo(130, 140, seed=99))
    with pytest.raises(InputError, match="run: holds a run that was begun otherwise; move it"):
        finetune(kept, PLAIN, own, folder, short)
    shutil.copy(photos[2], own[2])
    finetune(kept, PLAIN, own[::-1], folder, short)  # it is of the same, in whatever order
    after = {file: file.read_bytes() for file in folder.iterdir()}
    assert after == before


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "holds a run, and no begun.json that would say of what; bring it back, or take"),
        (b"", "begun.json: is damaged; bring back a copy, or take another folder"),
        (b"\xff{}", "begun.json: is damaged"),
        (b'{"weights": "1', "begun.json: is damaged"),
        (b"{}", "begun.json: is damaged"),
        (b"[]", "begun.json: is damaged"),
        (b"[" * 100_000, "begun.json: is damaged"),
    ],
)
def test_a_run_that_does_not_say_what_it_is_is_refused(
    content: bytes | None, why: str, photos: list[Path], tmp_path: Path
) -> None:
    short = replace(SHORT, steps=2)
    finetune(tiny(FactorizedPrior), PLAIN, photos, tmp_path, short)
    begun = tmp_path / "begun.json"
    begun.unlink() if content is None else begun.write_bytes(content)
    before = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    with pytest.raises(InputError, match=why):
        finetune(tiny(FactorizedPrior), PLAIN, photos, tmp_path, short)
    assert {file: file.read_bytes() for file in before} == before


def test_damaged_photographs_are_named(photos: list[Path], tmp_path: Path) -> None:
    damaged = tmp_path / "x.png"
    damaged.write_bytes(photos[0].read_bytes()[:300])
    with pytest.raises(DataError, match=r"x\.png: (is empty|not a readable image)"):
        finetune(tiny(FactorizedPrior), PLAIN, [*photos, damaged], tmp_path / "run", SHORT)
    assert not (tmp_path / "run").exists()


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of the user's with a checkpoint of a small codec called `small`."""
    monkeypatch.setenv("LATENTOPT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "small.safetensors"
    state = dim(MEAN).state_dict()
    folder.write(file, state, {"architecture": "mbt2018-mean", "lambda": "0.01"})
    zoo.add("small", file, "mbt2018-mean", 2)
    return tmp_path


OPTIONS = ("--steps", 8, "--rounds", 1, "--crops", 2, "--crop", 64, "--learning-rate", 3e-4)


def test_what_the_command_trained_decodes_by_its_name_and_by_its_hash(
    home: Path, photos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--codec", "small", "--quality", 2, "--quant", "hex", "--data", photos[0].parent)
    assert run("finetune", *given, "-o", home / "sharp.safetensors", *OPTIONS) == 0
    said = capsys.readouterr().out
    assert "before: " in said and "after 8 steps: " in said and "--codec sharp --quality 2" in said
    gain = re.search(r"^gain: \+\d\.\d{3} dB, \+0\.0000 bpp, and (.+) % of the loss$", said, re.M)
    losses = [float(loss) for loss in re.findall(r"loss (\S+)$", said, re.M)]
    assert gain, said
    assert float(gain[1]) == pytest.approx(100 * (1 - losses[1] / losses[0]), rel=0.1)
    assert zoo.lmbda("sharp", 2) == zoo.lmbda("small", 2) == 0.01
    assert folder.recorded(home / "sharp.safetensors")["source"] == "small 2 finetuned"

    write_png(home / "x.png", photo(64, 80))
    words = ("--codec", "sharp", "--quality", 2, "--quant", "hex", "--shift", "none")
    assert run("encode", home / "x.png", "-o", home / "x.lo", *words) == 0
    header = Container.from_bytes((home / "x.lo").read_bytes())
    assert header.origin is not None and header.origin.codec == "sharp"
    assert header.weights_hash != writer.hash_of(zoo.load("small", 2))
    assert run("decode", home / "x.lo", "-o", home / "named.png") == 0
    zoo.remove("sharp")
    elsewhere = ("--weights", home / "sharp.safetensors")  # which say what they are
    assert run("decode", home / "x.lo", "-o", home / "weighed.png", *elsewhere) == 0
    assert torch.equal(pixels(home / "named.png"), pixels(home / "weighed.png"))
    assert run("zoo", "add", "other", home / "sharp.safetensors") == 0
    assert "use it as --codec other --quality 2" in capsys.readouterr().out
    assert run("decode", home / "x.lo", "-o", home / "hashed.png") == 0
    assert torch.equal(pixels(home / "named.png"), pixels(home / "hashed.png"))
    codec = latentopt.wrap(zoo.load("other", 2), "hex", False)
    out = codec.compress(latentopt.media.images.read_image(home / "x.png"))
    expected = (codec.decompress(**out)["x_hat"] * 255).round()[0]
    assert torch.equal(pixels(home / "named.png").float(), expected)


def test_the_command_says_where_nothing_is_better(
    home: Path, photos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--codec", "small", "--quality", 2, "--quant", "int", "--data", photos[0].parent)
    wild = (*OPTIONS[:-1], WILD)
    assert run("finetune", *given, "-o", home / "wild.safetensors", *wild) == 0
    assert "these stay, and nothing is written" in capsys.readouterr().out
    assert not (home / "wild.safetensors").exists() and "wild" not in zoo.names()


def test_what_the_command_refuses(
    home: Path, photos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    refused = Refused(home, capsys)
    base = ("finetune", "--data", photos[0].parent, "--codec", "small", "--quality", 2)
    refused("weights are written in .safetensors", *base, "-o", home / "x.pt")
    refused("small has a quality 2 already", *base, "-o", home / "y.safetensors", "--name", "small")
    refused("is a built-in codec", *base, "-o", home / "tiny-mbt2018.safetensors")
    refused("is there already", *base, "-o", home / "small.safetensors", "--name", "new")
    refused("choose of hyper-synthesis", *base, "-o", home / "y.safetensors", "--also", "all")
    refused("not a whole number above 0", *base, "-o", home / "y.safetensors", "--steps", 0)
    video = ("finetune", "--data", home, "--codec", "tiny-ssf2020", "-o", home / "y.safetensors")
    refused("only image codecs of one rate", *video)
    refused("names no file", *base, "--data", home / "none", "-o", home / "y.safetensors")


def test_the_command_names_the_damaged_file_of_a_run(
    home: Path, photos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--codec", "small", "--quality", 2, "--quant", "int", "--data", photos[0].parent)
    again = ("finetune", *given, "-o", home / "mine.safetensors", *OPTIONS)
    assert run(*again) == 0
    assert "mine.safetensors.run: " in capsys.readouterr().err  # of the progress bar
    again += ("--force",)
    folder = home / "mine.safetensors.run"
    for name in ("state.pt", "state.best.pt"):
        content = (folder / name).read_bytes()
        for damaged in (b"", content[: len(content) // 2], b"junk" * 50):
            (folder / name).write_bytes(damaged)
            _ends_in_one_line(again, f"{name}: damaged; move", capsys)
        (folder / name).write_bytes(content)
    (folder / "state.best.pt").unlink()
    _ends_in_one_line(again, "state.best.pt: missing; move", capsys)
    (folder / "state.pt").unlink()  # as it says
    assert run(*again) == 0


def _ends_in_one_line(
    argv: Sequence[object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and message in err, err
    assert err.endswith("mine.safetensors.run/state.pt away to train anew\n")


def test_the_command_knows_the_parts() -> None:
    assert PARTS[1:] == command.PARTS
