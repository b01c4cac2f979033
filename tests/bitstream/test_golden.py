"""Golden bitstreams: they freeze the format. A change here breaks every file already written.

`python tests/test_golden.py` writes the goldens anew; do that only with a new format version.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from support.crossing import received, sent, string_of
from support.dcvc_models import DualPrior, Predicted, lively
from support.models import FAMILIES, moving, photo, tiny, tiny_flow
from support.one_hot import one_hot

import latentopt
from latentopt import VideoCodec
from latentopt.adapters import adapter_class
from latentopt.adapters.dcvc_net import video
from latentopt.codec.image import Codec
from latentopt.densities import GaussianDensity
from latentopt.latents import Prior
from latentopt.latents.lattice import LatticeChannel
from latentopt.lattices import LATTICES, RULES

GOLDEN = Path(__file__).parents[1] / "golden"
SCALES = np.array([0.11, 0.25, 0.55, 0.8, 1.3, 3.0, 20.0])
MODELS = {
    **{name: lambda family=family: tiny(family) for name, family in FAMILIES.items()},
    "dual-prior": lambda: lively(DualPrior),  # passes, and a step for each element
}
NEWER = ("adaptive", "postfilter")
"""What version 2 can say of a file: a side latent's prior learns, a filter of the image."""


def golden_string(name: str, pmf: str = "exact") -> tuple[LatticeChannel, Prior, bytes]:
    """A latent of exact binary fractions, so that no platform rounds it otherwise."""
    n = 700
    levels = (np.arange(n) * 37 % len(SCALES)).astype(np.int16)
    centres = (np.arange(n) % 9 - 4) / 4
    values = centres + np.rint(SCALES[levels] * np.sin(np.arange(n)) * 3 * 64) / 64
    values[5] += 1000
    tails = {} if pmf == "exact" else {"tails": ()}
    channel = LatticeChannel(GaussianDensity(SCALES, **tails), RULES[name], pmf)
    prior = Prior((1, 1, n), levels, centres)
    return channel, prior, string_of(sent(channel, values, prior), [42])


@pytest.mark.parametrize("name", list(LATTICES))
def test_strings_are_frozen(name: str) -> None:
    frozen = json.loads((GOLDEN / "strings.json").read_text())
    channel, prior, string = golden_string(name)
    assert channel.digest().hex() == frozen[name]["tables"], "probability tables changed"
    assert string.hex() == frozen[name]["string"], "the bitstream changed"
    decoded = received(channel, bytes.fromhex(frozen[name]["string"]), prior)
    assert decoded.step_codes == [42]
    assert float(decoded.latent.hat.sum()) == pytest.approx(frozen[name]["sum"], abs=1e-9)


@pytest.mark.parametrize("family", MODELS)
def test_files_of_the_past_still_decode(family: str) -> None:
    codec = latentopt.wrap(MODELS[family](), "hex")
    x_hat = codec.load(GOLDEN / f"{family}.lo")
    expected = torch.from_numpy(np.load(GOLDEN / f"{family}.npy")).float()
    assert float((x_hat * 255 - expected).abs().max()) < 1


def newer(word: str) -> Codec:
    return latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), "hex", **{word: True})  # type: ignore


@pytest.mark.parametrize("word", NEWER)
def test_files_of_version_2_still_decode(word: str) -> None:
    x_hat = newer(word).load(GOLDEN / f"mbt2018-mean-{word}.lo")
    expected = torch.from_numpy(np.load(GOLDEN / f"mbt2018-mean-{word}.npy")).float()
    assert float((x_hat * 255 - expected).abs().max()) < 1


def formed_ahead() -> Codec:
    return latentopt.wrap(tiny(FAMILIES["mbt2018"]), "e8", scales=True, prepacked=True)


def test_files_of_vectors_formed_ahead_still_decode() -> None:
    x_hat = formed_ahead().load(GOLDEN / "mbt2018-prepacked.lo")
    expected = torch.from_numpy(np.load(GOLDEN / "mbt2018-prepacked.npy")).float()
    assert float((x_hat * 255 - expected).abs().max()) < 1


