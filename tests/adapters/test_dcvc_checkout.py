"""DCVC's real classes, from a checkout at $LATENTOPT_DCVC; and loading, which needs none.

The checkout is that of github.com/microsoft/DCVC; weights are random, as in scripts/dcvc_check.py.
"""

import os
import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import dcvc_check
import numpy as np
import pytest
import torch
from support.models import photo
from torch import nn

import latentopt
from latentopt import InputError, WeightsError
from latentopt.adapters import (
    DualPriorAdapter,
    EVCAdapter,
    FourPartAdapter,
    Reference,
    adapter_class,
    dcvc_dc,
    dcvc_fm,
    dcvc_hem,
    dcvc_net,
    dcvc_rt,
    dcvc_tcm,
    intra,
    load_dcvc,
)
from latentopt.adapters.dcvc import TwoScaleAdapter
from latentopt.adapters.dcvc_net import is_dcvc_net, video
from latentopt.adapters.dcvc_tcm import TCMIntraAdapter, is_tcm
from latentopt.cli.main import main
from latentopt.codec.synthesis import padded
from latentopt.media.clips import Format, open_clip, write_clip
from latentopt.media.images import to_uint8

ADAPTERS = {
    "DCVC-HEM": DualPriorAdapter,
    "DCVC-DC": FourPartAdapter,
    "DCVC-FM": TwoScaleAdapter,
    "DCVC-RT": TwoScaleAdapter,
    "EVC-SS": EVCAdapter,
    "SCALE-EVC-SS": EVCAdapter,
}
X = photo(60, 64)


@pytest.fixture(scope="module")
def repo() -> str:
    path = os.environ.get("LATENTOPT_DCVC")
    if not path:
        pytest.skip("set LATENTOPT_DCVC to a checkout of github.com/microsoft/DCVC")
    return path


@pytest.fixture(scope="module")
def models(repo: str) -> dict[str, Any]:
    """One of each family; all in one process, though their packages have one name."""
    return {family: dcvc_check.load(repo, family) for family in dcvc_check.MEASURED}


# -- real classes ----------------------------------------------------------------------------------


def test_real_classes_are_recognized(models: dict[str, Any]) -> None:
    for family, adapter in ADAPTERS.items():
        assert adapter_class(models[family]) is adapter
    assert is_dcvc_net(models["DCVC"]) and is_tcm(models["DCVC-TCM-P"])
    assert adapter_class(models["DCVC-TCM"]) is TCMIntraAdapter
    assert not [name for name in sys.modules if name.split(".")[0] == "src"]


@torch.no_grad()
@pytest.mark.parametrize("family", ADAPTERS)
def test_the_walk_is_the_models_own(models: dict[str, Any], family: str) -> None:
    """Symbols and latent of their forward pass, which is what their coder writes."""
    model = models[family]
    codec = latentopt.wrap(model, "int", shift=False)
    adapter: Any = codec.assembly.adapter
    [latent] = [coded.latent for coded in codec.encode(X)["y"]]
    y = adapter.analysis(padded(X, adapter.stride)).double()
    exact = adapter._shared
    z_hat = torch.round(model.hyper_enc(y.float())).double()
    common = exact.y_prior_fusion(exact.hyper_dec(z_hat))
    if adapter.passes == 2:
        q_step, scales, means = common.chunk(3, 1)
        prior = (means, scales, q_step, exact.y_spatial_prior)
        _, symbols, y_hat, _ = model.forward_dual_prior(y, *prior)
    else:
        adaptors = [getattr(exact, f"y_spatial_prior_adaptor_{k}") for k in (1, 2, 3)]
        networks = (*adaptors, exact.y_spatial_prior)
        if family == "DCVC-RT":
            *_, y_hat = model.compress_prior_4x(
                y, common, exact.y_spatial_prior_reduction, *networks
            )
            symbols = None  # of four channels, added up
        else:
            reduction = getattr(exact, "y_spatial_prior_reduction", None)
            reduced = {"y_spatial_prior_reduction": reduction} if reduction else {}
            found = model.forward_four_part_prior(y, common, *networks, **reduced)
            _, symbols, y_hat, _ = found
    np.testing.assert_allclose(latent.hat, y_hat.flatten().numpy(), atol=1e-9)
    if symbols is not None:
        np.testing.assert_array_equal(latent.residual, symbols.flatten().numpy())
    assert (latent.residual != 0).mean() > 0.05


