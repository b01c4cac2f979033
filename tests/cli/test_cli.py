"""The command line: what it writes and prints, and one clear line for everything it refuses."""

import argparse
import io
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from compressai.models import FactorizedPrior, MeanScaleHyperprior
from PIL import Image
from support.commands import Refused, captured, pixels, run
from support.fresh import elsewhere
from support.models import photo, tiny

import latentopt
from latentopt import wrap, zoo
from latentopt.adapters import with_step
from latentopt.bitstream import DIRECTIONS, Container, Settings
from latentopt.bitstream.headers import PMFS, QUANTS, SAMPLERS, VERSIONS
from latentopt.cli import encode, recipe
from latentopt.cli.main import COMMANDS, main
from latentopt.codec.recipe import ALTERNATIVES, PRESETS
from latentopt.encoder import SEARCHES
from latentopt.lattices import RULES
from latentopt.media.images import read_image, to_uint8, write_png

MEAN = ["--codec", "mbt2018-mean"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """OpenMP threads that wait for a busy core make small operations a hundred times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small mbt2018-mean."""
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save(tiny(MeanScaleHyperprior).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def tiny_coded(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> bytes:
    """What the command writes with those weights, for a 70x50 image."""
    folder = tmp_path_factory.mktemp("coded")
    write_png(folder / "x.png", photo(50, 70))
    argv = ["encode", str(folder / "x.png"), "-o", str(folder / "x.lo"), *MEAN, "--quant", "hex"]
    assert main([*argv, "--weights", str(tiny_weights)]) == 0
    return (folder / "x.lo").read_bytes()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    write_png(tmp_path / "x.png", photo(50, 70))
    return tmp_path / "x.png"


@pytest.fixture
def coded(tmp_path: Path, tiny_coded: bytes) -> Path:
    (tmp_path / "x.lo").write_bytes(tiny_coded)
    return tmp_path / "x.lo"


@pytest.fixture
def crop(tmp_path: Path, kodak: list[Path]) -> Path:
    """A piece of a photograph, 128x96."""
    with Image.open(kodak[22]) as whole:
        whole.crop((300, 100, 428, 196)).save(tmp_path / "crop.png")
    return tmp_path / "crop.png"


class Terminal(io.StringIO):
    """A standard error that a person looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    return Refused(tmp_path, capsys)


# -- round trips ---------------------------------------------------------------------------------


def with_one_thread(*argv: object) -> tuple[int, str, str]:
    torch.set_num_threads(1)
    return captured(*argv)


def test_fresh_process_decodes_to_the_encoders_pixels(crop: Path, shared: Path) -> None:
    """Nothing but the file and the weights passes from encoder to decoder."""
    weights = shared / "weights/lab-mean-2.pt"
    assert run("encode", crop, "-o", crop.with_suffix(".lo"), *MEAN, "--weights", weights) == 0
    decoded = crop.with_name("decoded.png")
    argv = ["decode", crop.with_suffix(".lo"), "-o", decoded, *MEAN, "--weights", weights]
    assert elsewhere(with_one_thread, *argv) == (0, f"128x96: {decoded}\n", "")
    encoder = wrap(zoo.load("mbt2018-mean", weights=weights))
    expected = to_uint8(encoder(read_image(crop))["x_hat"])
    assert torch.equal(pixels(crop.with_name("decoded.png")), expected)
    mse = (expected.float() - pixels(crop).float()).square().mean()
    assert 10 * torch.log10(255**2 / mse) > 25


@pytest.mark.parametrize(
    "options",
    [
        "--quant hex --shift grid --direction sign",
        "--quant int --shift none --pmf paper --no-portable",
        "--quant d4 --step 2",
        "--quant auto --direction split --scales",
    ],
)
def test_the_file_tells_the_decoder_how_it_was_written(
    options: str, image: Path, tiny_weights: Path
) -> None:
    coded, decoded = image.with_name("y.lo"), image.with_name("y.png")
    model = [*MEAN, "--weights", tiny_weights]
    assert run("encode", image, "-o", coded, *model, *options.split()) == 0
    step = options.split("--step")[1:]
    assert run("decode", coded, "-o", decoded, *model, *(["--step", *step] if step else [])) == 0
    settings = Container.from_bytes(coded.read_bytes()).settings
    said = {settings.quant, settings.pmf, settings.direction}
    assert said <= {*options.split(), "exact", "density"}
    assert settings.portable == ("--no-portable" not in options)
    assert settings.scales == ("--scales" in options)
    stepped = with_step(zoo.load("mbt2018-mean", weights=tiny_weights), float((*step, 1)[0]))
    shift = "grid" if "grid" in options else "none" not in options
    codec = wrap(
        stepped,
        settings.quant,
        shift,
        direction=settings.direction,
        pmf=settings.pmf,
        portable=settings.portable,
        scales=settings.scales,
    )
    assert torch.equal(pixels(decoded), to_uint8(codec(read_image(image))["x_hat"]))


def test_real_factorized_codec(
    crop: Path, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = shared / "weights/bmshj2018-factorized-q2.pt"
    model = ["--codec", "bmshj2018_factorized", "--weights", weights]
    coded = crop.with_name("y.lo")
    assert run("encode", crop, "-o", coded, *model, "--quant", "hex") == 0
    size = coded.stat().st_size
    printed = capsys.readouterr()
    assert run("decode", coded, "-o", crop.with_name("y.PNG"), *model) == 0
    mse = (pixels(crop.with_name("y.PNG")).float() - pixels(crop).float()).square().mean()
    psnr = 10 * torch.log10(255**2 / mse)
    assert psnr > 25 and size < 128 * 96
    quality = rf"{size} bytes, {size * 8 / (128 * 96):.4f} bpp, {psnr:.2f} dB, \d+\.\d s"
    how = "bmshj2018_factorized bmshj2018-factorized-q2.pt plain"
    assert re.fullmatch(rf"{quality}, {how}: {re.escape(str(coded))}\n", printed.out)
    assert printed.err == ""


def test_grey_and_opaque_images(tmp_path: Path, tiny_weights: Path) -> None:
    grey = Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64))
    grey.save(tmp_path / "grey.png")
    grey.convert("RGBA").save(tmp_path / "opaque.png")
    for name in ("grey", "opaque"):
        argv = ["encode", tmp_path / f"{name}.png", "-o", tmp_path / f"{name}.lo", *MEAN]
        assert run(*argv, "--weights", tiny_weights, "--quant", "int") == 0
    assert (tmp_path / "grey.lo").read_bytes() == (tmp_path / "opaque.lo").read_bytes()


def test_outputs_are_replaced(image: Path, coded: Path, tiny_weights: Path) -> None:
    before = coded.read_bytes()
    model = [*MEAN, "--weights", tiny_weights]
    assert run("encode", image, "-o", coded, *model, "--quant", "int") == 0
    assert coded.read_bytes() != before
    assert run("decode", coded, "-o", image, *model) == 0
    assert pixels(image).shape == (3, 50, 70)
    assert {p.name for p in image.parent.iterdir()} == {"x.png", "x.lo"}


def test_info(coded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", coded) == 0
    data = coded.read_bytes()
    lines = capsys.readouterr().out.splitlines()
    fields = {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}
    payload = int(fields.pop("payload").removesuffix(" bytes"))
    assert len(data) - 29 <= payload <= len(data) - 25
    assert fields == {
        "file": f"{coded}, {len(data)} bytes",
        "format version": str(data[3]),
        "image size": "70x50",
        "codec": "mbt2018-mean",
        "quality": "weights of one's own",
        "step": "1",
        "lattice": "hex",
        "pmf": "exact",
        "direction": "density",
        "portable": "yes",
        "scales": "the model's",
        "weights hash": data[9:13].hex(),
        "table hash": data[13:17].hex(),
        "rate": f"{8 * len(data) / 3500:.4f} bpp",
    }


def test_explain(
    coded: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    explain = ["explain", coded, *MEAN, "--weights", tiny_weights]
    plot = coded.with_name("bits.PNG")
    codec = wrap(zoo.load("mbt2018-mean", weights=tiny_weights), "hex")
    assert run(*explain, "--plot", plot) == 0
    assert capsys.readouterr() == (f"{coded}: {codec.explain(coded)}\n", "")
    with Image.open(plot) as image:
        assert image.format == "PNG"
    refused("is an input too", *explain, "--plot", coded)
    refused("bits.jpg: explain writes PNG", *explain, "--plot", coded.with_name("bits.jpg"))
    refused("cannot write .*: there is no folder", *explain, "--plot", coded / "bits.png")


@pytest.mark.parametrize(
    ("options", "quant", "direction", "scales"),
    [
        ("", "auto", "density", True),
        ("--quant hex", "hex", "density", False),
        ("--preset plain", "oct", "density", False),
        ("--preset paper", "oct", "density", False),
        ("--preset default", "auto", "density", True),
        ("--preset slow --quant int --no-scales", "int", "split", False),
        ("--preset fast --direction sign", "auto", "sign", True),
    ],
)
def test_presets(
    options: str, quant: str, direction: str, scales: bool, image: Path, tiny_weights: Path
) -> None:
    """Where an option is given it prevails, else the preset's value, else `wrap`'s, else default's.

    That is, without any option the preset is `default`.
    """
    coded, model = image.with_name("y.lo"), [*MEAN, "--weights", tiny_weights]
    assert run("encode", image, "-o", coded, *model, *options.split()) == 0
    settings = Container.from_bytes(coded.read_bytes()).settings
    preset = options.split()[1] if "--preset" in options else None if options else "default"
    adaptive = preset in ("fast", "default", "slow")
    known = Settings(
        quant, "exact", direction, True, scales, adaptive=adaptive, postfilter=adaptive
    )
    assert settings == replace(known, context=preset == "slow")
    codec = wrap(
        zoo.load("mbt2018-mean", weights=tiny_weights),
        quant,
        preset=preset,
        direction=direction,
        scales=scales,
    )
    codec.save(image.with_name("z.lo"), read_image(image))
    assert coded.read_bytes() == image.with_name("z.lo").read_bytes()
    assert run("decode", coded, "-o", image.with_name("y.png"), *model) == 0


# -- refusals ------------------------------------------------------------------------------------


def test_bad_arguments(image: Path, refused: Refused) -> None:
    encode = ["encode", image, "-o", image.with_name("y.lo")]
    refused("COMMAND")
    refused("invalid choice: 'encod'", "encod")
    refused("--weights: name their architecture with --codec", *encode, "--weights", "w")
    relu = ["--codec", "bmshj2018-factorized-relu"]
    refused("which weights. Give a quality, or a checkpoint", *encode, *relu)
    refused("-o/--output", "decode", image)
    refused("not allowed with", *encode, *MEAN, "--quality", 1, "--weights", "w")
    refused("invalid int value: 'high'", *encode, *MEAN, "--quality", "high")
    for option in ("--preset", "--quant", "--shift", "--direction", "--pmf", "--device"):
        refused(f"{option}: invalid choice: 'x'", *encode, *MEAN, "--quality", 1, option, "x")
    for step in ("0", "-1", "nan", "inf", "two"):
        refused(f"'{step}' is not a positive number", *encode, *MEAN, f"--step={step}")


def test_codecs_and_weights(image: Path, refused: Refused, tiny_weights: Path) -> None:
    encode = ["encode", image, "-o", image.with_name("y.lo"), "--codec"]
    refused("did you mean mbt2018-mean", *encode, "mbt2018-men", "--quality", 1)
    refused("unknown codec 'jpegxl'; known: ", *encode, "jpegxl", "--quality", 1)
    refused("no quality 99: valid are 1 to 8", *encode, "mbt2018-mean", "--quality", 99)
    refused("absent.pt: no such file", *encode, "mbt2018-mean", "--weights", "absent.pt")
    refused("checkpoint", *encode, "mbt2018-mean", "--weights", image)
    wrong = [*encode, "bmshj2018-factorized", "--weights", tiny_weights]
    refused("not the weights of bmshj2018-factorized", *wrong)


def test_images(tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(message: str, name: str) -> None:
        argv = ["encode", tmp_path / name, "-o", tmp_path / "y.lo", *MEAN, "--quality", 1]
        refused(rf"{re.escape(name)}: .*{message}", *argv)

    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    Image.new("RGBA", (4, 4), (1, 2, 3, 99)).save(tmp_path / "clear.png")
    Image.new("L", (65536, 1)).save(tmp_path / "wide.png")
    Image.new("L", (4, 4)).save(tmp_path / "large.png")
    (tmp_path / "text.png").write_text("not an image")
    write_png(tmp_path / "cut.png", photo(50, 70))
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:2000])
    (tmp_path / "folder").mkdir()
    refuse("no such image", "absent.png")
    refuse("not a readable image", "text.png")
    refuse("not a readable image", "cut.png")
    refuse("no image or clip in this folder", "folder")
    refuse("bits per sample; convert it", "deep.png")
    refuse("transparent pixels", "clear.png")
    refuse("65536x1 is more than 65535 a side", "wide.png")
    monkeypatch.setattr("latentopt.media.MAX_PIXELS", 15)
    refuse("or 15 pixels; cut it into tiles", "large.png")


def test_outputs(
    image: Path, coded: Path, refused: Refused, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are refused before any image or model is looked at."""
    monkeypatch.setattr("latentopt.media.images.read_image", None)
    monkeypatch.setattr("latentopt.zoo.load", None)
    folder = image.parent
    (folder / "link.png").symlink_to(image)
    (folder / "weights.pt").write_bytes(b"w")
    os.mkfifo(folder / "pipe.png")
    model = [*MEAN, "--weights", folder / "weights.pt"]

    def refuse(message: str, name: str) -> None:
        refused(message, "encode", image, "-o", folder / name, *model)
        refused(message, "decode", coded, "-o", folder / name, *model)

    refused("is an input too", "encode", image, "-o", image, *model)
    refused("is an input too", "encode", image, "-o", folder / "link.png", *model)
    refused("is an input too", "decode", coded, "-o", coded, *model)
    refused("decode writes PNG", "decode", coded, "-o", folder / "y.jpg", *model)
    refuse("is an input too", "weights.pt")
    refuse("not a regular file", "pipe.png")
    refuse("there is no folder .*absent; make it first", "absent/y.png")
    refuse("there is no folder .*x.png", "x.png/y.png")
    refuse("name is too long", "y" * 300 + ".png")


def test_protected_outputs(image: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so the system's answers are made up."""
    argv = ["encode", image, "-o", image.with_name("y.lo"), *MEAN, "--quality", 1]

    def denied(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", denied)
    refused("cannot write .*y.lo: Permission denied", *argv)
    image.with_name("y.lo").write_bytes(b"precious")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    refused("cannot write .*y.lo: it is write-protected", *argv)


def test_corrupt_files(coded: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by both readers, before a model is loaded."""
    monkeypatch.setattr("latentopt.zoo.load", None)
    good = coded.read_bytes()
    flipped = bytes([*good[:30], good[30] ^ 1, *good[31:]])
    newer = bytes([*good[:3], VERSIONS[-1] + 1, *good[4:]])
    contents = {
        "not a latentopt file: it is empty": b"",
        "not a latentopt file: it is a PNG image": b"\x89PNG",
        "not a latentopt file: the first bytes are not": b"\x88PNG",
        "truncated": good[:10],
        "checksum mismatch: .* truncated": good[:-1],
        "checksum mismatch": flipped,
        "format version": newer,
    }
    bad, png = coded.with_name("bad.lo"), coded.with_name("y.png")
    for message, content in contents.items():
        bad.write_bytes(content)
        refused(f"bad.lo: {message}", "info", bad)
        refused(f"bad.lo: {message}", "decode", bad, "-o", png, *MEAN, "--quality", 1)
        refused(f"bad.lo: {message}", "explain", bad, *MEAN, "--quality", 1)
    refused("cannot read .*absent.lo: No such file", "info", coded.with_name("absent.lo"))
    refused("cannot read .*: Is a directory", "info", coded.parent)
    absent = coded.with_name("absent.lo")
    refused("cannot read .*absent.lo", "decode", absent, "-o", png, *MEAN, "--quality", 1)


def test_other_models(coded: Path, refused: Refused, tiny_weights: Path) -> None:
    decode = ["decode", coded, "-o", coded.with_name("y.png")]
    stepped = [*decode, *MEAN, "--weights", tiny_weights, "--step", 1.5]
    refused("x.lo: written by another model", *stepped)
    explain = ["explain", coded, *MEAN, "--weights", tiny_weights, "--step", 1.5]
    refused("x.lo: written by another model", *explain)
    torch.save(tiny(MeanScaleHyperprior, seed=1).state_dict(), coded.with_name("other.pt"))
    other = [*decode, *MEAN, "--weights", coded.with_name("other.pt")]
    refused("x.lo: written by another model: its weights hash is", *other)
    torch.save(tiny(FactorizedPrior).state_dict(), coded.with_name("other.pt"))
    other = [*decode, "--codec", "bmshj2018-factorized", "--weights", coded.with_name("other.pt")]
    refused("x.lo: written by another model", *other)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(image: Path, refused: Refused) -> None:
    argv = ["encode", image, "-o", image.with_name("y.lo"), *MEAN, "--quality", 1]
    refused("device cuda: PyTorch sees no GPU", *argv, "--device", "cuda")


# -- manners -------------------------------------------------------------------------------------


def test_quality_reaches_the_zoo(
    image: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, asked = zoo.load("mbt2018-mean", weights=tiny_weights), []
    monkeypatch.setattr("latentopt.zoo.load", lambda *given: asked.append(given) or model)
    argv = ["encode", image, "-o", image.with_name("y.lo"), *MEAN, "--quality", 3]
    assert run(*argv, "--quant", "int") == 0
    assert asked == [("mbt2018-mean", 3, None, "mse")]


def test_interrupt(
    image: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("latentopt.zoo.load", interrupted)
    assert run("encode", image, "-o", image.with_name("y.lo"), *MEAN, "--quality", 1) == 130
    assert capsys.readouterr() == ("", "latentopt: interrupted\n")
    assert [p.name for p in image.parent.iterdir()] == ["x.png"]


def test_progress_shows_on_a_terminal_only(
    coded: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["decode", coded, "-o", coded.with_name("y.png"), *MEAN, "--weights", tiny_weights]
    for terminal in (Terminal(), io.StringIO()):
        monkeypatch.setattr("sys.stderr", terminal)
        assert run(*argv) == 0
        stages = ("reading the file", "loading the model", "building tables", "decoding")
        assert all((stage in terminal.getvalue()) == terminal.isatty() for stage in stages)


@pytest.mark.parametrize(("preset", "shown"), [("slow", True), ("default", False)])
def test_long_encodings_show_their_steps(
    preset: str, shown: bool, image: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["encode", image, "-o", image.with_name("y.lo"), *MEAN, "--weights", tiny_weights]
    for terminal in (Terminal(), io.StringIO()):
        monkeypatch.setattr("sys.stderr", terminal)
        assert run(*argv, "--preset", preset) == 0
        assert ("refining" in terminal.getvalue()) == (shown and terminal.isatty())


@pytest.mark.parametrize("preset", ["slow", "best"])
def test_a_bar_changes_nothing_else(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what context models take instead become what the others take."""
    parser = argparse.ArgumentParser()
    encode.add_arguments(parser)
    argv = ["x.png", "-o", "x.lo", *MEAN, "--quality", "1", "--preset", preset]
    monkeypatch.setattr("sys.stderr", Terminal())
    shown = recipe.recipe(parser.parse_args(argv))
    for made, plain in (
        (shown, PRESETS[preset]),
        *((getattr(shown, kind), getattr(PRESETS[preset], kind)) for kind in ALTERNATIVES),
    ):
        assert made and plain and made.effort and plain.effort and made.effort.progress
        assert replace(made, effort=plain.effort, **plain.alternatives) == plain
        assert replace(made.effort, progress=False) == plain.effort


def test_choices_are_the_registries() -> None:
    assert tuple(RULES) == QUANTS == recipe.QUANTS
    assert (*SEARCHES, "none") == recipe.SHIFTS
    assert tuple(DIRECTIONS) == recipe.DIRECTIONS
    assert tuple(PMFS) == recipe.PMFS
    assert tuple(PRESETS) == recipe.PRESETS
    assert SAMPLERS == recipe.SAMPLERS


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--help"])
    assert stop.value.code == 0
    assert f"  latentopt {command}" in capsys.readouterr().out.split("example", 1)[1]


def test_bdrate_reports_through_the_same_door(refused: Refused) -> None:
    refused("--codec", "bdrate")
    refused("did you mean mbt2018-mean", "bdrate", "--codec", "mbt2018-men")
    refused("--qualities '1,x'", "bdrate", *MEAN, "--qualities", "1,x", "--data", "sample")


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["encode", "--help"], 0),
        (["encode", "x.png", "-o", "y.lo", "--codec", "c"], 2),
        (["info", "absent.lo"], 2),
        (["decode", "absent.lo", "-o", "y.png"], 2),
        (["explain", "absent.lo"], 2),
        (["encode", "x.png", "-o", "y.lo", "--codec", "tiny-mbt2018-men"], 2),
        (["decode", "x.lo", "-o", "y.png", "--codec", "tiny-mbt2018-men"], 2),
        (["zoo", "list"], 0),
        (["zoo", "list", "--json"], 0),
    ],
)
def test_what_needs_no_model_is_quick(argv: list[str], code: int) -> None:
    """It does not import PyTorch, which takes seconds."""
    assert quick(*argv) == code


def test_info_is_quick(coded: Path) -> None:
    assert quick("info", str(coded)) == 0


def quick(*argv: str) -> int:
    """The command's exit code in a process of its own, in which PyTorch cannot be imported."""
    script = (
        "import sys; sys.modules['torch'] = None; from latentopt.cli.main import main\n"
        f"sys.exit(main({list(argv)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    return done.returncode


def test_the_version_and_the_line_of_a_mistake() -> None:
    script = (
        "import sys; from latentopt.cli.main import main\n"
        "assert main(['encode', 'absent.png', '-o', 'y.lo', '--codec', 'c']) == 2\n"
        "main(['--version'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"latentopt {latentopt.__version__}\n")
    assert done.stderr == "latentopt: cannot read absent.png: no such image or clip\n"


@pytest.mark.parametrize("command", [("decode", "-o", "y.png"), ("explain",)])
def test_settings_that_nothing_writes_are_the_files_fault(
    command: tuple[str, ...], coded: Path, tiny_weights: Path, refused: Refused
) -> None:
    """The paper's tables with corrected scales, under a checksum that fits."""
    body = bytearray(coded.read_bytes()[:-4])
    body[4] = 0xC8
    coded.write_bytes(bytes(body) + zlib.crc32(body).to_bytes(4, "little"))
    name, *more = command
    options = [str(coded.parent / m) if m.endswith(".png") else m for m in more]
    refused("x.lo: the header's settings", name, coded, *options, *MEAN, "--weights", tiny_weights)
