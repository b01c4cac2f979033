"""The video codec: its class in other widths, its files, its names, the clips it learned from."""

from pathlib import Path

import pytest
import torch
from compressai.models.video import ScaleSpaceFlow
from safetensors.torch import load_file
from support.models import photo
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from latentopt import zoo
from latentopt.errors import InputError, WeightsError
from latentopt.zoo.embedded import EMBEDDED, write_embedded
from latentopt.zoo.flow import PUBLISHED, PixelFlow, SmallScaleSpaceFlow, Widths

NAME = "tiny-ssf2020"
SMALL = {"hidden": 8, "latent": 12, "motion": 10, "hyper": 6}
QUALITIES = EMBEDDED.qualities(NAME)
LEAST_PSNR_DB = {1: 20, 2: 26.5, 3: 28, 4: 29}
"""Of any frame of a clip that moves."""


def small(seed: int = 0) -> SmallScaleSpaceFlow:
    torch.manual_seed(seed)
    return SmallScaleSpaceFlow(**SMALL).eval()


def clip(frames: int = 3, shift: int = 2) -> list[Tensor]:
    """A photograph that moves right and down by ``shift`` pixels per frame, with little noise."""
    scene = avg_pool2d(photo(576, 832), 4)  # (1, 3, 144, 208)
    places = range(16, 16 - shift * frames, -shift)
    return [scene[..., i : i + 128, i : i + 128].contiguous() for i in places]


def coded(model: ScaleSpaceFlow, frames: list[Tensor]) -> list[Tensor]:
    """The frames that CompressAI decodes from what CompressAI wrote."""
    with torch.no_grad():
        strings, shapes = model.compress(frames)
        decoded: list[Tensor] = model.decompress(strings, shapes)
    return decoded


def psnr(x: Tensor, x_hat: Tensor) -> float:
    return float(10 * torch.log10(1 / (x_hat.clamp(0, 1) - x).square().mean()))


# -- the class -----------------------------------------------------------------------------------


def test_nothing_of_compressais_is_overridden() -> None:
    model, published = small(), ScaleSpaceFlow
    for name in ("forward", "compress", "decompress", "encode_inter", "forward_prediction"):
        assert getattr(type(model), name) is getattr(published, name)
    assert (model.sigma0, model.num_levels, model.scale_field_shift) == (1.5, 5, 1.0)
    with torch.device("meta"):
        theirs = dict(published().named_modules())
    ours = dict(model.named_modules())
    assert set(ours) - set(theirs) == {"motion_decoder.7"}
    assert set(theirs) <= set(ours)
    assert not any(value.is_meta for value in model.state_dict().values())


def test_widths() -> None:
    state = small().state_dict()
    assert Widths.of(state) == Widths(**SMALL)
    assert state["res_decoder.0.weight"].shape[0] == SMALL["latent"] + SMALL["motion"]
    with pytest.raises(InputError, match="use CompressAI's ScaleSpaceFlow"):
        SmallScaleSpaceFlow(*vars(PUBLISHED).values())


def test_state_dicts_tell_the_widths_and_the_class() -> None:
    model = small()
    again = SmallScaleSpaceFlow.from_state_dict(model.state_dict())
    assert type(again) is SmallScaleSpaceFlow
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    published = ScaleSpaceFlow().state_dict()
    assert type(SmallScaleSpaceFlow.from_state_dict(published)) is ScaleSpaceFlow
    with pytest.raises(KeyError):
        SmallScaleSpaceFlow.from_state_dict({"g_a.0.weight": torch.zeros(1)})


@pytest.mark.parametrize(("height", "width"), [(128, 128), (128, 384)])
def test_flow_is_in_pixels(height: int, width: int) -> None:
    """The same motion is the same flow, whatever the size of the frame."""
    model = small()
    x = photo(height, width)
    right, down, sharp = 3.0, 2.0, -1.0
    motion = torch.tensor([right, down, sharp]).reshape(1, 3, 1, 1).expand(1, 3, height, width)
    moved = model.forward_prediction(x, PixelFlow()(motion))
    assert torch.allclose(moved[..., :-2, :-3], x[..., 2:, 3:], atol=1e-4)


