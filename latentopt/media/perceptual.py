"""Distances between images that networks have learned from people's judgements, by pyiqa."""

from collections.abc import Callable, Sequence

from torch import Tensor

from latentopt.extras import need

PERCEPTUAL = ("lpips", "dists")
"""Names of the distances; 0 is an exact copy. Their weights are downloaded on first use."""


def distances(names: Sequence[str]) -> Callable[[Tensor, Tensor], dict[str, float]]:
    """A function that measures two (3, H, W) uint8 images, the original first.

    Raises:
        MissingExtraError: pyiqa is not installed.
    """
    if not names:
        return lambda x, x_hat: {}
    need("metrics", "pyiqa")
    from pyiqa import create_metric

    made = {name: create_metric(name) for name in names}

    def measure(x: Tensor, x_hat: Tensor) -> dict[str, float]:
        pair = x_hat[None].float() / 255, x[None].float() / 255
        return {name: float(metric(*pair).item()) for name, metric in made.items()}

    return measure
