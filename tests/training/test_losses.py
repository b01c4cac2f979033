"""The rate-distortion loss: bits and errors of images, and of all frames of clips."""

import pytest
import torch
from support.models import FAMILIES, moving, photo, tiny, tiny_flow

from latentopt.training import RateDistortion


def test_rate_and_distortion_are_means_over_frames() -> None:
    frames = [torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)]
    half = {"y": torch.full((32,), 0.5), "z": torch.ones(7)}  # 32 bits
    terms = RateDistortion(0.1)(
        {
            "x_hat": [frames[0] + 1 / 255, frames[1] + 3 / 255],
            "likelihoods": [{"keyframe": half}, {"motion": half, "residual": half}],
        },
        frames,
    )
    assert float(terms.shown["bpp"]) == pytest.approx(96 / 64)
    assert 255**2 * 10 ** (-float(terms.shown["psnr_db"]) / 10) == pytest.approx(5)
    assert float(terms.loss) == pytest.approx(96 / 64 + 0.1 * 5)


@pytest.mark.parametrize("clip", [False, True])
def test_codecs_outputs_are_understood(clip: bool) -> None:
    batch = moving(3, 128, 128) if clip else photo(64, 128, batch=2)
    with torch.no_grad():
        out = (tiny_flow() if clip else tiny(FAMILIES["mbt2018-mean"]))(batch)
    terms = RateDistortion(0.01)(out, batch)
    likelihoods = out["likelihoods"]
    latents = [p for frame in likelihoods for p in frame.values()] if clip else [likelihoods]
    bits = sum(-float(p.double().log2().sum()) for latent in latents for p in latent.values())
    pairs = zip(out["x_hat"], batch)
    error = torch.stack([(a - b).square().mean() for a, b in pairs]).mean()
    pixels = 3 * 128 * 128 if clip else 2 * 64 * 128
    assert float(terms.shown["bpp"]) == pytest.approx(bits / pixels, rel=1e-4)
    assert float(terms.shown["psnr_db"]) == pytest.approx(-10 * float(error.log10()), rel=1e-4)
