"""What CompressAI's zoo has, as data: importing it takes seconds, and names are asked for before.

A test compares it with the zoo that is installed.
"""

import json
from pathlib import Path

VIDEO = ("ssf2020",)
"""Architectures that code lists of frames."""

VARIABLE = ("bmshj2018-hyperprior-vbr", "mbt2018-mean-vbr", "mbt2018-vbr")
"""Architectures of which one checkpoint codes at several qualities."""

FACTORIZED = ("bmshj2018-factorized", "bmshj2018-factorized-relu")
"""Architectures without a side latent."""

CONTEXTUAL = ("mbt2018", "cheng2020-anchor", "cheng2020-attn", "mbt2018-vbr")
"""Architectures with a context model of their own."""

OWN = ("tiny-ohm",)
"""Architectures that only latentopt has: that of an embedded codec, by its name."""

SAMPLED = ("vae", "pln", "gamma-pln")
"""Architectures of latentopt's own, which send samples."""

_DATA: dict[str, dict[str, dict[str, str]]] = json.loads(
    Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
)

URLS: dict[str, dict[str, dict[int, str]]] = {
    name: {metric: {int(q): url for q, url in urls.items()} for metric, urls in metrics.items()}
    for name, metrics in _DATA.items()
} | {name: {} for name in SAMPLED}
"""Of each architecture, by metric and quality, where its weights are; empty where nowhere."""

ARCHITECTURES = (*URLS, *OWN)
"""All of them."""


def spelling(name: str) -> str:
    """How codec names are written, whatever way one was typed.

    >>> spelling(" MBT2018_mean")
    'mbt2018-mean'
    """
    return name.strip().lower().replace("_", "-")
