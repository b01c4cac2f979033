"""The command line on codecs from a checkout of DCVC, of which a stand-in is used."""

import importlib
import json
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from support.dcvc_models import (
    Diverse,
    DualPrior,
    Modulated,
    Predicted,
    SeveralEncoders,
    Unrefined,
    WithMemory,
    lively,
)
from support.dcvc_rt_models import Refined, TwoScale, Unmoved
from support.dcvc_tcm_models import MeanScale, Mined
from support.models import photo

from latentopt import VideoCodec, zoo
from latentopt.adapters import (
    adapter_class,
    dcvc_dc,
    dcvc_fm,
    dcvc_hem,
    dcvc_net,
    dcvc_rt,
    dcvc_tcm,
    intra,
)
from latentopt.adapters.checkout import FAMILIES
from latentopt.cli import dcvc
from latentopt.cli.main import main
from latentopt.codec.wrap import wrap
from latentopt.media.clips import Format, open_clip, write_clip
from latentopt.media.images import read_image, to_uint8, write_png

CLASSES = {
    "DCVC-HEM/src/models/image_model.py": (DualPrior, "IntraNoAR"),
    "DCVC-HEM/src/models/video_model.py": (WithMemory, "DMC"),
    "DCVC-DC/src/models/video_model.py": (Diverse, "DMC"),
    "DCVC-FM/src/models/video_model.py": (Modulated, "DMC"),
    "DCVC/src/models/DCVC_net.py": (Predicted, "DCVC_net"),
}
"""Of the stand-in: where DCVC has a class, and what it is called there."""
WEIGHTS = {Diverse: "DMC of DC", Modulated: "DMC of FM"}
"""Of classes of the same name: what their weights are called."""
ZOO = {"codec": "tiny-mbt2018-mean", "quality": "1"}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A checkout, and weights beside it that are named as their classes."""
    for place, (model, name) in CLASSES.items():
        file = tmp_path / "DCVC-family" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"from support.dcvc_models import {model.__name__} as {name}\n")
        torch.save(lively(model).state_dict(), tmp_path / WEIGHTS.get(model, name))
    return tmp_path


@pytest.fixture
def model(repo: Path) -> list[str]:
    """The options that name its image codec."""
    return options(hem(repo))


def options(named: Mapping[str, object]) -> list[str]:
    return [text for name, value in named.items() for text in (f"--{name}", str(value))]


def hem(repo: Path) -> dict[str, object]:
    return {"codec": "dcvc-hem", "weights": repo / "IntraNoAR", "dcvc-repo": repo}


# -- images ----------------------------------------------------------------------------------------


def test_an_image_goes_through(
    model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, lo, png = (str(tmp_path / name) for name in ("x.png", "x.lo", "decoded.png"))
    write_png(Path(x), photo(60, 90))
    index = ["--q-index", "1"]
    assert main(["encode", x, "-o", lo, "--quant", "oct", *model, *index]) == 0
    assert main(["decode", lo, "-o", png, *model]) == 2  # another rate, so other weights
    assert "of another rate of this one: say which with --q-index" in capsys.readouterr().err
    assert main(["decode", lo, "-o", png, *model, *index]) == 0
    codec = wrap(lively(DualPrior), "oct", True, adapter=intra(q_index=1))
    expected = to_uint8(codec(read_image(Path(x)))["x_hat"][0])
    assert torch.equal(to_uint8(read_image(Path(png))[0]), expected)


def test_plain_rounding_is_that_of_the_same_rate(
    model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = tmp_path / "x.png"
    write_png(x, photo(60, 90))
    argv = ["encode", str(x), "--quant", "int", "--shift", "none", "--versus-plain", "--json"]
    assert main([*argv, *model, "--q-index", "2"]) == 0
    [said] = map(json.loads, capsys.readouterr().out.splitlines())
    assert said["bytes"] == said["plain"]["bytes"]


def test_all_families_of_checkouts_are_known_here() -> None:
    """By name, before PyTorch is imported."""
    predicted = {family for family, _ in dcvc._OF_PREDICTED.values()}
    assert predicted | {*dcvc._OF_IMAGES} == set(FAMILIES)


def test_refused(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = tmp_path / "x.png"
    write_png(x, photo(60, 90))
    argv = ["encode", str(x), "-o", str(tmp_path / "x.lo")]
    for message, *options in (
        (
            "no codec mbt2018: choose DCVC-TCM, DCVC-HEM, DCVC-DC, DCVC-FM, DCVC-RT, EVC-LL",
            "--codec",
            "mbt2018",
            *model[2:],
        ),
        ("name the checkpoint", *model[:2], *model[4:], "--quality", "3"),
        ("no DCVC-DC", "--codec", "dcvc-dc", *model[2:]),
        ("--q-index is for --dcvc-repo", "--codec", "mbt2018", *model[2:4], "--q-index", "0"),
        ("name its checkout, too, with --dcvc-repo", *model[:4]),
        ("at other steps", *model, "--step", "2"),
        ("q_index 9", *model, "--q-index", "9"),
    ):
        assert main([*argv, *options]) == 2
        err = capsys.readouterr().err
        assert message in err, err


def test_what_is_wrong_with_the_checkpoint_is_said_once(
    model: list[str],
    repo: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a folder, before its first file, whatever is done with the files."""
    (repo / "in").mkdir()
    for name in ("a", "b"):
        write_png(repo / "in" / f"{name}.png", photo(60, 90))
    loads = count_calls(monkeypatch, "latentopt.adapters.load_dcvc")
    assert main(["encode", str(repo / "in"), "-o", str(repo / "out"), *model]) == 0
    assert len(loads) == 1
    encode = ["encode", str(repo / "in"), "-o", str(repo / "new"), *model]
    decode = ["decode", str(repo / "out"), "-o", str(repo / "new"), *model]
    capsys.readouterr()
    for argv in (encode, [*encode, "--max-bytes", "900"], decode, [*decode, "--jobs", "2"]):
        loads.clear()
        assert main([*argv, "--q-index", "9"]) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err == "latentopt: q_index 9: the model has 3 scales\n"
        assert len(loads) < 2 and not (repo / "new").exists()


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[object]:
    """A list that grows with each call."""
    calls, place, own = [], *name.rsplit(".", 1)
    work = getattr(importlib.import_module(place), own)

    def counted(*args: object) -> object:
        calls.append(args)
        return work(*args)

    monkeypatch.setattr(name, counted)
    return calls


