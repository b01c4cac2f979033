"""`wrap`: from a trained model and a few words to a codec."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, Unpack, cast, overload

import torch
from torch import Tensor, nn

from latentopt.adapters import (
    Adapter,
    OneHotAdapter,
    VariationalAdapter,
    VideoAdapter,
    adapter_class,
    is_one_hot,
    is_variational,
)
from latentopt.adapters.geometry import check_parts, check_stride
from latentopt.adapters.still import peeled, still_copy
from latentopt.bitstream import Header, Identity, Origin
from latentopt.codec.assembly import weights_hash
from latentopt.codec.formats import NATIVE, OWN, asked
from latentopt.codec.image import Codec
from latentopt.codec.native import NativeCodec
from latentopt.codec.native_video import NativeVideoCodec
from latentopt.codec.own_coder import Updatable, make_ready
from latentopt.codec.recipe import (
    PRESETS,
    ROUNDING,
    MoreWords,
    Recipe,
    Shift,
    Words,
    get_preset,
    of_maps,
    preset_for,
)
from latentopt.codec.sampled import as_sampled
from latentopt.codec.video import VideoCodec
from latentopt.densities import FactorizedDensity
from latentopt.encoder import Ahead, Effort
from latentopt.errors import BitstreamError, InputError, UnsupportedModelError, WordError
from latentopt.latents.dither import Dither
from latentopt.latents.sampling import Sampling

_OF_MAPS = ("portable", "progressive")
"""Words that can be said of codecs of one-hot maps."""

MakeAdapter = Callable[[nn.Module, bool], Adapter]
MakeVideoAdapter = Callable[[nn.Module, bool], VideoAdapter]


class VideoModel(Protocol):
    """CompressAI's ``ScaleSpaceFlow``, as far as a type checker needs to tell it from others."""

    def forward_prediction(self, x_ref: Tensor, motion_info: Tensor) -> object: ...


class _Words(MoreWords, total=False):
    preset: str | None
    recipe: Recipe | None


