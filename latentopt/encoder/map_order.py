"""Which channels of a progressive latent are sent, and in which order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from latentopt.latents import ProgressiveLatent


def most_valuable_first(
    latent: ProgressiveLatent, y: NDArray[np.floating], squared: NDArray[np.floating]
) -> Sequence[int]:
    """Channels by how much error of the image each takes away for a bit, without those that do not.

    Args:
        latent: all channels of one image.
        y: (n,) what they are of.
        squared: (M,) squared error of the image per squared unit of a channel's elements.
    """
    absent = latent.ordered([]).hat
    error = np.square(y - absent) - np.square(y - latent.hat)
    gain = squared * error.reshape(latent.planes).sum(axis=1, dtype=np.float64)
    value = gain / np.maximum(latent.bits().reshape(latent.planes).sum(axis=1), 1.0)
    order = np.argsort(-value, kind="stable")
    return [int(channel) for channel in order if value[channel] > 0]
