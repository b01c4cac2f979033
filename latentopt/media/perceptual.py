"""Distances between images that networks have learned from people's judgements, by pyiqa."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from latentopt.errors import WeightsError
from latentopt.extras import need

PERCEPTUAL = ("lpips", "dists")
"""Names of the distances; 0 is an exact copy. Their weights are downloaded on first use."""


def distances(names: Sequence[str]) -> Callable[[Tensor, Tensor], dict[str, float]]:
    """A function that measures two (3, H, W) uint8 images, the original first.

    Raises:
        MissingExtraError: pyiqa is not installed.
        WeightsError: the weights of a distance cannot be downloaded.
    """
    if not names:
        return lambda x, x_hat: {}
    need("metrics", "pyiqa")
    from pyiqa import create_metric

    made = {}
    for name in names:
        try:
            made[name] = create_metric(name, device=torch.device("cpu"))
        except OSError as error:  # as of a machine without a network
            raise WeightsError(
                f"cannot download the weights that {name} measures with ({error}); run it once "
                "where there is a network, and copy torch.hub's folder"
            ) from error

    def measure(x: Tensor, x_hat: Tensor) -> dict[str, float]:
        pair = x_hat[None].float() / 255, x[None].float() / 255
        return {name: float(metric(*pair).item()) for name, metric in made.items()}

    return measure