@overload
def wrap(
    model: VideoModel,
    quant: str | None = None,
    shift: Shift | None = None,
    *,
    adapter: None = None,
    **words: Unpack[_Words],
) -> VideoCodec: ...
@overload
def wrap(
    model: nn.Module,
    quant: str | None = None,
    shift: Shift | None = None,
    *,
    adapter: MakeVideoAdapter,
    **words: Unpack[_Words],
) -> VideoCodec: ...
@overload
def wrap(
    model: nn.Module,
    quant: str | None = None,
    shift: Shift | None = None,
    *,
    adapter: MakeAdapter | None = None,
    **words: Unpack[_Words],
) -> Codec: ...
def wrap(
    model: nn.Module | VideoModel,
    quant: str | None = None,
    shift: Shift | None = None,
    *,
    preset: str | None = None,
    recipe: Recipe | None = None,
    direction: str | None = None,
    scales: bool | None = None,
    adaptive: bool | None = None,
    effort: Effort | None = None,
    lmbda: float | None = None,
    pmf: str | None = None,
    portable: bool | None = None,
    adapter: MakeAdapter | MakeVideoAdapter | None = None,
    parts: Sequence[str] | None = None,
    gop: int | None = None,
    ahead: Ahead | None = None,
    channel: str | None = None,
    context: bool | None = None,
    dither: int | Dither | None = None,
    spread: float | Sampling | None = None,
    progressive: bool | None = None,
    postfilter: bool | None = None,
    prepacked: bool | None = None,
    format: str | None = None,
) -> Codec | VideoCodec:
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
        quant: lattice of the main latent: ``int``, ``hex``, ``oct``, ``d4``, ``e8``, or ``auto``:
            the best one for each level.
        shift: latent shift: False, True (that is, ``"secant"``), ``"grid"`` (the paper's search),
            or an object of your own. The decoder takes any of them.
        preset: ``paper``, ``plain``, ``fast``, ``default``, ``slow`` or ``best``: values for the
            other arguments that are not given, from what the encoder may spend. Without any
            word of how points are chosen it is ``default``: without any argument, with what only
            switches something off (``scales=False``, ``shift=False``, …), and with ``lmbda``,
            ``portable``, ``progressive``, ``postfilter``, ``parts`` and ``gop``. With any other it
            is ``plain``: the lattice ``oct`` and a shift.
        recipe: the same as a value of your own.
        direction, scales, adaptive, context, effort, lmbda, pmf, portable, prepacked: see
            :class:`Recipe`.
        parts, gop, ahead, channel: likewise.
        dither: a seed, 0 to 2^32 - 1, or a :class:`Dither` that also says which latents: move the
            lattice by noise that both sides draw (docs/guide/dither.md).
        spread: a posterior's standard deviation, in steps of the codec, or a :class:`Sampling`
            that also says coder and seed: send a sample around each element of the main latent in
            place of a point (docs/guide/sampling.md). The same as with ``channel="sample"``.
        progressive: send each channel of the main latent by itself, the most valuable first: files
            may be cut after any of them (docs/guide/progressive.md).
        postfilter: fit a Wiener filter to each decoded image, which its decoder applies
            (docs/reference/postfilter.md); images only, presets for video do without.
        format: ``"compressai"``: write the model's own strings, which its own ``decompress`` reads
            without latentopt (docs/guide/deployed-decoders.md); with it go preset, effort, lmbda
            and parts, and nothing else.
        adapter: for a codec of your own, what makes its adapter: called as
            ``adapter(model, portable)``, for example a class of ``latentopt.adapters`` with other
            transforms (docs/guide/your-own-codec.md).

    Returns:
        A :class:`Codec`, or a :class:`VideoCodec` for a video codec.

    Raises:
        UnsupportedModelError: the model's class has no adapter.
        InputError: an unknown name among the arguments, or two that exclude each other.
    """
    if preset is not None and recipe is not None:
        raise InputError("preset and recipe exclude each other: give one")
    if not isinstance(recipe, Recipe | None):
        raise InputError(f"recipe {recipe!r}: expected a Recipe; presets go by preset=")
    if recipe is not None and format not in (None, recipe.format):
        raise InputError(f"recipe and format exclude each other: recipe.but(format={format!r})")
    _check_model(model)
    if quant in PRESETS:
        raise InputError(f"quant {quant!r} is a preset: wrap(model, preset={quant!r})")
    words: Words = {
        "quant": quant,
        "shift": shift,
        "direction": direction,
        "scales": scales,
        "adaptive": adaptive,
        "effort": effort,
        "lmbda": lmbda,
        "pmf": pmf,
        "portable": portable,
        "parts": parts,
        "gop": gop,
        "ahead": ahead,
        "channel": channel,
        "context": context,
        "dither": dither,
        "spread": spread,
        "progressive": progressive,
        "postfilter": postfilter,
        "prepacked": prepacked,
    }
    module = peeled(cast(nn.Module, model))
    if is_one_hot(module):
        words = _of_maps(words)
    named = preset or _unnamed(module, words, format)
    made = (recipe or get_preset(named, format or OWN)).but(**words)
    wrapped = _wrap(module, made, adapter)
    _refuse_in_vain(wrapped, words)
    return wrapped


def wrap_image(
    model: nn.Module,
    recipe: Recipe,
    adapter: MakeAdapter | None = None,
    reads: Identity | None = None,
) -> Codec:
    """:func:`wrap` for an image codec, which shall read streams of this identity.

    Raises:
        InputError: the model is of another kind.
        BitstreamError: the streams are of another model. That is seen before tables are built,
            which the settings in a header can make expensive.
    """
    made = _wrap(model, recipe, adapter, reads)
    if not isinstance(made, Codec):
        raise InputError(f"{type(model).__qualname__} is a video codec, and codes no images")
    return made


def wrap_video(
    model: nn.Module, recipe: Recipe, adapter: MakeVideoAdapter | None = None
) -> VideoCodec:
    """:func:`wrap` for a video codec; InputError where the model is of another kind."""
    made = _wrap(model, recipe, adapter)
    if not isinstance(made, VideoCodec):
        raise InputError(f"{type(model).__qualname__} is an image codec, and codes no video")
    return made


def wrap_for(
    model: nn.Module, header: Header, adapter: MakeVideoAdapter | None = None
) -> VideoCodec:
    """The codec that reads a video file with this header, whatever its parts were coded with.

    Args:
        adapter: for a codec of your own, see :func:`wrap`.

    Raises:
        UnsupportedModelError: the model is not of a video codec that is supported.
        BitstreamError: the file was not written by such a model.
    """
    portable = all(settings.portable for settings in header.settings)
    recipes = [Recipe.reading(settings) for settings in header.settings]
    made = (adapter or adapter_class(model))(still_copy(model), portable)
    if not isinstance(made, VideoAdapter) or len(made.parts) != len(header.settings):
        raise BitstreamError(f"a video of {len(header.settings)} parts is not one of this model's")
    _check_weights(made, header.identities[0])
    codecs = {
        name: Codec(part, recipe) for (name, part), recipe in zip(made.parts.items(), recipes)
    }
    origin = None if adapter else _origin_of(model)
    codec = VideoCodec(codecs, made.searched, Recipe(), origin).eval()
    codec.check(header)
    return codec


@torch.inference_mode(False)  # a copy made in it could not be differentiated
def _wrap(
    model: nn.Module,
    recipe: Recipe,
    own: MakeAdapter | MakeVideoAdapter | None = None,
    reads: Identity | None = None,
) -> Codec | VideoCodec:
    make = own or adapter_class(model)
    copied = still_copy(model)
    adapter = make(copied, recipe.portable)
    # With an adapter of one's own it is another codec, whatever the weights are called.
    origin = None if own else _origin_of(model)
    if recipe.format == NATIVE:
        make_ready(cast(Updatable, copied), adapter)
    if isinstance(adapter, VideoAdapter):
        return _video(copied, adapter, recipe, _lmbda_of(model), origin)
    _refuse_for_images(recipe)
    if reads is not None:
        _check_weights(adapter, reads)
    kind = NativeCodec if recipe.format == NATIVE else Codec
    try:
        fitted = _fitted(adapter, recipe, _lmbda_of(model))
    except InputError as error:
        if reads is None:
            raise
        raise BitstreamError(f"no codec of this model writes such settings: {error}") from None
    codec = kind(adapter, fitted, origin).eval()
    _ = adapter.stride  # which the base class compares with the transforms
    if type(adapter).stride is not Adapter.stride:
        check_stride(adapter)
    return codec


def _check_weights(adapter: Adapter | VideoAdapter, theirs: Identity) -> None:
    """Raises BitstreamError where streams are of a model with other weights."""
    replace(theirs, weights_hash=weights_hash(adapter)).check(theirs)


def _origin_of(model: nn.Module) -> Origin | None:
    """What the model says of where it comes from, as `latentopt.zoo.load` has it say."""
    found = getattr(model, "origin", None)
    return found if isinstance(found, Origin) else None


def _lmbda_of(model: nn.Module) -> float | None:
    """What the model says it was trained for."""
    own = getattr(model, "lmbda", None)
    return None if own is None else float(cast(float, own))


def _fitted(adapter: Adapter, recipe: Recipe, lmbda: float | None) -> Recipe:
    """A recipe as it is for one codec, with the codec's own lambda unless it has one."""
    if isinstance(adapter, OneHotAdapter):
        return of_maps(recipe)
    if isinstance(adapter, VariationalAdapter):
        return as_sampled(recipe)
    factorized = isinstance(adapter.densities[0], FactorizedDensity)
    fitted = recipe.fitting(adapter.contextual, factorized)
    if len(adapter.densities) == 1:  # without a side latent, whose prior could learn
        fitted = fitted.but(adaptive=False)
    for word in ("progressive", "context"):
        if getattr(fitted, word) and adapter.contextual:
            raise WordError(
                "{} is for codecs that know all entropy parameters at once; this one has a context "
                "model of its own",
                (word, True),
            )
    if not adapter.contextual:
        fitted = replace(fitted, prepacked=None)
    return fitted if fitted.lmbda is not None else fitted.but(lmbda=lmbda)


def _video(
    model: nn.Module,
    adapter: VideoAdapter,
    recipe: Recipe,
    lmbda: float | None,
    origin: Origin | None,
) -> VideoCodec:
    if recipe.progressive:
        raise _of_images("progressive")
    if recipe.postfilter and not recipe.effort:
        raise _of_images("postfilter")
    recipe = recipe.but(postfilter=False)  # which presets have, beside their efforts
    default = list(adapter.parts) if recipe.effort else adapter.searched
    searched = default if recipe.parts is None else recipe.parts
    unknown = set(searched) - set(adapter.parts)
    if unknown:
        raise InputError(f"unknown part {min(unknown)!r}: choose of {', '.join(adapter.parts)}")
    plain = replace(
        ROUNDING,
        lmbda=recipe.lmbda,
        portable=recipe.portable,
        channel=recipe.channel,
        dither=recipe.dither,
        spread=recipe.spread,
        format=recipe.format,
    )
    codecs = {
        name: Codec(part, _fitted(part, recipe if name in searched else plain, lmbda))
        for name, part in adapter.parts.items()
    }
    check_parts(adapter)
    named = [name for name in codecs if name in searched]
    if recipe.format == NATIVE:
        return NativeVideoCodec(codecs, named, recipe, origin, model, adapter).eval()
    return VideoCodec(codecs, named, recipe, origin).eval()


def _unnamed(model: nn.Module, words: Words, format: str | None) -> str:
    """The preset that words are said on top of."""
    if format == NATIVE:
        return "default"
    return "plain" if is_variational(model) else preset_for(words)  # which has no points to choose


def _check_model(model: object) -> None:
    """Raises UnsupportedModelError for what is no model, or not the model itself."""
    if isinstance(model, str):
        raise UnsupportedModelError(
            f"{model!r} is a name: load the model, latentopt.zoo.load({model!r}, quality)"
        )
    if isinstance(model, Codec | VideoCodec):
        raise UnsupportedModelError("this codec is wrapped already: wrap its model, codec.model")
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        name = type(model).__name__
        raise UnsupportedModelError(f"{name} holds the model: wrap that, model.module")
    if not isinstance(model, nn.Module):
        raise UnsupportedModelError(f"{type(model).__name__} is no model, that is, no nn.Module")


def _of_images(word: str) -> WordError:
    """What is wrong with a word that a video codec has no use for."""
    return WordError("{} is for image codecs, and this is a video codec", (word, None))


def _refuse_in_vain(codec: Codec | VideoCodec, words: Words) -> None:
    """InputError where something was said that the codec has no use for; presets leave it out."""
    is_video = isinstance(codec, VideoCodec)
    if words.get("postfilter") and is_video:
        raise _of_images("postfilter")
    if words.get("adaptive") and not is_video and codec.string_count == 1:
        raise WordError(
            "{} is for codecs with a side latent, and this one has none", ("adaptive", True)
        )
    parts = cast(
        "Sequence[Codec]", codec.parts.values() if isinstance(codec, VideoCodec) else [codec]
    )
    if words.get("prepacked") and not any(part.recipe.prepacked for part in parts):
        raise WordError(
            "{} is for codecs with a context model of their own: leave it out", ("prepacked", True)
        )


def _of_maps(words: Words) -> Words:
    """What is said to a codec of one-hot maps; InputError where it asks for something of points."""
    said = [name for name in asked(words) if name not in _OF_MAPS]
    if said:
        raise InputError(
            f"{said[0]} is for codecs with something to choose, and this one sends its maps as "
            "they are: leave out all but the preset"
        )
    return {"portable": words["portable"], "progressive": words["progressive"]}


def _refuse_for_images(recipe: Recipe) -> None:
    for name in ("parts", "gop", "ahead"):
        if getattr(recipe, name) is not None:
            raise WordError("{} is for video codecs, and this is an image codec", (name, None))