@pytest.mark.parametrize("options", [{"quant": "hex"}, {"preset": "default"}], ids=str)
@pytest.mark.parametrize("family", ADAPTERS)
def test_intra_codecs_round_trip(
    models: dict[str, Any], family: str, options: dict[str, Any], tmp_path: Path
) -> None:
    model = models[family]
    codec = latentopt.wrap(model, **options, adapter=intra(q_index=1))
    codec.save(tmp_path / "x.lo", X)
    assert torch.equal(codec.load(tmp_path / "x.lo"), codec(X)["x_hat"])
    with pytest.raises(latentopt.BitstreamError):
        latentopt.wrap(model, **options, adapter=_another_rate(family)).load(tmp_path / "x.lo")


def _another_rate(family: str) -> Any:
    if family in ("DCVC-FM", "DCVC-RT"):
        return intra(q_index=2)
    return intra(q_scale=(1.0, 1.3) if family == "DCVC-DC" else 1.3)


class Symbols:
    """In place of their entropy coders, which are C++: what is written is what was to be coded."""

    def compress(self, x: Any, *_: Any) -> Any:
        self.kept = x
        return b""

    def decompress(self, *_: Any) -> Any:
        return self.kept


@torch.no_grad()
def test_predicted_frames_are_the_models_own(models: dict[str, Any]) -> None:
    """Their compress() position by position, in float32, gives the frame that ours does."""
    model, key = models["DCVC"], models["DCVC-HEM"]
    before, x = photo(64, 64), photo(64, 64, seed=1)
    model(before, x)  # masks the context's weights, as training does; compress() takes them as is
    codec = latentopt.wrap(
        model, "int", shift=False, adapter=video(key, adapter_class(key)), portable=False
    )
    _, made = codec.frames.encode_frame(x, Reference(before))
    for name in ("bitEstimator_z", "bitEstimator_z_mv"):
        estimator = getattr(model, name)
        estimator.compress = (stub := Symbols()).compress
        estimator.decompress = stub.decompress
    encoder, model.gaussian_encoder = model.gaussian_encoder, Symbols()
    theirs = model.compress(before, x)["recon_image"]
    model.gaussian_encoder = encoder
    error = (theirs - made.image).abs()
    assert float(error.mean()) < 1e-4 and float(theirs.std()) > 0.01


@pytest.mark.parametrize("options", [{"quant": "oct"}, {"preset": "fast"}], ids=str)
def test_predicted_frames_round_trip(models: dict[str, Any], options: dict[str, Any]) -> None:
    key = models["DCVC-DC"]
    codec = latentopt.wrap(models["DCVC"], **options, adapter=video(key, adapter_class(key)))
    frames = [X, X.roll(2, -1)]
    strings, shapes = codec.compress(frames)
    for image, expected in zip(codec.decompress(strings, shapes), codec(frames)["x_hat"]):
        assert torch.equal(image, expected)


@torch.no_grad()
@pytest.mark.parametrize("family", ["DCVC-DC-P", "DCVC-FM-P", "DCVC-RT-P"])
def test_predicted_frames_with_memory_are_the_models_own(
    models: dict[str, Any], family: str
) -> None:
    """Latents, features and image of a group of four and one more."""
    model, key = models[family], models["DCVC-DC"]
    make = dcvc_check.MODULES[family].video(key, adapter_class(key))
    codec = latentopt.wrap(model, "int", shift=False, adapter=make, portable=False)
    seen = codec.parts["residual"].assembly.adapter.seen
    x = photo(64, 64)
    before = Reference(x)
    memory: Any = dict.fromkeys(("ref_feature", "ref_mv_feature", "ref_y", "ref_mv_y"))
    memory["ref_frame"] = seen(x)
    for number in range(1, 6):
        frame = x.roll(number, -1)
        _, before = codec.frames.encode_frame(frame, before)
        memory = dcvc_check._OWN[family](model, seen(frame), memory, number)["dpb"]
        found = {"feature": before.features, "frame": seen(before.image).clamp(0, 1)}
        names = {"residual": "y", "motion": "mv_y"}
        found |= {names[part]: latent for part, latent in before.latents.items()}
        for name, own in found.items():
            right = memory[f"ref_{name}"]
            assert float((own - right).abs().mean()) < 1e-3 * float(right.std()), name


