"""The embedded codecs of one-hot maps: their files, and what their streams are when cut."""

from pathlib import Path

import pytest
import torch
from support.models import photo
from support.one_hot import one_hot
from torch.nn.functional import avg_pool2d

import latentopt
from latentopt import Container, zoo
from latentopt.bitstream import Origin
from latentopt.errors import WeightsError
from latentopt.media.images import to_uint8
from latentopt.media.quality import psnr_db
from latentopt.zoo.embedded import CODECS, EMBEDDED, write_embedded
from latentopt.zoo.one_hot_codec import OneHotCodec

NAMES = [name for name, family in CODECS.items() if family == "tiny-ohm"]
SHIPPED = [name for name in NAMES if EMBEDDED.qualities(name)]


def test_states_tell_their_widths() -> None:
    for layers in (1, 2, 4):
        model = OneHotCodec(6, 8, maps=3, symbols=5, layers=layers).eval()
        again = OneHotCodec.from_state_dict(model.state_dict()).eval()
        x = torch.rand(1, 3, 32, 48)
        assert torch.equal(again(x)["x_hat"], model(x)["x_hat"])
        assert again.downsampling_factor == 2**layers


def test_written_codecs_load_and_code(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_embedded(one_hot(), path, {"architecture": "tiny-ohm"})
    loaded = zoo.load("tiny-ohm", weights=path)
    assert isinstance(loaded, OneHotCodec) and loaded.origin == Origin("tiny-ohm")
    again = zoo.load("tiny-ohm", weights=path)
    x = photo(40, 56)
    data = latentopt.wrap(loaded).save_bytes(x)
    assert torch.equal(latentopt.wrap(again).load_bytes(data), latentopt.wrap(loaded)(x)["x_hat"])


def test_weights_of_other_codecs_are_told(tmp_path: Path) -> None:
    torch.save(one_hot().state_dict(), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="not the weights of mbt2018-mean"):
        zoo.load("mbt2018-mean", weights=tmp_path / "w.pt")
    other = zoo.load("tiny-bmshj2018-factorized", 1)
    torch.save(other.state_dict(), tmp_path / "x.pt")
    with pytest.raises(WeightsError, match="it lacks prior"):
        zoo.load("tiny-ohm", weights=tmp_path / "x.pt")


@pytest.mark.parametrize("name", SHIPPED)
def test_more_maps_make_a_better_image(name: str) -> None:
    codec = latentopt.wrap(zoo.load(name, 1))
    x = avg_pool2d(photo(384, 512), 4)  # (1, 3, 96, 128), little noise
    if name == "tiny-ohm-digits":  # strokes of white on black
        x = (x > 0.6).float()[:, :1].expand(1, 3, -1, -1)
    data = codec.save_bytes(x)
    count = len(Container.from_bytes(data).maps)
    found = [
        psnr_db(to_uint8(x), to_uint8(codec.load_bytes(data, maps=k)))
        for k in (1, count // 2, count)
    ]
    assert found == sorted(found)
    assert zoo.writer_of(codec.origin, codec.identity.weights_hash) is not None
