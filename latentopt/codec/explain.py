"""What the stream of a coded image chose, and where its bits went: for people, not to decode."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream import Container, Settings, decode_step
from latentopt.bitstream.headers import LATTICE
from latentopt.bitstream.steps import pack_steps
from latentopt.latents import Coded, Crossed
from latentopt.media.wiener import Wiener

Floats = NDArray[np.float64]

MAIN = "main"
LATENTS = (MAIN, "side")
"""Names of the latents, in the order of their strings."""

_TOP = 8  # channels in a text; beyond, they are summed
_NARROWEST = 2.0**-10  # spreads below it say nothing more, and may be zero


@dataclass(frozen=True)
class Share:
    """Some of a latent's elements, and what they cost."""

    name: str
    elements: int
    zeros: int
    """How many of them are at the lattice's origin."""
    vectors: float
    """How many vectors they make; one that reaches across several channels counts in parts."""
    bits: float


@dataclass(frozen=True)
class LatentExplanation:
    """One latent: what its string holds.

    The bits of its elements, of the corrections, of the steps and of the filter sum to the string's
    length, up to a few bytes at which the entropy coder begins and ends.
    """

    name: str
    shape: tuple[int, ...]  # (M, h, w)
    stride: int
    """How many pixels a side a position of it covers."""
    string_bytes: int
    steps: tuple[float, ...]
    """Step size of the shift, for each direction; 0 where there is none."""
    step_bits: int
    postfilter: Wiener | None
    """Of the decoded image, in codecs that send such."""
    filter_bits: int
    corrections: NDArray[np.int32] | None
    """(M,) by how many levels each channel's scales are corrected, in codecs that do so."""
    correction_bits: float
    escaped: int
    """How many coordinates no table has."""
    lattices: tuple[Share, ...]
    spreads: tuple[Share, ...]
    """By octave of the standard deviation that a priori each element has, in latent units."""
    channels: tuple[Share, ...]
    bits: Floats
    """(h, w) what each position costs, all channels together; vectors share bits equally."""

    def __str__(self) -> str:
        whole = _total("all", self.lattices)
        steps = ", ".join(f"{step:.3g}" for step in self.steps) if any(self.steps) else "none"
        lines = [
            f"{self.name} latent: {'x'.join(map(str, self.shape))}, "
            f"{_percent(whole.zeros, whole.elements)} zero, {self.escaped} coordinates escaped",
            f"shift: {steps}",
        ]
        if self.corrections is not None:
            text = f"{_corrections(self.corrections)}; {self.correction_bits:,.0f} bits"
            lines += [f"channels corrected: {text}"]
        if self.postfilter:
            lines += [f"image filter: {self.postfilter}; {self.filter_bits} bits"]
        channels = largest(self.channels, _TOP)
        tables = {"lattice": self.lattices, "spread": self.spreads, "channel": channels}
        for heading, shares in tables.items():
            lines += ["", _share_table(heading, shares, whole.bits)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Explanation:
    """A file: its parts, and its latents, the main one first. ``str`` makes it a text."""

    settings: Settings
    width: int
    height: int
    file_bytes: int
    payload_bytes: int
    """What the latents' strings take with their lengths."""
    latents: tuple[LatentExplanation, ...]

    @property
    def header_bytes(self) -> int:
        """The header and the checksums: what is neither strings nor their lengths."""
        return self.file_bytes - self.payload_bytes

    def bits_per_pixel(self) -> Floats:
        """(H, W) what each position of the latents costs, spread evenly over its pixels."""
        bits = np.zeros((self.height, self.width))
        for latent in self.latents:
            pixels = np.ones((latent.stride, latent.stride)) / latent.stride**2
            bits += np.kron(latent.bits, pixels)[: self.height, : self.width]
        return bits

    def __str__(self) -> str:
        bpp = 8 * self.file_bytes / (self.width * self.height)
        head = f"{self.width}x{self.height}, {self.file_bytes} bytes, {bpp:.4f} bpp"
        parts = {"header": self.header_bytes}
        if lengths := self.payload_bytes - sum(latent.string_bytes for latent in self.latents):
            parts["lengths"] = lengths
        parts.update((f"{latent.name} latent", latent.string_bytes) for latent in self.latents)
        rows = [(name, f"{n:,}", _percent(n, self.file_bytes)) for name, n in parts.items()]
        summary = "\n".join([head, _settings(self.settings)])
        by_part = table(("part", "bytes", "share"), rows)
        return "\n\n".join([summary, by_part, *map(str, self.latents)])


def explain(
    container: Container,
    file_bytes: int,
    stride: int,
    coded: Sequence[Coded],
) -> Explanation:
    """Explain a file from what was decoded of it.

    Args:
        container: the file's content.
        file_bytes: the file's size.
        stride: the codec's, to multiples of which it pads images.
        coded: each string's latent.
    """
    rows = -(-container.height // stride) * stride  # of the image as padded
    explained = tuple(
        _explain_latent(name, size, rows // one.latent.prior.shape[1], one)
        for name, size, one in zip(LATENTS, container.string_bytes, coded)
    )
    size = container.width, container.height, file_bytes, container.payload_bytes
    return Explanation(container.settings, *size, explained)


def largest(shares: Sequence[Share], count: int) -> list[Share]:
    """Those with the most bits, the first first, and one more that sums up the others."""
    in_order = sorted(shares, key=lambda share: -share.bits)
    rest = in_order[count:]
    return in_order[:count] + ([_total(f"{len(rest)} others", rest)] if rest else [])


def _explain_latent(name: str, string_bytes: int, stride: int, coded: Coded) -> LatentExplanation:
    latent, codes = coded.latent, coded.step_codes
    shape, ahead = latent.prior.shape, latent.bits_ahead()
    bits = latent.bits() - ahead
    return LatentExplanation(
        name,
        shape,
        stride,
        string_bytes,
        steps=tuple(decode_step(code) for code in codes),
        step_bits=8 * len(pack_steps(codes)),
        postfilter=coded.postfilter,
        filter_bits=8 * len(coded.postfilter.to_bytes()) if coded.postfilter else 0,
        corrections=latent.corrections,
        correction_bits=float(ahead.sum()),
        escaped=latent.escaped(),
        lattices=_by_lattice(latent, bits),
        spreads=_by_spread(latent, bits),
        channels=_by_channel(latent, bits),
        bits=bits.reshape(shape).sum(axis=0),
    )


# -- shares: each takes bits (n,), and says of each element where it belongs ---------------------


def _by_lattice(latent: Crossed, bits: Floats) -> tuple[Share, ...]:
    return _shares(latent.kinds.names, latent.kinds.number, latent, bits)


def _by_spread(latent: Crossed, bits: Floats) -> tuple[Share, ...]:
    octaves = np.floor(np.log2(np.maximum(latent.density.spreads, _NARROWEST))).astype(np.int64)
    low, high = octaves.min(), octaves.max()
    names = [f"{2.0**k:.3g} … {2.0 ** (k + 1):.3g}" for k in range(low, high + 1)]
    return _shares(names, octaves[latent.prior.levels] - low, latent, bits)


def _by_channel(latent: Crossed, bits: Floats) -> tuple[Share, ...]:
    channels, height, width = latent.prior.shape
    numbers = np.repeat(np.arange(channels), height * width)
    return _shares([str(i) for i in range(channels)], numbers, latent, bits)


def _shares(
    names: Sequence[str], numbers: NDArray[np.int64], latent: Crossed, bits: Floats
) -> tuple[Share, ...]:
    """One for each of the ``names`` that has elements, by the ``numbers`` (n,) of the names."""
    dims = np.array(latent.kinds.dims)[latent.kinds.number]
    weights = (None, latent.residual == 0, 1 / dims, bits)
    columns = [np.bincount(numbers, weight, len(names)).tolist() for weight in weights]
    return tuple(
        Share(name, int(elements), int(zeros), vectors, cost)
        for name, elements, zeros, vectors, cost in zip(names, *columns)
        if elements
    )


def _total(name: str, shares: Iterable[Share]) -> Share:
    columns = zip(*((s.elements, s.zeros, s.vectors, s.bits) for s in shares))
    return Share(name, *map(sum, columns))


# -- text ----------------------------------------------------------------------------------------


def _settings(settings: Settings) -> str:
    portable = "portable" if settings.portable else "not portable"
    scales = ", scales corrected" if settings.scales else ""
    adaptive = ", side latent adaptive" if settings.adaptive else ""
    channel = f"channel {settings.channel}"
    if settings.channel == LATTICE:
        channel = f"lattice {settings.quant}, pmf {settings.pmf}"
    context = ", context" if settings.context else ""
    context += ", progressive" if settings.progressive else ""
    context += ", filtered" if settings.postfilter else ""
    context += ", vectors formed ahead" if settings.prepacked else ""
    if settings.seed is not None:
        drawn_for = f"lattice {settings.quant}"
        if settings.spread is not None:
            drawn_for = f"{settings.sampler}, spread {settings.spread / 1000}"
        channel += f", {drawn_for}, seed {settings.seed}"
        channel += f", alpha {settings.alpha:g}" if settings.alpha else ""
        channel += f", sigma {settings.sigma:g}" if settings.sigma else ""
        channel += ", means" if settings.mean else ""
    return f"{channel}, direction {settings.direction}, {portable}{scales}{adaptive}{context}"


def _corrections(corrections: NDArray[np.int32]) -> str:
    """How many channels got which correction."""
    steps, counts = np.unique(corrections, return_counts=True)
    each = [f"{count} by {step:+d}" for step, count in zip(steps, counts) if step]
    return ", ".join(each) or "none"


def _share_table(heading: str, shares: Sequence[Share], bits: float) -> str:
    columns = (heading, "vectors", "elements", "zero", "bits/element", "bits", "share")
    rows = [
        (
            share.name,
            f"{share.vectors:,.0f}",
            f"{share.elements:,}",
            _percent(share.zeros, share.elements),
            f"{share.bits / share.elements:.3f}",
            f"{share.bits:,.0f}",
            _percent(share.bits, bits),
        )
        for share in shares
    ]
    return table(columns, rows)


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text in columns, the first to the left and the others to the right."""
    least = [16] + [8] * len(heading)  # so that tables one below the other line up
    widths = [max(n, *map(len, column)) for n, column in zip(least, zip(heading, *rows))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in (heading, *rows)
    )


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %"
