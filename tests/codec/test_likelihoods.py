"""Estimated and written bytes agree, whatever is sent ahead of the points."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.models import moving, tiny_flow

import latentopt
from latentopt.codec.recipe import PRESETS
from latentopt.latents.adaptive import AdaptiveLatent
from latentopt.media.images import read_image

WORDS: list[dict[str, Any]] = [
    {"quant": "oct"},
    {"quant": "oct", "scales": True, "direction": "split", "shift": "secant"},
    *({"preset": name} for name in PRESETS if name not in ("slow", "best")),
]


def estimated(likelihoods: dict[str, Any]) -> float:
    """Bytes."""
    return sum(float(-p.double().log2().sum()) for p in likelihoods.values()) / 8


@pytest.mark.parametrize("words", WORDS, ids=str)
@pytest.mark.parametrize("name", ["tiny-mbt2018-mean", "tiny-bmshj2018-factorized"])
def test_bytes_are_those_of_the_likelihoods(
    name: str, words: dict[str, Any], kodak: list[Path]
) -> None:
    codec = latentopt.wrap(latentopt.zoo.load(name, 4), **words)
    x = read_image(kodak[4])[..., :256, :384]
    written = sum(len(s) for [s] in codec.compress(x)["strings"])
    assert written == pytest.approx(estimated(codec(x)["likelihoods"]), rel=1e-3)


@pytest.mark.parametrize("words", [{"quant": "oct"}, {"preset": "fast"}], ids=str)
def test_the_bits_of_a_latent_are_those_of_its_string(words: dict[str, Any]) -> None:
    """Of the tiny video codec: within the four bytes that end a string."""
    codec = latentopt.wrap(tiny_flow(), **words)
    for frame, _ in codec.encode(moving(2, 64, 64)):
        for coded in (latent for latents in frame.values() for latent in latents):
            assert 0 <= len(coded.string) - coded.bits().sum() / 8 < 4.5
            points = coded.latent.bits() - coded.latent.bits_ahead()
            ahead = isinstance(coded.latent, AdaptiveLatent) or coded.latent.corrections is not None
            assert (points.sum() < coded.latent.bits().sum()) == ahead
            assert np.all(points >= -1e-12)