def write_formed_ahead() -> None:
    codec, path = formed_ahead(), GOLDEN / "mbt2018-prepacked.lo"
    codec.save(path, photo(72, 120))
    np.save(GOLDEN / "mbt2018-prepacked.npy", (codec.load(path) * 255).round().byte().numpy())


IN_MAPS = {
    "mbt2018-mean-progressive": lambda: latentopt.wrap(
        tiny(FAMILIES["mbt2018-mean"]), "hex", progressive=True, adaptive=True
    ),
    "one-hot": lambda: latentopt.wrap(one_hot()),
}
"""Files that may be cut."""


@pytest.mark.parametrize("name", IN_MAPS)
def test_files_in_maps_still_decode_whole_and_cut(name: str) -> None:
    codec, path = IN_MAPS[name](), GOLDEN / f"{name}.lo"
    images = [codec.load(path, maps=3), codec.load(path)]
    expected = torch.from_numpy(np.load(GOLDEN / f"{name}.npy")).float()
    assert float((torch.cat(images) * 255 - expected).abs().max()) < 1


def write_in_maps() -> None:
    for name, make in IN_MAPS.items():
        codec, path = make(), GOLDEN / f"{name}.lo"
        codec.save(path, photo(40, 56))
        images = torch.cat([codec.load(path, maps=3), codec.load(path)])
        np.save(GOLDEN / f"{name}.npy", (images * 255).round().byte().numpy())


def write_newer(word: str) -> None:
    codec, name = newer(word), f"mbt2018-mean-{word}"
    codec.save(GOLDEN / f"{name}.lo", photo(120, 184))
    image = codec.load(GOLDEN / f"{name}.lo")
    np.save(GOLDEN / f"{name}.npy", (image * 255).round().byte().numpy())


def test_videos_of_the_past_still_decode() -> None:
    codec = latentopt.wrap(tiny_flow(), "hex")
    frames = torch.cat(list(codec.load(GOLDEN / "ssf2020.lov")))
    expected = torch.from_numpy(np.load(GOLDEN / "ssf2020.npy")).float()
    assert float((frames * 255 - expected).abs().max()) < 2  # the first frame's is in the third


def predicting() -> VideoCodec:
    """Whose tables depend on the frame before, portably."""
    key = lively(DualPrior)
    return latentopt.wrap(lively(Predicted), "hex", adapter=video(key, adapter_class(key)))


def test_predicted_frames_of_the_past_still_decode() -> None:
    frames = torch.cat(list(predicting().load(GOLDEN / "dcvc-net.lov")))
    expected = torch.from_numpy(np.load(GOLDEN / "dcvc-net.npy")).float()
    assert float((frames * 255 - expected).abs().max()) < 1


def write_predicted() -> None:
    codec, path = predicting(), GOLDEN / "dcvc-net.lov"
    codec.save(path, moving(3, 72, 136))
    frames = torch.cat(list(codec.load(path)))
    np.save(GOLDEN / "dcvc-net.npy", (frames * 255).round().byte().numpy())


def write_goldens() -> None:
    strings = {}
    for name in LATTICES:
        channel, prior, string = golden_string(name)
        latent = received(channel, string, prior).latent
        digest, total = channel.digest().hex(), float(latent.hat.sum())
        strings[name] = {"string": string.hex(), "tables": digest, "sum": total}
    (GOLDEN / "strings.json").write_text(json.dumps(strings, indent=1) + "\n")
    for family, make in MODELS.items():
        codec = latentopt.wrap(make(), "hex")
        codec.save(GOLDEN / f"{family}.lo", photo(40, 56))
        image = codec.load(GOLDEN / f"{family}.lo")
        np.save(GOLDEN / f"{family}.npy", (image * 255).round().byte().numpy())
    for word in NEWER:
        write_newer(word)
    write_in_maps()
    write_predicted()
    write_formed_ahead()
    flow = latentopt.wrap(tiny_flow(), "hex")
    flow.save(GOLDEN / "ssf2020.lov", moving(3, 40, 56))
    frames = torch.cat(list(flow.load(GOLDEN / "ssf2020.lov")))
    np.save(GOLDEN / "ssf2020.npy", (frames * 255).round().byte().numpy())


if __name__ == "__main__":
    write_goldens()
