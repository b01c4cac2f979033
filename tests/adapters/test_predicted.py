"""Views of adapters: what they share, and what is theirs alone."""

import copy
import pickle

import torch
from support.models import FAMILIES, photo, tiny, tiny_flow

import latentopt
from latentopt.adapters import Reference


def test_views_share_what_follows_from_the_weights() -> None:
    codec = latentopt.wrap(tiny_flow(), "hex")
    motion = codec.frames.parts["motion"].adapter
    view = motion.knowing(Reference(torch.rand(1, 3, 128, 128)), {})
    assert view is not motion and view.known is not None and motion.known is None
    found = view.keep("anything", lambda: object())
    assert motion.keep("anything", lambda: object()) is found
    assert view.alone().keep("anything", lambda: object()) is found
    assert view.densities is motion.densities


def test_coding_frames_derives_nothing_anew() -> None:
    codec = latentopt.wrap(tiny_flow(), "hex")
    frames = [photo(64, 64, seed=k) for k in range(3)]
    codec.compress(frames)
    before = {name: dict(part.adapter._kept) for name, part in codec.frames.parts.items()}
    codec.decompress(*codec.compress(frames))
    for name, part in codec.frames.parts.items():
        assert all(part.adapter._kept[key] is value for key, value in before[name].items())
        assert any(key.endswith("._scales") for key in before[name])


def test_copies_and_pickles_keep_nothing() -> None:
    codec = latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), "hex")
    codec.compress(photo(64, 64))
    adapter = codec.assembly.adapter
    assert adapter._kept
    assert not copy.deepcopy(adapter)._kept and not pickle.loads(pickle.dumps(adapter))._kept
