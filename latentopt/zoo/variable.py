"""CompressAI's variable-rate codecs: one checkpoint, whose rates are its qualities."""

from collections.abc import Mapping

from compressai.models import CompressionModel
from compressai.models.vbr import ScaleHyperpriorVbr
from compressai.zoo.image_vbr import model_architectures
from torch import IntTensor, Tensor

from latentopt.adapters import at_rate
from latentopt.errors import InputError

VARIABLE: dict[str, type[CompressionModel]] = model_architectures
QUALITIES = range(1, 9)

_OF_ONE_RATE = tuple(
    f"entropy_bottleneck.{name}" for name in ("_quantized_cdf", "_offset", "_cdf_length")
)


def from_state_dict(family: str, state: Mapping[str, Tensor]) -> CompressionModel:
    """A model of one of the classes; whether its side latent's step follows, the weights tell.

    Where it does, stored tables of the side latent are those of one rate, and CompressAI's own
    ``load_state_dict`` has no room for them: :func:`at_rate` makes them of the weights.
    """
    if not any(name.startswith("gayn2zqstep.") for name in state):
        return VARIABLE[family].from_state_dict(dict(state))
    others = dict(state) | {name: IntTensor() for name in _OF_ONE_RATE}
    return VARIABLE[family].from_state_dict(others, vr_entbttlnck=True)


def at_quality(model: CompressionModel, codec: str, quality: int | None) -> CompressionModel:
    """A variable-rate model at one of its rates, any other as it is.

    Raises:
        InputError: a rate is needed, and none is given, or there is no such.
    """
    if not isinstance(model, ScaleHyperpriorVbr):
        return model
    if quality is None or quality not in QUALITIES:
        wrong = "codes at several rates" if quality is None else f"has no quality {quality}"
        raise InputError(f"{codec} {wrong}: give a quality, {QUALITIES[0]} to {QUALITIES[-1]}")
    return at_rate(model, quality - 1)
