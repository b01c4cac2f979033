"""Code with the real classes of the DCVC family: exact round trips, bytes against their estimates.

Run: python scripts/dcvc_check.py --dcvc-repo PATH [--checkpoint FAMILY=FILE ...] [--size 192]

PATH is a checkout of github.com/microsoft/DCVC; its entropy coder need not be built. Printed are
bytes that latentopt writes (`int`, no shift: the codec's own symbols) and what the codec's own
formula says that these symbols cost; `drawn` is of symbols drawn from the codec's own densities, so
that nothing but the coders differs. Without a checkpoint weights are random, and the networks' last
layers are scaled so that latents are of some size and scales near theirs.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import latentopt
from latentopt.adapters import SideAdapter, adapter_class, load_dcvc
from latentopt.adapters.checkout import FAMILIES
from latentopt.adapters.dcvc_net import video
from latentopt.bench.datasets import resolve
from latentopt.densities import LaplaceDensity
from latentopt.latents.lattice import LatentCoder, Quantizer
from latentopt.lattices import RULES
from latentopt.media.images import read_image

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


def load(repo: str, family: str, checkpoint: str | None = None, seed: int = 0) -> Any:
    """A codec, with weights as described above where there is no checkpoint."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = load_dcvc(repo, family, checkpoint)
    if checkpoint is None:
        (_enliven_net if family == "DCVC" else _enliven_intra)(model)
    return model


def _last(network: nn.Module) -> Any:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d)][-1]


@torch.no_grad()
def _enliven_intra(model: Any) -> None:
    adapter = adapter_class(model)(model)
    _last(model.enc).weight.mul_(1 / float(adapter.analysis(_photo(64)).std()))
    channels = model.hyper_enc[-1].in_channels
    for network in (model.y_prior_fusion, model.y_spatial_prior):
        _last(network).weight.mul_(0.1)
        _last(network).bias.fill_(0)
    _last(model.y_prior_fusion).bias[: 2 * channels] += torch.linspace(0.3, 3, 2 * channels)
    scales = [0, 2] if hasattr(model, "q_basic") else [0, 1]  # quarters of the output
    quarters = _last(model.y_spatial_prior).bias.chunk(4)
    for k in scales:
        quarters[k].add_(torch.linspace(0.1, 3, len(quarters[k])))