@pytest.mark.parametrize(
    "family", ["dcvc", "dcvc-tcm", "dcvc-hem", "dcvc-dc", "dcvc-fm", "dcvc-rt"]
)
def test_the_command_line_codes_clips(
    models: dict[str, Any], repo: str, family: str, tmp_path: Path
) -> None:
    predicted = {"dcvc": "DCVC"}.get(family, f"{family.upper()}-P")
    for name, loaded in (("key", "DCVC-HEM"), ("predicted", predicted)):
        torch.save(models[loaded].state_dict(), tmp_path / name)
    x, lov, out = (str(tmp_path / name) for name in ("x.y4m", "x.lov", "out"))
    write_clip(x, [photo(64, 64), photo(64, 64, seed=1)], Format(64, 64, Fraction(25)))
    named = ["--dcvc-repo", repo, "--codec", "dcvc-hem", "--weights", str(tmp_path / "key")]
    named += ["--predicted", f"{family}:{tmp_path / 'predicted'}"]
    assert main(["encode", x, "-o", lov, "--quant", "oct", *named]) == 0
    assert main(["decode", lov, "-o", out, *named]) == 0
    modules = {
        "dcvc": dcvc_net,
        "dcvc-tcm": dcvc_tcm,
        "dcvc-hem": dcvc_hem,
        "dcvc-dc": dcvc_dc,
        "dcvc-fm": dcvc_fm,
        "dcvc-rt": dcvc_rt,
    }
    key = models["DCVC-HEM"]
    adapter: Any = modules[family].video(key, adapter_class(key))
    codec = latentopt.wrap(models[predicted], "oct", adapter=adapter, gop=8)
    with open_clip(out) as decoded:
        for image, own in zip(decoded, codec.load(lov), strict=True):
            assert torch.equal(to_uint8(image), to_uint8(own))


def test_bytes_are_near_the_codecs_own_estimates(models: dict[str, Any]) -> None:
    x = dcvc_check.photo(192)
    names = ("DCVC-TCM", *ADAPTERS)
    rows = [row for name in names for row in dcvc_check.intra_rows(name, models[name], x)]
    frames = [x[..., :128, :128], x[..., :128, 2:130]]
    rows += dcvc_check.predicted_rows("DCVC", models["DCVC"], models["DCVC-HEM"], frames)
    pair = [models[name] for name in ("DCVC-TCM-P", "DCVC-TCM")]
    rows += dcvc_check.memory_rows("DCVC-TCM-P", *pair, [x, x.roll(2, -1)])
    for row in rows:
        assert row.exact in (None, True)
        ratio = row.written / row.estimated
        assert 0.97 < ratio < (1.006 if "drawn" in row.what else 1.15), str(row)