OTHERS = {
    "dcvc-tcm": ("DCVC-TCM/src/models/priors.py", "IntraNoAR", MeanScale),
    "dcvc-fm": ("DCVC-FM/src/models/image_model.py", "DMCI", Refined),
    "dcvc-rt": ("DCVC-RT/src/models/image_model.py", "DMCI", TwoScale),
    "dcvc-rt-p": ("DCVC-RT/src/models/video_model.py", "DMC", Unmoved),
    "dcvc-tcm-p": ("DCVC-TCM/src/models/video_net_dmc.py", "DMC", Mined),
    "evc-ss": ("EVC/src/models/image_model.py", "EVC_SS", Unrefined),
    "scale-evc-sl": ("EVC/src/models/scalable_encoder_model.py", "Scale_EVC_SL", SeveralEncoders),
}
"""More of the stand-in: what each codec is called where."""


def stand_in(folder: Path, codec: str) -> Path:
    """Put a codec in a checkout; returns its weights."""
    place, name, model = OTHERS[codec]
    file, weights = folder / "DCVC-family" / place, folder / f"{codec}.pth"
    file.parent.mkdir(parents=True, exist_ok=True)
    own = f"from {model.__module__} import {model.__name__} as Own"
    file.write_text(f"{own}\ndef {name}(N=None):\n    return Own()\n")
    torch.save(lively(model).state_dict(), weights)
    return weights


