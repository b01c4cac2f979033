"""latentopt: make already trained neural image codecs compress better, with no retraining."""

from latentopt.codec import Codec, wrap
from latentopt.coding import Container
from latentopt.errors import (
    BitstreamError,
    DataError,
    InputError,
    LatentoptError,
    RateRangeError,
    UnsupportedModelError,
    WeightsError,
)

__version__ = "0.1.0"

__all__ = [
    "BitstreamError",
    "Codec",
    "Container",
    "DataError",
    "InputError",
    "LatentoptError",
    "RateRangeError",
    "UnsupportedModelError",
    "WeightsError",
    "__version__",
    "wrap",
]
