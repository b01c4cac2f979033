"""`wrap`: from a trained model and a few words to a codec."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from latentopt.codec import Codec
from latentopt.coding import DIRECTIONS, Header, Settings
from latentopt.encoder import Effort, Preset, StepSearch, get_preset, get_search
from latentopt.errors import BitstreamError, InputError
from latentopt.lattices import get as get_rule
from latentopt.models import Adapter, VideoAdapter, adapter_class
from latentopt.video import VideoCodec

MakeAdapter = Callable[[nn.Module, bool], Adapter | VideoAdapter]


@torch.inference_mode(False)  # a copy made in it could not be differentiated
def wrap(
    model: nn.Module,
    quant: str | None = None,
    shift: bool | str | StepSearch | None = None,
    *,
    preset: str | None = None,
    direction: str | None = None,
    scales: bool | None = None,
    effort: Effort | None = None,
    lmbda: float | None = None,
    pmf: str = "exact",
    portable: bool = True,
    adapter: MakeAdapter | None = None,
    parts: Sequence[str] | None = None,
) -> Any:
    """Make a trained codec compress better; the model itself is copied and left untouched.

    >>> from compressai.models import FactorizedPrior
    >>> codec = wrap(FactorizedPrior(8, 12).eval(), quant="hex")
    >>> x = torch.rand(1, 3, 40, 50)
    >>> out = codec.compress(x)
    >>> rec = codec.decompress(out["strings"], out["shape"])["x_hat"]
    >>> rec.shape == x.shape and torch.equal(rec, codec(x)["x_hat"])
    True

    Args:
        model: an image codec of CompressAI's zoo, one assembled from its latent codecs,
            InvCompress, or your own with an ``adapter``; or a video codec, ScaleSpaceFlow.
        quant: lattice of the main latent: ``int``, ``hex``, ``oct`` (the default), ``d4``, ``e8``,
            or ``auto``: the best one for each level.
        shift: latent shift: False, True (the default: ``"secant"``), ``"grid"`` (the paper's
            search), or an object of your own. The decoder takes any of them.
        preset: ``paper``, ``fast``, ``default``, ``slow`` or ``best``: other values for the other
            arguments that are not given, from what the encoder may spend. See
            :mod:`latentopt.encoder.presets`.
        direction: where to shift: ``"density"`` (the default), the gradient of -log density,
            ``"sign"``, or ``"split"``, sign with a step size for each of six ranges of spread.
        scales: correct the scales of each channel, per image.
        effort: search lattice points by rate and distortion, with gradients; None: the nearest.
        lmbda: of lambda * 255^2 * MSE + bits per pixel, which an ``effort`` minimizes; None: the
            model's own attribute ``lmbda``, if it has one (the zoo's have), else estimated.
        pmf: ``"exact"``, or ``"paper"`` for the paper's tables without rare centres.
        portable: compute what selects the tables in float64 on the CPU, so that a stream decodes on
            any machine, with any number of threads and any batch. Without it, only on the like.
        adapter: for a codec of your own, what makes its adapter: called as
            ``adapter(model, portable)``, for example a class of ``latentopt.models`` with other
            transforms (docs/your-own-codec.md).
        parts: of a video codec, which latents all this is for: of ``image`` (the key frame),
            ``motion`` and ``residual``; unless given, all with an ``effort`` (also a preset's),
            and else, as in the paper, all but motion. The others are rounded as ever.

    Returns:
        A :class:`latentopt.codec.Codec`, or :class:`latentopt.video.VideoCodec` for a video codec.

    Raises:
        UnsupportedModelError: the model's class has no adapter.
        InputError: an unknown name among the arguments, or two that exclude each other.
    """
    if preset:
        get_preset(preset)  # refuse before copying
    make = adapter or adapter_class(model)
    if lmbda is None:
        lmbda = getattr(model, "lmbda", None)
    elif not lmbda > 0:
        raise InputError(f"lmbda {lmbda}: it must be a positive number")
    given = dict(quant=quant, shift=shift, direction=direction, scales=scales, effort=effort)
    choice = _Choice(preset, given, pmf, portable, lmbda)
    made = make(copy.deepcopy(model), portable)
    if isinstance(made, VideoAdapter):
        return _video(made, choice, choice.parts(made) if parts is None else parts)
    if parts is not None:
        raise InputError("parts are those of a video codec, and this is an image codec")
    return choice.codec(made)


def wrap_for(model: nn.Module, header: Header) -> VideoCodec:
    """The codec that reads a video file with this header, whatever its parts were coded with.

    Raises:
        UnsupportedModelError: the model is not of a video codec that is supported.
        BitstreamError: the file was not written by such a model.
    """
    portable = all(settings.portable for settings in header.settings)
    adapter = adapter_class(model)(copy.deepcopy(model), portable)
    if not isinstance(adapter, VideoAdapter) or len(adapter.parts) != len(header.settings):
        raise BitstreamError(f"a video of {len(header.settings)} parts is not one of this model's")
    parts = zip(adapter.parts.items(), header.settings)
    codecs = {name: Codec(part, settings, None).eval() for (name, part), settings in parts}
    codec = VideoCodec(adapter, codecs, adapter.searched).eval()
    codec.check(header)
    return codec


def _video(adapter: VideoAdapter, choice: "_Choice", searched: Sequence[str]) -> VideoCodec:
    unknown = set(searched) - set(adapter.parts)
    if unknown:
        raise InputError(f"unknown part {min(unknown)!r}: choose of {', '.join(adapter.parts)}")
    plain = replace(choice, preset=None, given=dict(quant="int", shift=False), pmf="exact")
    codecs = {
        name: (choice if name in searched else plain).codec(part)
        for name, part in adapter.parts.items()
    }
    return VideoCodec(adapter, codecs, [name for name in codecs if name in searched]).eval()


@dataclass(frozen=True)
class _Choice:
    """The arguments of :func:`wrap`, for any model."""

    preset: str | None
    given: dict[str, Any]
    pmf: str
    portable: bool
    lmbda: float | None

    def parts(self, adapter: VideoAdapter) -> Sequence[str]:
        """Those of a video codec that this is for: all, where points are searched."""
        searching = self.given["effort"] or (self.preset and get_preset(self.preset).effort)
        return list(adapter.parts) if searching else adapter.searched

    def codec(self, adapter: Adapter) -> Codec:
        """The codec of one image, or of one part of a video."""
        base = get_preset(self.preset, adapter.contextual) if self.preset else Preset("oct", True)
        given = {name: value for name, value in self.given.items() if value is not None}
        chosen: Any = replace(base, **given)
        if chosen.direction not in DIRECTIONS:
            names = " or ".join(DIRECTIONS)
            raise InputError(f"unknown direction {chosen.direction!r}: choose {names}")
        if self.pmf == "paper" and (chosen.effort or chosen.scales):
            raise InputError("pmf='paper' excludes an encoder that chooses points: use pmf='exact'")
        rule = get_rule(chosen.quant)
        settings = Settings(rule.name, self.pmf, chosen.direction, self.portable, chosen.scales)
        search = get_search("secant") if chosen.shift is True else chosen.shift
        search = get_search(search) if isinstance(search, str) else search
        return Codec(adapter, settings, search or None, chosen.effort, self.lmbda).eval()
