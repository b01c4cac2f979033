"""One codec for many threads, and copies of one that has been used."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from support.codec_families import IMAGE_MODELS, VIDEO_CODECS, flow_codec
from support.models import moving, photo
from torch import Tensor, nn

import latentopt
from latentopt.encoder import Ahead

WORDS = [
    *((family, {"quant": "oct"}) for family in IMAGE_MODELS),
    *((family, {"preset": "default"}) for family in ("mbt2018-mean", "mbt2018", "dcvc-hem")),
]
THREADS = 4


def at_once(do: Callable[[Any], Any], work: list[Any]) -> list[Any]:
    # One OpenMP thread for each, as outside: the last bits of a synthesis depend on their number.
    with ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(do, work))


def clips(frames: int) -> list[list[Tensor]]:
    """Of several sizes, and each another scene."""
    each = [moving(frames, 64 + 8 * k, 64) for k in range(THREADS)]
    return [[x.flip(-1) for x in clip] if k % 2 else clip for k, clip in enumerate(each)]


# -- threads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family, words", WORDS, ids=str)
def test_threads_share_an_image_codec(family: str, words: dict[str, Any]) -> None:
    """What is derived when it is first needed is derived while they run."""
    model = IMAGE_MODELS[family](0)
    one, shared = (latentopt.wrap(model, **words) for _ in range(2))
    images = [photo(64 + 8 * (k % 2), 64, seed=k) for k in range(THREADS)]
    alone = [one.compress(x) for x in images]
    pictures = [one.decompress(**out)["x_hat"] for out in alone]
    together = at_once(shared.compress, images)
    assert [out["strings"] for out in together] == [out["strings"] for out in alone]
    decoded = at_once(lambda out: shared.decompress(**out)["x_hat"], together)
    assert all(torch.equal(a, b) for a, b in zip(decoded, pictures, strict=True))


def networks(codec: latentopt.Codec) -> list[Tensor]:
    """The weights of the model, and of the copies of its networks that were derived from it."""
    kept = codec.assembly.adapter._kept.values()
    modules = [codec.model, *(module for module in kept if isinstance(module, nn.Module))]
    return [tensor for module in modules for tensor in module.state_dict().values()]


@pytest.mark.parametrize("family", IMAGE_MODELS)
def test_coding_leaves_the_memory_of_the_weights_alone(family: str) -> None:
    """CompressAI's masked convolutions replace theirs whenever they run, while others may read."""
    codec, x = latentopt.wrap(IMAGE_MODELS[family](0), "hex", True), photo(64, 64)
    codec.decompress(**codec.compress(x))
    before = networks(codec)  # holds the memory, so that nothing else can be at its place
    codec.decompress(**codec.compress(x))
    pairs = zip(before, networks(codec), strict=True)
    assert all(was.data_ptr() == now.data_ptr() for was, now in pairs)


@pytest.mark.parametrize("kind", VIDEO_CODECS)
def test_threads_share_a_video_codec(kind: str) -> None:
    one, shared = (VIDEO_CODECS[kind]() for _ in range(2))
    alone = [one.compress(clip) for clip in clips(2)]
    pictures = [one.decompress(*out) for out in alone]

    def there_and_back(clip: list[Tensor]) -> tuple[Any, list[Tensor]]:
        out = shared.compress(clip)
        return out, shared.decompress(*out)

    for (out, decoded), expected, images in zip(
        at_once(there_and_back, clips(2)), alone, pictures, strict=True
    ):
        assert out == expected
        assert all(torch.equal(a, b) for a, b in zip(decoded, images, strict=True))


@pytest.mark.parametrize("words", [{}, {"gop": 2}, {"ahead": Ahead((0.0,))}], ids=str)
def test_clips_coded_in_turns_do_not_see_each_other(words: dict[str, Any], tmp_path: Path) -> None:
    """Frame by frame, so that it does not depend on how threads are scheduled."""
    codec = flow_codec(**words)
    a, b = clips(3)[:2]
    alone = [[image for _, image in codec.encode(clip)] for clip in (a, b)]
    turns = list(zip(codec.encode(a), codec.encode(b), strict=True))
    for k, images in enumerate(alone):
        found = [pair[k][1] for pair in turns]
        assert all(torch.equal(x, y) for x, y in zip(found, images, strict=True))
    for name, clip in (("a", a), ("b", b)):
        codec.save(tmp_path / name, clip)
    decoded = list(zip(codec.load(tmp_path / "a"), codec.load(tmp_path / "b"), strict=True))
    for k, clip in enumerate((a, b)):
        expected = codec.decompress(*codec.compress(clip))
        found = [pair[k] for pair in decoded]
        assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))


# -- copies ----------------------------------------------------------------------------------------

COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda codec: pickle.loads(pickle.dumps(codec)),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("family, words", WORDS, ids=str)
def test_a_copy_of_a_used_codec_writes_the_same(
    family: str, words: dict[str, Any], copied: str
) -> None:
    codec, x = latentopt.wrap(IMAGE_MODELS[family](0), **words), photo(64, 64)
    out = codec.compress(x)
    pictures = codec.decompress(**out)["x_hat"]
    other = COPIES[copied](codec)
    assert other.identity == codec.identity and other.recipe == codec.recipe
    assert other.compress(x)["strings"] == out["strings"]
    assert torch.equal(other.decompress(**out)["x_hat"], pictures)


VIDEO_COPIES = [(kind, copied) for kind in VIDEO_CODECS for copied in COPIES]


@pytest.mark.parametrize("kind, copied", VIDEO_COPIES)
def test_a_copy_of_a_used_video_codec_writes_the_same(kind: str, copied: str) -> None:
    codec, frames = VIDEO_CODECS[kind](), moving(3, 64, 64)
    out = codec.compress(frames)
    pictures = codec.decompress(*out)
    other = COPIES[copied](codec)
    assert other.compress(frames) == out
    decoded = other.decompress(*out)
    assert all(torch.equal(a, b) for a, b in zip(decoded, pictures, strict=True))


@pytest.mark.parametrize("family", IMAGE_MODELS)
def test_a_copy_has_weights_of_its_own(family: str) -> None:
    """And its networks are those of its state: what is loaded there is what it codes with."""
    codec, other = (latentopt.wrap(IMAGE_MODELS[family](seed), "hex") for seed in (0, 1))
    x = photo(64, 64)
    before, expected = (each.compress(x) for each in (codec, other))
    copied = pickle.loads(pickle.dumps(codec))
    copied.load_state_dict(other.state_dict())
    assert copied.compress(x)["strings"] == expected["strings"]
    pictures = [each.decompress(**expected)["x_hat"] for each in (copied, other)]
    assert torch.equal(*pictures)
    assert codec.compress(x)["strings"] == before["strings"]
    assert codec.identity != other.identity


@pytest.mark.parametrize("kind, copied", VIDEO_COPIES)
def test_a_copy_of_a_video_codec_has_weights_of_its_own(kind: str, copied: str) -> None:
    codec, other = (VIDEO_CODECS[kind](seed) for seed in (0, 1))
    frames = moving(2, 64, 64)
    before, expected = (each.compress(frames) for each in (codec, other))
    changed = COPIES[copied](codec)
    changed.load_state_dict(other.state_dict())
    assert changed.compress(frames) == expected
    pictures = [each.decompress(*expected) for each in (changed, other)]
    assert all(torch.equal(a, b) for a, b in zip(*pictures, strict=True))
    assert codec.compress(frames) == before
