"""The channels by name: what a header's ``channel`` means."""

from collections.abc import Callable

from latentopt.bitstream import Settings
from latentopt.bitstream.headers import LATTICE, SAMPLE
from latentopt.densities import Density, FactorizedDensity
from latentopt.errors import InputError
from latentopt.latents.adaptive import AdaptiveChannel
from latentopt.latents.channel import Channel
from latentopt.latents.dither import DITHERED, DitherChannel, GaussChannel
from latentopt.latents.lattice import LatticeChannel
from latentopt.latents.progressive import ProgressiveChannel
from latentopt.latents.sampling import SampleChannel, Sampling
from latentopt.lattices import RULES
from latentopt.pmf.tables import Ints

MakeChannel = Callable[[Density, Settings, Ints | None], Channel]
"""From a latent's density, what a header says of it, and what :meth:`Channel.dump` returned."""


def make_channel(density: Density, settings: Settings, dumped: Ints | None = None) -> Channel:
    """The channel that the settings name.

    Raises:
        InputError: no such channel; the message lists the names.
    """
    try:
        make = CHANNELS[settings.channel]
    except KeyError:
        known = ", ".join(CHANNELS)
        raise InputError(f"unknown channel {settings.channel!r}: choose {known}") from None
    return make(density, settings, dumped)


def _lattice(density: Density, settings: Settings, dumped: Ints | None) -> Channel:
    if settings.adaptive and isinstance(density, FactorizedDensity):
        return AdaptiveChannel(density, dumped)
    if settings.pmf == "paper":
        density = density.core
    if settings.scales:
        density = density.stretchable
    if settings.context:
        density = density.conditional
    flags = settings.scales, settings.context, settings.prepacked
    rule = RULES[settings.quant]
    made = LatticeChannel(density, rule, settings.pmf, dumped, *flags)
    return ProgressiveChannel(made) if settings.progressive else made


def _dither(density: Density, settings: Settings, dumped: Ints | None) -> Channel:
    if settings.seed is None:
        raise InputError(f"channel {settings.channel!r} needs a seed: wrap(model, dither=SEED)")
    if settings.sigma:
        return GaussChannel(density, settings.seed, settings.sigma, settings.mean)
    rule = RULES[settings.quant]
    return DitherChannel(density, rule, settings.seed, settings.alpha, settings.mean)


def _sample(density: Density, settings: Settings, dumped: Ints | None) -> SampleChannel:
    sampling = Sampling.of(settings)
    if sampling is None:
        raise InputError(f"channel {SAMPLE!r} needs a spread: wrap(model, spread=0.29)")
    return SampleChannel(density, sampling)


CHANNELS: dict[str, MakeChannel] = {
    LATTICE: _lattice,
    SAMPLE: _sample,
    **dict.fromkeys(DITHERED, _dither),
}
