"""Codec names, the CompressAI class behind each, and the qualities that have published weights."""

import difflib

from compressai.models import CompressionModel
from compressai.zoo.image import model_architectures, model_urls

from latentopt.errors import InputError

METRICS = ("mse", "ms-ssim")

# CompressAI spells one of its keys with underscores; every other name has hyphens.
_CLASSES: dict[str, type[CompressionModel]] = {
    name.replace("_", "-"): cls for name, cls in model_architectures.items()
}


def names() -> tuple[str, ...]:
    """Zoo codec names, in CompressAI's order.

    >>> names()[:2]
    ('bmshj2018-factorized', 'bmshj2018-factorized-relu')
    """
    return tuple(_CLASSES)


def canonical(codec: str) -> str:
    """The zoo's spelling of ``codec``; InputError with the nearest names where there is none.

    >>> canonical("MBT2018_mean")
    'mbt2018-mean'
    """
    name = codec.strip().lower().replace("_", "-")
    if name in _CLASSES:
        return name
    near = difflib.get_close_matches(name, _CLASSES, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(_CLASSES)}"
    raise InputError(f"unknown codec {codec!r}; {hint}")


def architecture(codec: str) -> type[CompressionModel]:
    """The CompressAI model class of a codec name."""
    return _CLASSES[canonical(codec)]


def qualities(codec: str, metric: str = "mse") -> tuple[int, ...]:
    """Qualities with published weights, lowest rate first; empty where none were published.

    >>> qualities("cheng2020-attn")
    (1, 2, 3, 4, 5, 6)
    """
    return tuple(sorted(_urls(codec, metric)))


def url(codec: str, quality: int, metric: str = "mse") -> str:
    """Where CompressAI publishes the weights; InputError naming the valid range otherwise."""
    published = _urls(codec, metric)
    if not published:
        raise InputError(
            f"CompressAI publishes no weights of {canonical(codec)}: "
            "pass your own checkpoint as weights (--weights FILE)"
        )
    if quality not in published:
        raise InputError(
            f"{canonical(codec)} has no quality {quality}: "
            f"valid are {min(published)} to {max(published)}"
        )
    return published[quality]


def _urls(codec: str, metric: str) -> dict[int, str]:
    if metric not in METRICS:
        raise InputError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
    return model_urls.get(canonical(codec), {}).get(metric, {})
