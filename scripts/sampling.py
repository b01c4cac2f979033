"""The sampled channel: what each coder costs above KL, what it draws, and how long it takes.

Run: python scripts/sampling.py --coders
     python scripts/sampling.py --codec tiny-mbt2018-mean --quality 2 --data kodak --limit 3
     python scripts/sampling.py --codec tiny-pln --quality 2 --data kodak --limit 1
     python scripts/sampling.py --quality 1 --data kodim12.png --picture docs/img/samples.png
     python scripts/sampling.py --slopes
     python scripts/sampling.py --exponents

The first is of elements drawn from one Gaussian level each; the next two are of a codec's images,
against rounding where there is any, and a picture of them; `--slopes` says how time grows with what
an element's KL is; `--exponents` fits the laws of indices that `latents/sampling/blocks.py` has.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time

import numpy as np
import torch
from common import run, write_parts
from scipy.optimize import minimize_scalar
from scipy.stats import kstest, norm
from torch import Tensor

import latentopt
from latentopt import zoo
from latentopt.adapters.variational import is_variational
from latentopt.bench.codecs import coded_bytes
from latentopt.bench.datasets import resolve
from latentopt.bitstream.headers import SAMPLERS
from latentopt.codec.image import Codec
from latentopt.densities import Floats, GaussianDensity
from latentopt.latents import AtOnce, Point, Prior
from latentopt.latents.sampling import SampleChannel, SampledLatent, Sampling
from latentopt.latents.sampling.blocks import CANDIDATES, Blocked
from latentopt.media.images import read_image

SIGMAS = (0.05, 0.1, 0.29, 0.58, 1.16, 2.32, 4.64, 9.28)
SPREAD = 0.29
EXACT = ("layered", "uniform", "astar", "rejection", "budget", "poisson")
COUNTS = dict.fromkeys(EXACT, 100_000)
FEW = 4_000
"""Elements that the samplers in blocks take."""
BINS = np.linspace(-4, 4, 33)
SPREADS = (0.2, 0.289, 0.5)
GROWING = tuple(SPREAD * 2 ** (k / 2) for k in range(0, 16))
"""Sigmas whose elements have half a bit of KL to seven."""


def level(sigma: float, n: int, seed: int = 0) -> tuple[GaussianDensity, Prior, Floats]:
    """Elements of one level, and what is sent of each."""
    density, levels = GaussianDensity(np.array([sigma])), np.zeros(n, np.int16)
    values = density.draw(levels, np.random.default_rng(seed))
    return density, Prior((1, 1, n), levels, np.zeros(n)), values


# -- one coder after the other -------------------------------------------------------------------


def coders(samplers: Sequence[str]) -> None:
    """A table of coders, at each sigma."""
    heads = "sampler", "sigma / tau", "KL", "bits", "above KL", "KS p", "mean", "variance", "TV"
    row([*heads, "send, us", "receive, us"])
    row(["---"] * (len(heads) + 2))
    for name in samplers:
        for sigma in SIGMAS:
            row([name, f"{sigma / SPREAD:.2f}", *coder(name, sigma, COUNTS.get(name, FEW))])


def coder(name: str, sigma: float, n: int) -> Iterator[str]:
    """What one coder does to n elements of one level; per element."""
    density, prior, values = level(sigma, n)
    channel = SampleChannel(density, Sampling(SPREAD, name))
    channel.send(AtOnce(Prior((1, 1, 1), prior.levels[:1], np.zeros(1))), Point(values[:1]))
    latent, string, *seconds = _timed(channel, prior, values)
    kl = float(channel.divergence(latent, Point(values)).mean())
    bits = 8 * len(string) / n
    noise = (latent.hat - values) / SPREAD
    shares = np.histogram(noise, BINS)[0] / n
    distance = 0.5 * np.abs(shares - np.diff(norm.cdf(BINS))).sum()
    yield from (f"{kl:.4f}", f"{bits:.4f}", f"{100 * (bits / kl - 1):.0f} %")
    yield from (f"{kstest(noise, 'norm').pvalue:.3f}", f"{noise.mean():+.4f}", f"{noise.var():.4f}")
    yield f"{distance:.4f}"
    yield from (f"{1e6 * t / n:.2f}" for t in seconds)


def _timed(
    channel: SampleChannel, prior: Prior, values: Floats
) -> tuple[SampledLatent, bytes, float, float]:
    """What is sent, its string, and seconds to send and to receive it."""
    start = process_time()
    latent = channel.send(AtOnce(prior), Point(values))
    string = latent.string()
    middle = process_time()
    assert np.array_equal(channel.receive(AtOnce(prior), string).hat, latent.hat)
    return latent, string, middle - start, process_time() - middle


# -- how time grows ------------------------------------------------------------------------------


def slopes(samplers: Sequence[str]) -> None:
    """A table of how time grows with KL: its logarithm's slope, of elements alone in their levels.

    Candidates one by one until one is taken are 2^KL and more; all of a block are a constant a
    block, so that time grows as KL; and a uniform, or a layer, is one step.
    """
    row(["sampler", *(f"KL {2**k} to {2 ** (k + 1)}" for k in range(-1, 3)), "slope", "of KL"])
    row(["---"] * 7)
    for name in samplers:
        kl, seconds = np.array([_cost(name, sigma) for sigma in GROWING]).T
        near = [seconds[(kl >= 2.0**k) & (kl < 2.0 ** (k + 1))].mean() for k in range(-1, 3)]
        found = [np.polyfit(x, np.log2(seconds), 1)[0] for x in (kl, np.log2(kl))]
        row([name, *(f"{1e6 * t:.1f} us" for t in near), *(f"{slope:+.2f}" for slope in found)])


def _cost(name: str, sigma: float) -> tuple[float, float]:
    """KL in bits, and seconds to send, of an element; the least of a few turns."""
    density, prior, values = level(sigma, FEW)
    channel, seconds = SampleChannel(density, Sampling(SPREAD, name)), []
    for _ in range(3):
        latent, _, send, _ = _timed(channel, prior, values)
        seconds.append(send)
    return float(channel.divergence(latent, Point(values)).mean()), min(seconds) / FEW


def row(cells: Sequence[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


# -- images --------------------------------------------------------------------------------------


def images(
    codec: str,
    quality: int | None,
    weights: Path | None,
    paths: Sequence[Path],
    samplers: Sequence[str],
) -> None:
    """Rate, KL, PSNR and seconds, of the mean of images, as a table."""
    torch.set_num_threads(1)
    trained, each = zoo.load(codec, quality, weights), [read_image(path) for path in paths]
    row(["spread", "sampler", "bpp", "KL, bpp", "main, bpp", "PSNR, dB", "encode, s", "decode, s"])
    row(["---"] * 8)
    sends_samples = is_variational(trained)  # which nothing rounds
    if not sends_samples:
        plain = latentopt.wrap(trained, "int", False)
        row(["none", "rounding", *image_cells([image(plain, x) for x in each])])
    for spread in (1.0,) if sends_samples else SPREADS:
        for name in samplers:
            shift = None if sends_samples else False
            own = latentopt.wrap(trained, shift=shift, spread=Sampling(spread, name))
            own.compress(each[0][..., :64, :64])
            row([f"{spread}", name, *image_cells([image(own, x) for x in each])])


def image_cells(rows: Sequence[Sequence[float]]) -> list[str]:
    bpp, kl, main, psnr, *seconds = np.mean(rows, axis=0)
    rates = ("" if np.isnan(rate) else f"{rate:.4f}" for rate in (bpp, kl, main))  # no KL of points
    return [*rates, f"{psnr:.3f}", *(f"{s:.2f}" for s in seconds)]


def image(codec: Codec, x: Tensor) -> tuple[float, ...]:
    """Of one image: bpp, KL and bytes of the main latent per pixel, PSNR, seconds."""
    pixels = x[0, 0].numel()
    start = process_time()
    out = codec.compress(x)
    middle = process_time()
    x_hat = codec.decompress(**out)["x_hat"]
    end = process_time()
    [kl] = codec.divergences(x)["y"]
    bpp = 8 * coded_bytes(out["strings"], 0) / pixels
    main_bpp = 8 * len(out["strings"][0][0]) / pixels
    psnr = float(-10 * torch.log10((x_hat - x).square().mean()))
    return bpp, kl / pixels, main_bpp, psnr, middle - start, end - middle


def picture(codec: str, quality: int | None, image: Path, out: Path) -> None:
    """Parts of an image side by side: as it is, rounded, and a sample of the noise of training."""
    trained, x = zoo.load(codec, quality), read_image(image)
    rounded = latentopt.wrap(trained, "int", False)
    sampled = latentopt.wrap(trained, spread=Sampling(SPREADS[1], "layered"))
    write_parts(out, [x, *(own(x)["x_hat"] for own in (rounded, sampled))])
    row([f"{8 * len(own.save_bytes(x)) / x[0, 0].numel():.3f} bpp" for own in (rounded, sampled)])


# -- the laws of indices -------------------------------------------------------------------------


def exponents() -> None:
    """Of Zipf's law, fitted to the indices of each rank."""
    for name, n in (("astar", 8000), ("ordered", 2000)):
        for sigma in SIGMAS:
            density, prior, values = level(sigma, n, seed=1)
            latent = SampleChannel(density, Sampling(SPREAD, name)).send(
                AtOnce(prior), Point(values)
            )
            for rank, own in blocked(latent).cut.by_rank():
                index = blocked(latent).index[own]
                if (index < CANDIDATES).sum() > 50:
                    escaped = (index == CANDIDATES).mean()
                    print(f"{name}: rank {rank}, {fitted(index):.2f}, {escaped:.4f} escaped")


