"""Weights hashes of the embedded codecs, as files have them: known without loading a model.

A test computes them; `python scripts/ship_hashes.py` writes them.
"""

import json
from pathlib import Path

from latentopt.bitstream.origin import Origin

PATH = Path(__file__).with_suffix(".json")
"""Of each codec, by quality, eight hexadecimal digits."""


def embedded(hash_: bytes) -> Origin | None:
    """The embedded codec with weights of that hash, if there is one."""
    known: dict[str, dict[str, str]] = json.loads(PATH.read_text(encoding="utf-8"))
    for codec, hashes in known.items():
        for quality, text in hashes.items():
            if text == hash_.hex():
                return Origin(codec, int(quality))
    return None
