"""latentopt: make trained neural image and video codecs compress better, with no retraining."""

from importlib import import_module
from typing import TYPE_CHECKING

from latentopt import imports

if TYPE_CHECKING:
    from latentopt.bitstream import Container
    from latentopt.codec.calibrate import calibrate
    from latentopt.codec.image import Codec
    from latentopt.codec.recipe import Recipe
    from latentopt.codec.video import VideoCodec
    from latentopt.codec.wrap import wrap
    from latentopt.errors import (
        BitstreamError,
        DataError,
        InputError,
        LatentoptError,
        MissingExtraError,
        RateRangeError,
        TruncatedError,
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
    "MissingExtraError",
    "RateRangeError",
    "Recipe",
    "TruncatedError",
    "UnsupportedModelError",
    "VideoCodec",
    "WeightsError",
    "__version__",
    "calibrate",
    "wrap",
]

_HOMES = {  # the others are errors
    "Codec": "codec.image",
    "Container": "bitstream",
    "VideoCodec": "codec.video",
    "Recipe": "codec.recipe",
    "calibrate": "codec.calibrate",
    "wrap": "codec.wrap",
}
_ROOMS = (  # so that `import latentopt` is enough for `latentopt.zoo.load`
    "adapters",
    "bench",
    "bitstream",
    "cli",
    "codec",
    "densities",
    "encoder",
    "errors",
    "latents",
    "lattices",
    "media",
    "pmf",
    "quantizers",
    "report",
    "training",
    "zoo",
)


imports.install()


def __getattr__(name: str) -> object:
    """Import on first use: PyTorch and CompressAI take seconds, which `latentopt --help` spares."""
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value