@pytest.mark.parametrize("codec", ["dcvc-tcm", "dcvc-fm", "dcvc-rt", "evc-ss", "scale-evc-sl"])
def test_images_of_other_families_go_through(
    codec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = stand_in(tmp_path, codec)
    x, lo, png = (str(tmp_path / name) for name in ("x.png", "x.lo", "decoded.png"))
    write_png(Path(x), photo(60, 90))
    named = ["--codec", codec, "--weights", str(weights), "--dcvc-repo", str(tmp_path)]
    assert main(["encode", x, "-o", lo, "--quant", "oct", *named]) == 0
    assert main(["decode", lo, "-o", png, *named]) == 0
    own = wrap(lively(OTHERS[codec][2]), "oct", True)
    expected = to_uint8(own(read_image(Path(x)))["x_hat"][0])
    assert torch.equal(to_uint8(read_image(Path(png))[0]), expected)
    found = main(["encode", x, "-o", lo, "--quant", "oct", *named, "--q-index", "1"])
    assert found == (2 if codec == "dcvc-tcm" else 0)
    assert (codec == "dcvc-tcm") == ("have one rate" in capsys.readouterr().err)


# -- clips -----------------------------------------------------------------------------------------


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip of three frames."""
    path = tmp_path / "x.y4m"
    frames = [photo(60, 62).roll(k, -1) for k in (0, 2, 5)]
    write_clip(path, frames, Format(62, 60, Fraction(30)))
    return path


OF_FAMILY = {"dcvc": "DCVC_net", "dcvc-hem": "DMC", "dcvc-dc": "DMC of DC", "dcvc-fm": "DMC of FM"}


def codec_of(family: str, key: str) -> VideoCodec:
    """What the options of the test below name."""
    own = lively(DualPrior) if key == "dcvc-hem" else zoo.load(ZOO["codec"], int(ZOO["quality"]))
    adapter = intra(q_index=1) if key == "dcvc-hem" else adapter_class(own)
    if family == "dcvc":
        made = dcvc_net.video(own, adapter)
        return wrap(lively(Predicted), "oct", True, adapter=made, gop=2)
    model, module = {
        "dcvc-hem": (WithMemory, dcvc_hem),
        "dcvc-dc": (Diverse, dcvc_dc),
        "dcvc-fm": (Modulated, dcvc_fm),
    }[family]
    return wrap(lively(model), "oct", True, adapter=module.video(own, adapter, 1), gop=2)


@pytest.mark.parametrize(
    ("family", "key"), [*((family, "dcvc-hem") for family in OF_FAMILY), ("dcvc", "zoo")]
)
def test_a_clip_goes_through(repo: Path, clip: Path, family: str, key: str) -> None:
    lov, out, expected = (str(repo / name) for name in ("x.lov", "out.y4m", "expected.y4m"))
    weights = repo / OF_FAMILY[family]
    keys = {**hem(repo), "q-index": 1} if key == "dcvc-hem" else {**ZOO, "dcvc-repo": repo}
    named = options({**keys, "predicted": f"{family}:{weights}"})
    assert main(["encode", str(clip), "--quant", "oct", "--gop", "2", *named]) == 0
    assert main(["decode", lov, "-o", out, *named]) == 0
    codec = codec_of(family, key)
    with open_clip(clip) as frames:
        assert codec.save_bytes(frames, 30) == Path(lov).read_bytes()
    write_clip(expected, codec.load(lov), Format(62, 60, Fraction(30)))
    assert Path(out).read_bytes() == Path(expected).read_bytes()


@pytest.mark.parametrize("family", ["dcvc-tcm", "dcvc-rt"])
def test_a_clip_of_other_families_goes_through(
    repo: Path, clip: Path, family: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key, predicted = (stand_in(repo, codec) for codec in (family, f"{family}-p"))
    lov, out, expected = (str(repo / name) for name in ("x.lov", "out.y4m", "expected.y4m"))
    named = options({"codec": family, "weights": key, "dcvc-repo": repo})
    named += ["--predicted", f"{family}:{predicted}"]
    if family == "dcvc-tcm":
        assert main(["encode", str(clip), "--quant", "oct", *named, "--q-index", "1"]) == 2
        assert "neither codec is of a checkpoint of several" in capsys.readouterr().err
    else:
        named += ["--q-index", "1"]
    assert main(["encode", str(clip), "--quant", "oct", "--gop", "2", *named]) == 0
    assert main(["decode", lov, "-o", out, *named]) == 0
    own, model = (lively(OTHERS[codec][2]) for codec in (family, f"{family}-p"))
    if family == "dcvc-tcm":
        made: Any = dcvc_tcm.video(own, adapter_class(own))
    else:
        made = dcvc_rt.video(own, intra(q_index=1), 1)
    codec = wrap(model, "oct", True, adapter=made, gop=2)
    write_clip(expected, codec.load(lov), Format(62, 60, Fraction(30)))
    assert Path(out).read_bytes() == Path(expected).read_bytes()


def test_what_a_clip_is_read_with(
    repo: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other weights of either codec are refused, and explain takes the options, too."""
    lov = str(repo / "x.lov")
    predicted = options({"predicted": f"dcvc-hem:{repo / 'DMC'}"})
    named = [*options(hem(repo)), *predicted]
    assert main(["encode", str(clip), "-o", lov, "--preset", "fast", *named]) == 0
    said = capsys.readouterr().out
    assert "dcvc-hem IntraNoAR dcvc-hem:DMC fast" in said
    assert main(["explain", lov, "--json", "--against", str(clip), *named]) == 0
    frames = json.loads(capsys.readouterr().out)["explained_frames"]
    assert [set(frame["parts"]) for frame in frames] == [{"image"}, *[{"motion", "residual"}] * 2]
    torch.save(lively(DualPrior, seed=1).state_dict(), repo / "other key")
    torch.save(lively(WithMemory, seed=1).state_dict(), repo / "other")
    for message, wrong in (
        ("weights", [*options({**hem(repo), "weights": repo / "other key"}), *predicted]),
        ("weights", [*named[:-1], f"dcvc-hem:{repo / 'other'}"]),
        ("weights", [*named, "--q-index", "1"]),
        ("weights hash is .* rate of this one: say which", [*named, "--q-index", "1"]),
        ("name the codec of predicted frames with --predicted", options(hem(repo))),
        ("not of WithMemory", [*named[:-1], f"dcvc-hem:{repo / 'DCVC_net'}"]),
    ):
        assert main(["decode", lov, "-o", str(repo / "out.y4m"), *wrong]) == 2
        assert re.search(message, capsys.readouterr().err)
    assert main(["explain", lov, *options(hem(repo))]) == 2
    assert "with --predicted" in capsys.readouterr().err
    assert main(["decode", lov, "-o", str(repo / "out.y4m")]) == 2
    assert "--weights, of DCVC's also with --dcvc-repo" in capsys.readouterr().err
    assert not (repo / "out.y4m").exists()


def test_a_target_moves_lambda(repo: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = options({**hem(repo), "predicted": f"dcvc:{repo / 'DCVC_net'}"})
    encode = ["encode", str(clip), "--preset", "default", *named]
    assert main(encode) == 0
    most = int(0.95 * (repo / "x.lov").stat().st_size)
    assert main([*encode, "--max-bytes", str(most)]) == 0
    assert 0.98 * most < (repo / "x.lov").stat().st_size <= most
    assert "lambda" in capsys.readouterr().out
    assert main(["decode", str(repo / "x.lov"), "-o", str(repo / "out.y4m"), *named]) == 0


def test_clips_that_are_refused(repo: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, lo, x = repo / "x.png", repo / "x.lo", str(clip)
    write_png(image, photo(60, 90))
    net = ["--predicted", f"dcvc:{repo / 'DCVC_net'}"]
    key = options(hem(repo))
    zoo_key = options({**ZOO, "dcvc-repo": repo})
    encode, decode = ["encode", x], ["decode", str(lo), "-o", str(repo / "y.png")]
    assert main(["encode", str(image), "--codec", ZOO["codec"]]) == 0
    capsys.readouterr()
    for message, *argv in (
        ("--predicted is for --dcvc-repo", *encode, *options(ZOO), *net),
        (
            "is not dcvc:FILE or dcvc-tcm:FILE or dcvc-hem:FILE or",
            *encode,
            *key,
            "--predicted",
            "dcvc-xy:x",
        ),
        (
            "is not dcvc:FILE or dcvc-tcm:FILE or dcvc-hem:FILE or",
            *encode,
            *key,
            "--predicted",
            "dcvc-hem",
        ),
        ("nowhere: no such file", *encode, *key, "--predicted", "dcvc-hem:nowhere"),
        ("name the codec of key frames", *encode, *net, "--dcvc-repo", str(repo)),
        ("tiny-ssf2020 codes clips", *encode, *zoo_key, *net, "--codec", "tiny-ssf2020"),
        ("padded to 64, not 16", *encode, *zoo_key, *net, "--codec", "tiny-bmshj2018-factorized"),
        ("neither codec is of a checkpoint", *encode, *zoo_key, *net, "--q-index", "1"),
        ("is for clips, and", "encode", str(image), *key, *net),
        *(
            ("dcvc-hem codes images: name the codec of predicted frames with --predicted", *argv)
            for argv in (
                [*encode, *key],
                [*encode, *key, "--size", "62x60"],
                ["encode", str(image), *key, "-o", "x.lov"],
            )
        ),
        ("--target-kbps is for clips", "encode", str(image), *key, "--target-kbps", "9"),
        ("and a list of 2 files is none", "decode", x, x, "-o", str(repo), *key, *net),
        ("archives are of images", *encode, *key, *net, "-o", str(repo), "--manifest", "m"),
        ("one clip at a time", *encode, x, *key, *net),
        ("name the --quality", *encode, *zoo_key[:2], *zoo_key[4:], *net, "--target-kbps", "9"),
        ("--dcvc-repo is for latentopt's own", *encode, *key, *net, "--format", "compressai"),
        ("is an input too", *encode, *key, *net, "-o", str(repo / "DCVC_net")),
        ("is for clips, and", *decode, *key, *net),
        ("is for clips, and", "explain", str(lo), *key, *net),
    ):
        assert main(argv) == 2, argv
        err = capsys.readouterr().err
        assert message in err and err.count("\n") == 1, err