def test_it_starts_without_motion() -> None:
    model, (x, _, _) = small(), clip()
    motion = model.motion_decoder(torch.randn(1, SMALL["motion"], 8, 8))
    moved = model.forward_prediction(x, motion).detach()
    assert moved.isfinite().all() and psnr(x, moved) > 30


# -- files and names -----------------------------------------------------------------------------


def test_names() -> None:
    assert zoo.family("Tiny_SSF2020") == zoo.family("ssf2020") == "ssf2020"
    assert zoo.architecture(NAME) is SmallScaleSpaceFlow
    assert {name for name in zoo.names() if zoo.is_video(name)} == {NAME, "ssf2020"}
    assert zoo.qualities("ssf2020") == tuple(range(1, 10))
    assert zoo.qualities("ssf2020", "ms-ssim") == () and zoo.lmbda("ssf2020", 9) is None


def test_a_written_codec_loads_and_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EMBEDDED.__dict__, "path", tmp_path)
    model, file = small(), EMBEDDED.file(NAME, 2)
    half = ("img_decoder", "res_decoder", "motion_decoder")
    write_embedded(model, file, {"architecture": "ssf2020", "lambda": "0.01"}, half)
    loaded = zoo.load(NAME, quality=2)
    assert type(loaded) is SmallScaleSpaceFlow and not loaded.training and loaded.lmbda == 0.01
    stored = load_file(file)
    for part, dtype in (("img_decoder.0", torch.float16), ("img_encoder.0", torch.int8)):
        assert stored[f"{part}.weight"].dtype == dtype
    assert stored["res_hyperprior.gaussian_conditional._quantized_cdf"].numel() == 0
    for name, value in model.state_dict().items():
        error = (loaded.state_dict()[name] - value).abs().amax()
        assert error <= value.abs().amax() / 100, name
    frames = clip()
    x_hat = loaded(frames)["x_hat"]
    for one, other in zip(coded(loaded, frames), x_hat):
        assert torch.allclose(one, other, atol=1e-4)


def test_weights_may_be_given(tmp_path: Path) -> None:
    torch.save({"state_dict": small().state_dict()}, tmp_path / "w.pt")
    for name in (NAME, "ssf2020"):
        loaded = zoo.load(name, weights=tmp_path / "w.pt")
        assert len(coded(loaded, clip(2))) == 2
    with pytest.raises(WeightsError, match="it looks like ssf2020"):
        zoo.load("mbt2018-mean", weights=tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="not the weights of ssf2020"):
        torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "w.pt")
        zoo.load(NAME, weights=tmp_path / "w.pt")


# -- what is shipped -----------------------------------------------------------------------------


def test_all_qualities_ship_and_are_small() -> None:
    assert QUALITIES == (1, 2, 3, 4)
    assert sum(EMBEDDED.file(NAME, quality).stat().st_size for quality in QUALITIES) <= 12e6


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_shipped_codec(quality: int) -> None:
    model, frames = zoo.load(NAME, quality), clip()
    assert model.lmbda == zoo.lmbda(NAME, quality)
    decoded = coded(model, frames)
    assert min(psnr(x, x_hat) for x, x_hat in zip(frames, decoded)) > LEAST_PSNR_DB[quality]
    assert torch.allclose(decoded[-1], model(frames)["x_hat"][-1], atol=1e-3)


@pytest.mark.parametrize("quality", QUALITIES)
@torch.no_grad()
def test_motion_helps(quality: int) -> None:
    """What is predicted from the decoded motion is nearer than the frame before, and than none."""
    model, (before, now) = zoo.load(NAME, quality), clip(2, shift=4)
    y_motion, _ = model.motion_hyperprior(model.motion_encoder(torch.cat((now, before), dim=1)))
    predicted = model.forward_prediction(before, model.motion_decoder(y_motion))
    unmoved = model.forward_prediction(before, model.motion_decoder(torch.zeros_like(y_motion)))
    assert psnr(now, predicted) > psnr(now, before) + 2
    assert psnr(now, predicted) > psnr(now, unmoved) + 2