def test_the_examples_of_the_documentation(
    repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path("docs/guide/dcvc.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    for family, kind in (("DCVC-HEM", "image"), ("DCVC-HEM-P", "video")):
        checkpoint = load_dcvc(repo, family).state_dict()
        torch.save({"state_dict": checkpoint}, tmp_path / f"cvpr2022_{kind}_psnr.pth.tar")
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"repo": os.path.abspath(repo), "x": X, "frames": [X, X.roll(1, -1)]}
    for block in blocks:
        exec(block, space)
    assert torch.equal(space["x_hat"], space["codec"](X)["x_hat"])
    assert len(space["decoded"]) == 2


def test_a_checkpoint_of_another_size_is_refused(
    models: dict[str, Any], repo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though EVC's own loading takes what fits and prints the rest."""
    torch.save(models["EVC-SS"].state_dict(), tmp_path / "x.pth")
    same = load_dcvc(repo, "EVC-SS", tmp_path / "x.pth").state_dict()
    assert all(map(torch.equal, same.values(), models["EVC-SS"].state_dict().values()))
    with pytest.raises(WeightsError, match=r"not of EVC_LL: it lacks enc\."):
        load_dcvc(repo, "EVC-LL", tmp_path / "x.pth")
    assert "NOT load" not in capsys.readouterr().out


# -- loading ---------------------------------------------------------------------------------------


CLASS = """
from torch import nn
from src.models.other import WIDTH
class IntraNoAR(nn.Linear):
    def __init__(self, N=2):
        super().__init__(N, WIDTH)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder laid out as DCVC's, with two families whose packages have one name."""
    for width, family in enumerate(("DCVC-HEM", "DCVC-DC"), start=3):
        folder = tmp_path / "DCVC-family" / family / "src" / "models"
        folder.mkdir(parents=True)
        (folder / "other.py").write_text(f"WIDTH = {width}\n")
        (folder / "image_model.py").write_text(CLASS)
    return tmp_path


def test_families_do_not_mix(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = object()
    monkeypatch.setitem(sys.modules, "src", own)
    path = list(sys.path)
    hem, dc = (load_dcvc(checkout, family) for family in ("DCVC-HEM", "DCVC-DC"))
    assert isinstance(hem, nn.Linear) and hem.out_features == 3 and not hem.training
    assert isinstance(dc, nn.Linear) and dc.out_features == 4
    assert sys.modules["src"] is own and sys.path == path
    for nearer in (checkout / "DCVC-family", checkout / "DCVC-family" / "DCVC-HEM"):
        assert load_dcvc(str(nearer), "DCVC-HEM", N=7).in_features == 7  # type: ignore[union-attr]


def test_what_is_missing_is_named(checkout: Path) -> None:
    with pytest.raises(InputError, match="DCVC-family/DCVC,"):
        load_dcvc(checkout, "DCVC")
    with pytest.raises(InputError, match="no DCVC-DC in"):  # and not the class that is there
        load_dcvc(checkout / "DCVC-family" / "DCVC-HEM", "DCVC-DC")
    with pytest.raises(
        InputError, match="choose DCVC, DCVC-HEM, DCVC-HEM-P, DCVC-DC, DCVC-DC-P, DCVC-FM, "
    ):
        load_dcvc(checkout, "DCVC-UF")
    with pytest.raises(InputError, match="unexpected keyword argument 'M'"):
        load_dcvc(checkout, "DCVC-HEM", M=3)
    file = checkout / "DCVC-family" / "DCVC-HEM" / "src" / "models" / "image_model.py"
    file.write_text("import not_installed_at_all\n")
    with pytest.raises(InputError, match="not_installed_at_all"):
        load_dcvc(checkout, "DCVC-HEM")
    file.write_text("")
    with pytest.raises(InputError, match="IntraNoAR"):
        load_dcvc(checkout, "DCVC-HEM")
    assert not [name for name in sys.modules if name.split(".")[0] == "src"]


@pytest.mark.parametrize("wrapping", [(), ("state_dict",), ("net",)])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_checkpoints(checkout: Path, wrapping: tuple[str, ...], prefix: str) -> None:
    state: Any = {f"{prefix}weight": torch.ones(3, 2), f"{prefix}bias": torch.zeros(3)}
    for key in wrapping:
        state = {key: state}
    torch.save(state, checkout / "x.pth")
    model: Any = load_dcvc(checkout, "DCVC-HEM", checkout / "x.pth")
    assert torch.equal(model.weight, torch.ones(3, 2))


def test_checkpoints_that_do_not_fit(checkout: Path) -> None:
    file = checkout / "x.pth"
    with pytest.raises(WeightsError, match="cannot read"):
        load_dcvc(checkout, "DCVC-HEM", file)
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match="no checkpoint"):
        load_dcvc(checkout, "DCVC-HEM", file)
    torch.save([1, 2], file)
    with pytest.raises(WeightsError, match="no checkpoint"):
        load_dcvc(checkout, "DCVC-HEM", file)
    torch.save({"weight": torch.ones(4, 2)}, file)
    with pytest.raises(WeightsError, match="not of IntraNoAR"):
        load_dcvc(checkout, "DCVC-HEM", file)