def blocked(latent: SampledLatent) -> Blocked:
    [(_, found)] = latent.groups
    assert isinstance(found, Blocked)
    return found


def fitted(index: np.ndarray) -> float:
    """The exponent for which indices cost least."""
    ranks = np.arange(1, CANDIDATES + 1)
    mean = np.log(index[index < CANDIDATES] + 1).mean()
    found = minimize_scalar(lambda a: a * mean + np.log((ranks**-a).sum()), bounds=(0.1, 8))
    return float(found.x)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coders", action="store_true")
    parser.add_argument("--slopes", action="store_true")
    parser.add_argument("--exponents", action="store_true")
    parser.add_argument("--codec", default="tiny-mbt2018-mean")
    parser.add_argument("--quality", type=int)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--data", default="sample")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--picture", type=Path, help="PNG to write, of the first image")
    parser.add_argument("--samplers", help="some of them (default: layered,uniform of images)")
    args = parser.parse_args(argv)
    some = args.samplers.split(",") if args.samplers else None
    if args.coders:
        coders(some or SAMPLERS)
    elif args.slopes:
        slopes(some or SAMPLERS)
    elif args.exponents:
        exponents()
    elif args.picture:
        picture(args.codec, args.quality, resolve(args.data).paths[0], args.picture)
    else:
        paths = resolve(args.data).paths[: args.limit]
        images(args.codec, args.quality, args.weights, paths, some or ("layered", "uniform"))
    return 0


if __name__ == "__main__":
    run(main)
