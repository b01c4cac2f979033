"""Code with the real classes of the DCVC family: exact round trips, bytes against their estimates.

Run: python scripts/dcvc_check.py --dcvc-repo PATH [--checkpoint FAMILY=FILE ...] [--size 192]

PATH is a checkout of github.com/microsoft/DCVC; its entropy coder need not be built. Printed are
bytes that latentopt writes (`int`, no shift: the codec's own symbols) and what the codec's own
formula says that these symbols cost; `drawn` is of symbols drawn from the codec's own densities, so
that nothing but the coders differs. Without a checkpoint weights are random, and the networks' last
layers are scaled so that latents are of some size and scales near theirs.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from common import run
from numpy.typing import NDArray
from torch import Tensor, nn

import latentopt
from latentopt import Codec, VideoCodec
from latentopt.adapters import (
    Adapter,
    Conditioned,
    Reference,
    SideAdapter,
    adapter_class,
    dcvc_dc,
    dcvc_fm,
    dcvc_hem,
    dcvc_rt,
    dcvc_tcm,
    intra,
    load_dcvc,
)
from latentopt.adapters.colours import ycbcr
from latentopt.adapters.dcvc_net import video
from latentopt.bench.codecs import coded_bytes
from latentopt.bench.datasets import resolve
from latentopt.bitstream import NO_SHIFT
from latentopt.densities import LaplaceDensity
from latentopt.encoder.ahead import Frame
from latentopt.latents import Carry, Coded, Point, Prior
from latentopt.latents.lattice import LatticeChannel
from latentopt.lattices import RULES
from latentopt.media.images import read_image

IMAGES = (
    "DCVC-TCM",
    "DCVC-HEM",
    "DCVC-DC",
    "DCVC-FM",
    "DCVC-RT",
    "EVC-LL",
    "EVC-SS",
    "SCALE-EVC-SS",
)
MEASURED = (*IMAGES, "DCVC", "DCVC-TCM-P", "DCVC-HEM-P", "DCVC-DC-P", "DCVC-FM-P", "DCVC-RT-P")
"""Of EVC's sizes the largest, the smallest, and one of several encoders."""

Formula = Callable[[Tensor, Tensor], Tensor]
"""A codec's own estimate of the bits of symbols, given their scales."""


@dataclass(frozen=True)
class Row:
    """One measurement."""

    family: str
    what: str
    written: float  # bytes
    estimated: float  # bytes
    exact: bool | None = None
    """Whether what is decoded is what was encoded, to the last bit; None: not decoded."""

    def __str__(self) -> str:
        ratio = f"{self.written:10,.0f} bytes written, {self.estimated:10,.0f} estimated"
        verdict = {True: "round trip exact", False: "ROUND TRIP DIFFERS", None: ""}[self.exact]
        percent = 100 * (self.written / self.estimated - 1)
        return f"{self.family:10} {self.what:18} {ratio}, {percent:+6.2f} %  {verdict}"


# Models are of foreign code, whose attributes have no types here: hence Any, inside of functions.


def load(repo: str, family: str, checkpoint: str | None = None, seed: int = 0) -> nn.Module:
    """A codec, with weights as described above where there is no checkpoint."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = load_dcvc(repo, family, checkpoint)
    if checkpoint is None:
        _ENLIVEN.get(family, _enliven_intra)(model)
    return model


def _last(network: nn.Module) -> nn.Conv2d:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d)][-1]


def _bias(network: nn.Module) -> Tensor:
    """Of its last layer."""
    bias = _last(network).bias
    assert bias is not None
    return bias


@torch.no_grad()
def _enliven_intra(model: nn.Module) -> None:
    codec: Any = model
    y = intra()(model, True).analysis(photo(64))
    for encoder in getattr(codec, "encs", [codec.enc]):
        _last(encoder).weight.mul_(1 / float(y.std()))
    scales = [0, 2] if hasattr(model, "q_basic") else [0, 1]
    _even_out(codec.y_prior_fusion, codec.y_spatial_prior, scales)


@torch.no_grad()
def _enliven_hyperprior(model: nn.Module) -> None:
    """Of DCVC-TCM's intra codec."""
    codec: Any = model
    x = photo(64)
    _last(codec.g_a).weight.mul_(1 / float(codec.g_a(x).std()))
    _last(codec.h_a).weight.mul_(1 / float(codec.h_a(codec.g_a(x)).std()))
    scales, means = _bias(codec.h_s).chunk(2)
    scales.add_(torch.linspace(1, 3, len(scales)))  # else symbols are impossible
    means.add_(torch.linspace(-1, 1, len(means)))