@torch.no_grad()
def _enliven_net(model: Any) -> None:
    x = _photo(64)
    flow = model.opticFlow(x, x.roll(2, -1))
    motion = model.mvEncoder(flow)
    _last(model.mvEncoder).weight.mul_(1 / float(motion.std()))
    feature = model.feature_extract(x)
    residual = model.contextualEncoder(torch.cat([x, feature], dim=1))
    _last(model.contextualEncoder).weight.mul_(1 / float(residual.std()))
    for head in (model.entropy_parameters, model.entropy_parameters_mv):
        bias = head[-1].bias
        bias[len(bias) // 2 :] += torch.linspace(0.05, 2, len(bias) // 2)


def _photo(size: int) -> Tensor:
    """The middle of a photograph."""
    image = read_image(resolve("sample").paths[0])
    top, left = ((side - size) // 2 for side in image.shape[-2:])
    return image[..., top : top + size, left : left + size]


def drawn(adapter: SideAdapter, features: NDArray, formula: Formula) -> tuple[float, float]:
    """Bits of symbols drawn from a codec's own densities: latentopt's, and the codec's own."""
    rng, shape = np.random.default_rng(0), adapter.main_shape(features)
    draw = rng.laplace if isinstance(adapter.main_density, LaplaceDensity) else rng.normal
    values = np.zeros(int(np.prod(shape)))
    quantizer = Quantizer(LatentCoder(adapter.main_density, RULES["int"]), values, shape)
    theirs = 0.0

    def leaf(
        index: NDArray, scales: NDArray, means: NDArray, steps: NDArray | None = None
    ) -> NDArray[np.floating]:
        nonlocal theirs
        points = np.rint(draw(0, np.maximum(scales, adapter.main_density.scales[0])))
        values[index] = means + points * (1.0 if steps is None else steps)
        theirs += float(formula(torch.from_numpy(points), torch.from_numpy(scales)))
        return quantizer(index, adapter.levels(scales), means, steps)

    adapter.visit(features, leaf)
    latent = quantizer.latent()
    return 8 * len(latent.coder.encode(latent, [0])), theirs


@torch.no_grad()
def intra_rows(family: str, model: Any, x: Tensor) -> list[Row]:
    """Of an intra codec."""
    codec = latentopt.wrap(model, "int", shift=False)
    out = codec.compress(x)
    exact = torch.equal(codec.decompress(**out)["x_hat"], codec(x)["x_hat"])
    written = sum(len(string) for [string] in out["strings"])
    own = model(x, model.q_scale[0]) if family == "DCVC-HEM" else model(x, True, 0)
    rows = [Row(family, "image", written, float(own["bit"]) / 8, exact)]
    adapter = codec._adapter
    z_hat = torch.round(model.hyper_enc(adapter.analysis(x)))
    features = adapter.features(z_hat[0].double().numpy().ravel(), z_hat.shape[1:])

    def formula(points: Tensor, scales: Tensor) -> Tensor:
        return model.get_y_gaussian_bits(points, scales).sum()

    ours, theirs = drawn(adapter, features, formula)
    return [*rows, Row(family, "drawn", ours / 8, theirs / 8)]


@torch.no_grad()
def predicted_rows(family: str, model: Any, key: nn.Module, frames: list[Tensor]) -> list[Row]:
    """Of ``DCVC_net``, frame by frame but the first."""
    codec = latentopt.wrap(model, "int", shift=False, adapter=video(key, adapter_class(key)))
    strings, shapes = codec.compress(frames)
    decoded, promised = codec.decompress(strings, shapes), codec(frames)["x_hat"]
    exact = all(torch.equal(a, b) for a, b in zip(decoded, promised))

    def formula(points: Tensor, scales: Tensor) -> Tensor:
        return model.feature_probs_based_sigma(points, torch.zeros_like(points), scales)[0]

    rows = []
    reference: Any = codec.encode_frame(frames[0], None)[1]
    for frame in frames[1:]:
        coded, image = codec.encode_frame(frame, reference)
        own = model(reference.float().clamp(0, 1), frame)  # its context is rounded otherwise
        for name, part in codec._adapter.predicted.items():
            main, side = coded[name]
            features = part.features(side.latent.hat, side.latent.prior.shape)
            found = part.estimate(features, main.latent.hat)
            points, scales = (
                torch.from_numpy(np.asarray(a, np.float64))
                for a in (main.latent.residual, found.scales)
            )
            estimate = float(formula(points, scales)) / 8
            rows.append(Row(family, f"{name}, main", len(main.string), estimate, exact))
            suffix = "_mv" if name == "motion" else ""
            z = torch.from_numpy(side.latent.hat).reshape(1, *side.latent.prior.shape).float()
            estimate = float(getattr(model, f"iclr18_estrate_bits_z{suffix}")(z)[0]) / 8
            rows.append(Row(family, f"{name}, side", len(side.string), estimate, exact))
            ours, theirs = drawn(part, features, formula)
            rows.append(Row(family, f"{name}, drawn", ours / 8, theirs / 8))
        written = sum(len(c.string) for latents in coded.values() for c in latents)
        total = float(own["bpp"]) * frame.shape[-2] * frame.shape[-1] / 8
        rows.append(Row(family, "frame, forward()", written, total, exact))
        reference = image
    return rows


def check(repo: str, checkpoints: dict[str, str], size: int) -> list[Row]:
    """All rows."""
    x = _photo(size)
    rows = []
    models = {family: load(repo, family, checkpoints.get(family)) for family in FAMILIES}
    for family in ("DCVC-HEM", "DCVC-DC"):
        rows += intra_rows(family, models[family], x)
    frames = [x, x.roll(2, -1)]
    return rows + predicted_rows("DCVC", models["DCVC"], models["DCVC-HEM"], frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dcvc-repo", required=True)
    parser.add_argument("--checkpoint", action="append", default=[], metavar="FAMILY=FILE")
    parser.add_argument("--size", type=int, default=192, help="pixels a side; more than 160")
    args = parser.parse_args()
    checkpoints = dict(text.split("=", 1) for text in args.checkpoint)
    for row in check(args.dcvc_repo, checkpoints, args.size):
        print(row)


if __name__ == "__main__":
    main()
