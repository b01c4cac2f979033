"""latentopt: make trained neural image and video codecs compress better, with no retraining."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentopt.calibration import calibrate
    from latentopt.codec import Codec
    from latentopt.coding import Container
    from latentopt.errors import (
        BitstreamError,
        DataError,
        InputError,
        LatentoptError,
        RateRangeError,
        TruncatedError,
        UnsupportedModelError,
        WeightsError,
    )
    from latentopt.video import VideoCodec
    from latentopt.wrapping import wrap

__version__ = "0.1.0"

__all__ = [
    "BitstreamError",
    "Codec",
    "Container",
    "DataError",
    "InputError",
    "LatentoptError",
    "RateRangeError",
    "TruncatedError",
    "UnsupportedModelError",
    "VideoCodec",
    "WeightsError",
    "__version__",
    "calibrate",
    "wrap",
]

_HOMES = {  # the others are errors
    "Codec": "codec",
    "Container": "coding",
    "calibrate": "calibration",
    "VideoCodec": "video",
    "wrap": "wrapping",
}
_ROOMS = {
    "bench",
    "calibration",
    "clips",
    "codec",
    "coding",
    "encoder",
    "errors",
    "explain",
    "images",
    "lattices",
    "models",
    "pmf",
    "video",
    "wrapping",
    "zoo",
}


def __getattr__(name: str) -> Any:
    """Import on first use: PyTorch and CompressAI take seconds, which `latentopt --help` spares."""
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value