@torch.no_grad()
def _enliven_dmci(model: nn.Module) -> None:
    """Of the intra codecs of DCVC-FM and -RT."""
    codec: Any = model
    y = intra()(model, True).analysis(photo(64))
    _last(codec.enc).weight.mul_(1 / float(y.std()))
    for network, start in ((codec.y_prior_fusion, 2), (codec.y_spatial_prior, 0)):
        _calm(network)
        scales, _ = _bias(network)[start:].chunk(2)
        scales.add_(torch.linspace(0.6, 3, len(scales)))  # else symbols are impossible


@torch.no_grad()
def _enliven_net(model: nn.Module) -> None:
    codec: Any = model
    x = photo(64)
    flow = codec.opticFlow(x, x.roll(2, -1))
    motion = codec.mvEncoder(flow)
    _last(codec.mvEncoder).weight.mul_(1 / float(motion.std()))
    feature = codec.feature_extract(x)
    residual = codec.contextualEncoder(torch.cat([x, feature], dim=1))
    _last(codec.contextualEncoder).weight.mul_(1 / float(residual.std()))
    for network in (codec.entropy_parameters, codec.entropy_parameters_mv):
        bias = network[-1].bias
        bias[len(bias) // 2 :] += torch.linspace(0.05, 2, len(bias) // 2)


@torch.no_grad()
def _enliven_memory(model: nn.Module) -> None:
    """Of ``DMC`` of DCVC-HEM."""
    codec: Any = model
    x = photo(64)
    flow = codec.optic_flow(x, x.roll(2, -1))
    _last(codec.mv_encoder).weight.mul_(1 / float(codec.mv_encoder(flow).std()))
    contexts = codec.feature_extractor(codec.feature_adaptor_I(x))
    residual = codec.contextual_encoder(x, *codec.context_fusion_net(*contexts))
    _last(codec.contextual_encoder).weight.mul_(1 / float(residual.std()))
    for fusion, prior in (
        (codec.mv_y_prior_fusion, codec.mv_y_spatial_prior),
        (codec.y_prior_fusion, codec.y_spatial_prior),
    ):
        _even_out(fusion, prior, [0, 2])


@torch.no_grad()
def _enliven_mined(model: nn.Module) -> None:
    """Of DCVC-TCM's ``DMC``."""
    codec: Any = model
    x = photo(64)
    flow = codec.optic_flow(x, x.roll(2, -1))
    _last(codec.mv_encoder).weight.mul_(1 / float(codec.mv_encoder(flow).std()))
    contexts = codec.multi_scale_feature_extractor(x, None)
    residual = codec.contextual_encoder(x, *contexts)
    _last(codec.contextual_encoder).weight.mul_(1 / float(residual.std()))
    for head in (codec.mv_prior_decoder[-1], codec.contextual_entropy_parameter[-1]):
        scales, _ = head.bias.chunk(2)
        scales.add_(torch.linspace(0.3, 3, len(scales)))


def _calm(network: nn.Module) -> None:
    """Let it say nearly nothing."""
    _last(network).weight.mul_(0.1)
    _bias(network).fill_(0)


@torch.no_grad()
def _enliven_rt(model: nn.Module) -> None:
    """Of DCVC-RT's ``DMC``."""
    codec: Any = model
    x = ycbcr(photo(64))
    features = codec.feature_adaptor_i(nn.functional.pixel_unshuffle(x, 8))
    context, _ = codec.feature_extractor(features, codec.q_feature[:1])
    y = codec.encoder(x, context, codec.q_encoder[:1])
    _last(codec.encoder).weight.mul_(1 / float(y.std()))
    _even_out(codec.y_prior_fusion, codec.y_spatial_prior, [0, 1], least=1)


@torch.no_grad()
def _enliven_offsets(model: nn.Module) -> None:
    """Of ``DMC`` of DCVC-DC and -FM."""
    codec: Any = model
    x = photo(64)
    of_rate = codec.get_all_q(0) if dcvc_fm.is_fm(model) else codec.get_q_for_inference(True, 0)
    motion_gain, _, gain, _ = of_rate
    motion = codec.mv_encoder(codec.optic_flow(x, x.roll(2, -1)), None, motion_gain)
    _last(codec.mv_encoder).weight.mul_(1 / float(motion.std()))
    contexts = codec.context_fusion_net(*codec.feature_extractor(codec.feature_adaptor_I(x)))
    residual = codec.contextual_encoder(x, *contexts, gain)
    _last(codec.contextual_encoder).weight.mul_(1 / float(residual.std()))
    _even_out(codec.mv_y_prior_fusion, codec.mv_y_spatial_prior, [0, 1], least=1)
    _even_out(codec.y_prior_fusion, codec.y_spatial_prior, [0, 1], least=1)


@torch.no_grad()
def _even_out(
    fusion: nn.Module, prior: nn.Module, scales: Sequence[int], least: float = 0.1
) -> None:
    """Steps and scales of many levels, whatever is seen.

    Args:
        fusion: says steps, scales and means of the first pass.
        prior: says scales and means of the others.
        scales: quarters of its output that are scales.
        least: of the scales of later passes.
    """
    for network in (fusion, prior):
        _calm(network)
    own = _bias(fusion)
    first = 2 * len(own) // 3
    own[:first] += torch.linspace(0.3, 3, first)
    quarters = _bias(prior).chunk(4)
    for k in scales:
        quarters[k].add_(torch.linspace(least, 3, len(quarters[k])))


_ENLIVEN: Mapping[str, Callable[[nn.Module], None]] = {
    "DCVC": _enliven_net,
    "DCVC-TCM": _enliven_hyperprior,
    "DCVC-FM": _enliven_dmci,
    "DCVC-RT": _enliven_dmci,
    "DCVC-TCM-P": _enliven_mined,
    "DCVC-RT-P": _enliven_rt,
    "DCVC-HEM-P": _enliven_memory,
    "DCVC-DC-P": _enliven_offsets,
    "DCVC-FM-P": _enliven_offsets,
}


def photo(size: int) -> Tensor:
    """The middle of a photograph."""
    image = read_image(resolve("sample").paths[0])
    top, left = ((side - size) // 2 for side in image.shape[-2:])
    return image[..., top : top + size, left : left + size]


class Drawn:
    """The walk of a main latent that is drawn, as it goes, from the codec's own densities."""

    def __init__(self, adapter: SideAdapter, features: NDArray, formula: Formula):
        self._adapter, self._features, self._formula = adapter, features, formula
        self.target = Point(np.zeros(int(np.prod(self.shape))))
        """What was drawn so far."""
        self.own_bits = 0.0
        """What the codec's formula says of it."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self._adapter.main_shape(self._features)

    def estimate(self, y: NDArray[np.floating]) -> Prior:
        return Conditioned(self._adapter, self._features).estimate(y)

    def go(self, carry: Carry) -> None:
        adapter, rng = self._adapter, np.random.default_rng(0)
        draw = rng.laplace if isinstance(adapter.main_density, LaplaceDensity) else rng.normal

        def leaf(
            index: NDArray[np.int64],
            scales: NDArray,
            means: NDArray,
            steps: NDArray | None = None,
            /,
        ) -> NDArray[np.floating]:
            points = np.rint(draw(0, np.maximum(scales, adapter.main_density.scales[0])))
            self.target.values[index] = means + points * (1.0 if steps is None else steps)
            own = self._formula(torch.from_numpy(points), torch.from_numpy(scales))
            self.own_bits += float(own)
            return carry(index, adapter.levels(scales), means, steps)

        adapter.visit(self._features, leaf)


def drawn(adapter: SideAdapter, features: NDArray, formula: Formula) -> tuple[float, float]:
    """Bits of symbols drawn from a codec's own densities: latentopt's, and the codec's own."""
    walk = Drawn(adapter, features, formula)
    latent = LatticeChannel(adapter.main_density, RULES["int"]).send(walk, walk.target)
    return 8 * len(Coded(latent, [NO_SHIFT]).string), walk.own_bits


def _own_bits(family: str, model: nn.Module, x: Tensor) -> float:
    """What an intra codec says itself of an image."""
    theirs: Any = model
    if family == "DCVC-TCM":
        own = theirs.encode_decode(x)
    elif family == "DCVC-RT":
        own = {"bit": _bits_of_dmci(theirs, x)}
    elif family == "DCVC-FM":
        own = theirs.forward_one_frame(ycbcr(x), 0)
    else:
        own = theirs(x, True, 0) if family == "DCVC-DC" else theirs(x, theirs.q_scale[0])
    return float(np.ravel(own["bit"])[-1])  # of several encoders: with all


def _bits_of_dmci(theirs: Any, x: Tensor) -> Tensor:
    """By DCVC-RT's classes, which have no formula, but the tables of its coder."""
    y = theirs.enc(ycbcr(x), theirs.q_scale_enc[:1])
    z = torch.round(theirs.hyper_enc(y))
    adaptors = [getattr(theirs, f"y_spatial_prior_adaptor_{k}") for k in (1, 2, 3)]
    networks = (theirs.y_spatial_prior_reduction, *adaptors, theirs.y_spatial_prior)
    given = theirs.y_prior_fusion(theirs.hyper_dec(z))
    found = theirs.compress_prior_4x(y, given, *networks)
    bits = [_table_bits(theirs.gaussian_encoder, *of) for of in zip(found[:4], found[4:8])]
    return torch.stack(bits).sum() + _side_bits(theirs, z, 0)


def _side_bits(theirs: Any, z: Tensor, rate: int) -> Tensor:
    """DCVC-RT's, of a side latent."""
    index = torch.tensor([rate])
    upper, lower = (theirs.bit_estimator_z.get_cdf(z + half, index) for half in (0.5, -0.5))
    return _floored_bits(upper - lower)


def _table_bits(coder: Any, points: Tensor, scales: Tensor) -> Tensor:
    """Of symbols, with the scale that DCVC-RT's coder takes: the one below of its table."""
    within = scales.clamp(coder.scale_min, coder.scale_max)
    level = ((within.log() - coder.log_scale_min) * coder.log_step_recip).long()
    normal = torch.distributions.Normal(0.0, coder.scale_table[level].to(points))
    return _floored_bits(normal.cdf(points + 0.5) - normal.cdf(points - 0.5))


def _floored_bits(probabilities: Tensor) -> Tensor:
    """As all of the family count them."""
    return -(probabilities + 1e-5).log2().clamp(max=0).sum()


def _formula(family: str, model: nn.Module) -> Formula:
    """A codec's own, of symbols."""
    theirs: Any = model

    def formula(points: Tensor, scales: Tensor) -> Tensor:
        if family.startswith("DCVC-RT"):
            return _table_bits(theirs.gaussian_encoder, points, scales)
        if family == "DCVC-TCM":
            return -theirs.gaussian_conditional._likelihood(points, scales).log2().sum()
        if family == "DCVC-TCM-P":
            found: Tensor = theirs.get_y_bits_probs(points, scales)[0]
            return found
        is_laplace = family in MODULES
        return (theirs.get_y_laplace_bits if is_laplace else theirs.get_y_gaussian_bits)(
            points, scales
        ).sum()

    return formula


@torch.no_grad()
def intra_rows(family: str, model: nn.Module, x: Tensor) -> list[Row]:
    """Of an intra codec."""
    codec = latentopt.wrap(model, "int", shift=False)
    out = codec.compress(x)
    exact = torch.equal(codec.decompress(**out)["x_hat"], codec(x)["x_hat"])
    written = coded_bytes(out["strings"], 0)
    rows = [Row(family, "image", written, _own_bits(family, model, x) / 8, exact)]
    adapter = codec.assembly.adapter
    assert isinstance(adapter, SideAdapter)
    z_hat = torch.round(adapter.hyper_analysis(adapter.analysis(x)))
    features = adapter.features(z_hat[0].double().numpy().ravel(), z_hat.shape[1:])

    formula = _formula(family, model)
    ours, estimated = drawn(adapter, features, formula)
    return [*rows, Row(family, "drawn", ours / 8, estimated / 8)]


@torch.no_grad()
def predicted_rows(
    family: str, model: nn.Module, key: nn.Module, frames: Sequence[Tensor]
) -> list[Row]:
    """Of ``DCVC_net``, frame by frame but the first."""
    codec = latentopt.wrap(model, "int", shift=False, adapter=video(key, intra()))
    strings, shapes = codec.compress(frames)
    decoded, promised = codec.decompress(strings, shapes), codec(frames)["x_hat"]
    exact = all(torch.equal(a, b) for a, b in zip(decoded, promised))
    loop, theirs = codec.frames, cast(Any, model)
    rows = []
    reference = loop.encode_frame(frames[0], None)[1]
    for frame in frames[1:]:
        coded, made = loop.encode_frame(frame, reference)
        own = theirs(reference.image.float().clamp(0, 1), frame)  # its context is rounded otherwise
        for name, adapter, latents in parts_of(codec, reference, coded):
            rows += [Row(family, *row, exact) for row in part_rows(name, theirs, adapter, latents)]
        written = sum(len(c.string) for latents in coded.values() for c in latents)
        total = float(own["bpp"]) * frame.shape[-2] * frame.shape[-1] / 8
        rows.append(Row(family, "frame, forward()", written, total, exact))
        reference = made
    return rows


def parts_of(
    codec: VideoCodec, before: Reference, coded: Frame
) -> Iterator[tuple[str, SideAdapter, Sequence[Coded]]]:
    """Of each part of a predicted frame: an adapter that knows what came before, its latents."""
    known: dict[str, Tensor] = {}
    for name, latents in coded.items():
        part = cast(Codec, codec.parts[name])
        adapter = part.assembly.adapter.knowing(before, known)
        assert isinstance(adapter, SideAdapter)
        yield name, adapter, latents
        known[name] = part.moved(latents[:1])


def part_rows(
    name: str, model: nn.Module, adapter: SideAdapter, latents: Sequence[Coded]
) -> list[tuple[str, float, float]]:
    """What is measured, bytes written and estimated, of the motion or the residual of a frame."""
    theirs, (main, side) = cast(Any, model), latents

    def formula(points: Tensor, scales: Tensor) -> Tensor:
        return theirs.feature_probs_based_sigma(points, torch.zeros_like(points), scales)[0]

    side_shape = side.latent.prior.shape
    features = adapter.features(side.latent.hat, side_shape)
    found = adapter.estimate(features, main.latent.hat)
    points, scales = (
        torch.from_numpy(np.asarray(a, np.float64)) for a in (main.latent.residual, found.scales)
    )
    of_side = f"iclr18_estrate_bits_z{'_mv' if name == 'motion' else ''}"
    z = torch.from_numpy(side.latent.hat).reshape(1, *side_shape).float()
    ours, estimated = drawn(adapter, features, formula)
    return [
        (f"{name}, main", len(main.string), float(formula(points, scales)) / 8),
        (f"{name}, side", len(side.string), float(getattr(theirs, of_side)(z)[0]) / 8),
        (f"{name}, drawn", ours / 8, estimated / 8),
    ]


_MEMORY = ("ref_feature", "ref_mv_feature", "ref_y", "ref_mv_y")
"""What ``DMC`` calls what a frame leaves to the next, besides the frame itself."""


_QUALITIES = (0, 1, 0, 2, 0, 2, 0, 2)
"""Of frames of DCVC-FM and -RT, by their number; then again."""


def _of_hem(theirs: Any, frame: Tensor, memory: dict[str, Tensor | None], number: int) -> Any:
    return theirs(frame, memory, *(float(q[0]) for q in (theirs.mv_y_q_scale, theirs.y_q_scale)))


def _of_dc(theirs: Any, frame: Tensor, memory: dict[str, Tensor | None], number: int) -> Any:
    return theirs.forward_one_frame(frame, memory, True, 0, number)


def _of_tcm(theirs: Any, frame: Tensor, memory: dict[str, Tensor | None], number: int) -> Any:
    own = theirs.forward_one_frame(frame, memory["ref_frame"], memory["ref_feature"])
    return own | {"dpb": {"ref_frame": own["recon_image"], "ref_feature": own["feature"]}}


def _of_rt(theirs: Any, frame: Tensor, memory: dict[str, Tensor | None], number: int) -> Any:
    rate = theirs.shift_qp(0, _QUALITIES[number % 8])
    gains = [q[rate : rate + 1] for q in (theirs.q_feature, theirs.q_encoder)]
    theirs.clear_dpb()
    theirs.add_ref_frame(memory["ref_feature"], memory["ref_frame"])
    context, temporal = theirs.feature_extractor(theirs.apply_feature_adaptor(), gains[0])
    y = theirs.encoder(frame, context, gains[1])
    z = torch.round(theirs.hyper_encoder(y))
    given = theirs.res_prior_param_decoder(z, temporal)
    *coded, y_hat = theirs.compress_prior_2x(y, given, theirs.y_spatial_prior)
    bits = [_table_bits(theirs.gaussian_encoder, *of) for of in zip(coded[:2], coded[2:])]
    of_decoder = [q[rate : rate + 1] for q in (theirs.q_decoder, theirs.q_recon)]
    image, features = theirs.get_recon_and_feature(y_hat, context, *of_decoder)
    left = {"ref_frame": image, "ref_feature": features, "ref_y": y_hat}
    return {"bit": sum(bits) + _side_bits(theirs, z, rate), "dpb": left}


def _of_fm(theirs: Any, frame: Tensor, memory: dict[str, Tensor | None], number: int) -> Any:
    return theirs.forward_one_frame(frame, memory, 0, _QUALITIES[number % 8])


_OWN = {
    "DCVC-TCM-P": _of_tcm,
    "DCVC-HEM-P": _of_hem,
    "DCVC-DC-P": _of_dc,
    "DCVC-FM-P": _of_fm,
    "DCVC-RT-P": _of_rt,
}
"""What a codec says itself of the frame of a number, given that memory."""
MODULES = {
    "DCVC-TCM-P": dcvc_tcm,
    "DCVC-HEM-P": dcvc_hem,
    "DCVC-DC-P": dcvc_dc,
    "DCVC-FM-P": dcvc_fm,
    "DCVC-RT-P": dcvc_rt,
}


@torch.no_grad()
def memory_rows(
    family: str, model: nn.Module, key: nn.Module, frames: Sequence[Tensor]
) -> list[Row]:
    """Of ``DMC``, frame by frame but the first; each sees what the one before left."""
    make = MODULES[family].video(key, _image_adapter(key))
    codec = latentopt.wrap(model, "int", shift=False, adapter=make)
    strings, shapes = codec.compress(frames)
    decoded, promised = codec.decompress(strings, shapes), codec(frames)["x_hat"]
    exact = all(torch.equal(a, b) for a, b in zip(decoded, promised))
    loop, theirs = codec.frames, cast(Any, model)
    rows = []
    reference = loop.encode_frame(frames[0], None)[1]
    memory: dict[str, Tensor | None] = dict.fromkeys(_MEMORY)
    seen = cast(Any, codec.parts["residual"]).assembly.adapter.seen
    memory["ref_frame"] = seen(reference.image.float()).clamp(0, 1)
    for number, frame in enumerate(frames[1:], 1):
        before = reference
        coded, reference = loop.encode_frame(frame, before)
        own = _OWN[family](theirs, seen(frame), memory, number)
        memory = own["dpb"] | {"ref_frame": own["dpb"]["ref_frame"].clamp(0, 1)}
        rows += [
            Row(
                family,
                f"frame {number}{of}",
                sum(len(latent.string) for latent in part),
                own,
                exact,
            )
            for of, part, own in _of_parts(coded, own)
        ]
        if number == 1:
            rows += _drawn_rows(family, codec, theirs, before, coded)
    return rows


def _image_adapter(key: nn.Module) -> type[Adapter]:
    found = adapter_class(key)
    assert issubclass(found, Adapter)
    return found


def _of_parts(coded: Frame, own: Any) -> Iterator[tuple[str, Sequence[Coded], float]]:
    """Of each part of a frame, or of all where the codec itself says no more: name and latents,
    and how many bytes these are estimated at.
    """
    if "bit_y" not in own:
        yield "", [latent for part in coded.values() for latent in part], float(own["bit"]) / 8
        return
    for name, kind in (("motion", "mv_y"), ("residual", "y")):
        bits = sum(float(own[f"bit_{of}"]) for of in (kind, kind.replace("y", "z")))
        yield f", {name}", coded[name], bits / 8


def _drawn_rows(
    family: str, codec: VideoCodec, theirs: Any, before: Reference, coded: Frame
) -> Iterator[Row]:
    """Of both latents of a frame, given what was decoded of it."""
    for name, adapter, (_, side) in parts_of(codec, before, coded):
        features = adapter.features(side.latent.hat, side.latent.prior.shape)
        ours, bits = drawn(adapter, features, _formula(family, theirs))
        yield Row(family, f"{name}, drawn", ours / 8, bits / 8)


def check(repo: str, checkpoints: dict[str, str], size: int) -> list[Row]:
    """All rows."""
    x = photo(size)
    rows = []
    models = {family: load(repo, family, checkpoints.get(family)) for family in MEASURED}
    for family in IMAGES:
        rows += intra_rows(family, models[family], x)
    frames = [x, x.roll(2, -1)]
    rows += predicted_rows("DCVC", models["DCVC"], models["DCVC-HEM"], frames)
    six = [*frames, *(x.roll(k, -1) for k in (5, 6, 8, 9))]
    for family in ("DCVC-TCM", "DCVC-HEM"):
        rows += memory_rows(f"{family}-P", models[f"{family}-P"], models[family], six[:3])
    for family in ("DCVC-DC", "DCVC-FM", "DCVC-RT"):
        rows += memory_rows(f"{family}-P", models[f"{family}-P"], models[family], six)
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dcvc-repo", required=True)
    parser.add_argument("--checkpoint", action="append", default=[], metavar="FAMILY=FILE")
    parser.add_argument("--size", type=int, default=192, help="pixels a side; more than 160")
    args = parser.parse_args(argv)
    checkpoints = dict(text.split("=", 1) for text in args.checkpoint)
    for row in check(args.dcvc_repo, checkpoints, args.size):
        print(row)


if __name__ == "__main__":
    run(main)
