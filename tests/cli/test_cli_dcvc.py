"""The command line on a codec from a checkout of DCVC, of which a stand-in is used."""

from pathlib import Path

import pytest
import torch
from support.dcvc_models import DualPrior, lively
from support.models import photo

from latentopt.adapters import intra
from latentopt.cli.main import main
from latentopt.codec.wrap import wrap
from latentopt.media.images import read_image, to_uint8, write_png


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    """The options that name a model of that structure."""
    folder = tmp_path / "DCVC-family" / "DCVC-HEM" / "src" / "models"
    folder.mkdir(parents=True)
    (folder / "image_model.py").write_text(
        "from support.dcvc_models import DualPrior as IntraNoAR\n"
    )
    torch.save(lively(DualPrior).state_dict(), tmp_path / "weights.pt")
    options = {"codec": "dcvc-hem", "weights": tmp_path / "weights.pt", "dcvc-repo": tmp_path}
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]


def test_an_image_goes_through(model: list[str], tmp_path: Path) -> None:
    x, lo, png = (str(tmp_path / name) for name in ("x.png", "x.lo", "decoded.png"))
    write_png(Path(x), photo(60, 90))
    index = ["--q-index", "1"]
    assert main(["encode", x, "-o", lo, "--quant", "oct", *model, *index]) == 0
    assert main(["decode", lo, "-o", png, *model]) == 2  # another rate, so other weights
    assert main(["decode", lo, "-o", png, *model, *index]) == 0
    codec = wrap(lively(DualPrior), "oct", True, adapter=intra(q_index=1))
    expected = to_uint8(codec(read_image(Path(x)))["x_hat"][0])
    assert torch.equal(to_uint8(read_image(Path(png))[0]), expected)


def test_refused(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = tmp_path / "x.png"
    write_png(x, photo(60, 90))
    argv = ["encode", str(x), "-o", str(tmp_path / "x.lo")]
    for message, *options in (
        ("DCVC-HEM or DCVC-DC, not mbt2018", "--codec", "mbt2018", *model[2:]),
        ("name the checkpoint", *model[:2], *model[4:], "--quality", "3"),
        ("no DCVC-DC", "--codec", "dcvc-dc", *model[2:]),
        ("--q-index is for --dcvc-repo", "--codec", "mbt2018", *model[2:4], "--q-index", "0"),
        ("at other steps", *model, "--step", "2"),
        ("q_index 9", *model, "--q-index", "9"),
    ):
        assert main([*argv, *options]) == 2
        err = capsys.readouterr().err
        assert message in err, err
