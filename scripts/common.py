"""What scripts share: which codec and images they are asked for, and how they end."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

import numpy as np
import torch
from compressai.models import CompressionModel
from laboratory import DATA, use_laboratory_data
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt import Codec, zoo
from latentopt.bench import datasets
from latentopt.errors import LatentoptError
from latentopt.latents import Walk
from latentopt.lattices import Lattice
from latentopt.media.images import read_image, write_png
from latentopt.zoo.embedded import EMBEDDED

Result = TypeVar("Result")

WEIGHTS = DATA.parent / "weights"
"""The laboratory's checkpoints."""

LAB_MEAN_2 = str(WEIGHTS / "lab-mean-2.pt")


def run(main: Callable[[], int | None]) -> NoReturn:
    """A script's main function, with the laboratory's data; what is refused ends it in one line."""
    use_laboratory_data()
    try:
        sys.exit(main())
    except LatentoptError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def add_codec(
    parser: argparse.ArgumentParser,
    codec: str,
    *,
    quality: int | None = None,
    weights: str | None = None,
) -> None:
    """Arguments that say which codec: its name, and a quality of the zoo or a checkpoint."""
    parser.add_argument("--codec", default=codec, help=f"default: {codec}")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quality", type=int, help=f"default: {quality}" if quality else None)
    which.add_argument("--weights", help=f"default: {weights}" if weights else None)
    parser.set_defaults(default_which=(quality, weights))


def load(args: argparse.Namespace) -> CompressionModel:
    """The codec that was asked for."""
    asked = (args.quality, args.weights)
    return zoo.load(args.codec, *(asked if any(asked) else args.default_which))


def add_images(parser: argparse.ArgumentParser, data: str, limit: int) -> None:
    """Arguments that say which images."""
    parser.add_argument("--data", default=data, help="as of scripts/bdrate.py")
    parser.add_argument("--limit", type=int, default=limit, help="images")


def images(args: argparse.Namespace) -> list[Tensor]:
    """The images that were asked for, (1, 3, H, W) each."""
    return [read_image(path) for path in datasets.resolve(args.data).first(args.limit).paths]


def cut(x: Tensor, height: int = 512, width: int = 768) -> Tensor:
    """The top left of an image, no larger than so many pixels."""
    return x[..., :height, :width].contiguous()


@dataclass(frozen=True)
class MainLatent:
    """The main latent of an image, before it crosses."""

    y: NDArray[np.floating]  # (n,)
    walk: Walk


@torch.no_grad()
def main_latent(codec: Codec, x: Tensor) -> MainLatent:
    """Of an image (1, 3, H, W) whose size needs no padding, in a codec with a side latent."""
    adapter = codec.assembly.adapter
    y = adapter.analysis(x)
    [z] = adapter.deeper(y)
    height, width = z.shape[-2:]
    [side] = codec.encode(x)["z"]
    walk = adapter.walk([side.shifted(codec.assembly.direction(1))], (height, width))
    return MainLatent(y.numpy().ravel(), walk)


def seconds(work: Callable[[], Result]) -> tuple[float, Result]:
    """How long some work takes, on a GPU too, and what it gives."""
    _wait_for_gpu()
    start = time.perf_counter()
    result = work()
    _wait_for_gpu()
    return time.perf_counter() - start, result


def _wait_for_gpu() -> None:
    """Until all that was asked of it is done, if anything was."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def line(*cells: str) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def head(*cells: str) -> str:
    """The first two lines of a Markdown table."""
    return f"{line(*cells)}\n{line(*['---'] * len(cells))}"


TRAINING = ("codec", "λ", "started from", "steps", "minutes", "MB")
"""What :func:`training` says."""


def training(codec: str, quality: int) -> tuple[str, ...]:
    """How an embedded codec was trained, as cells of a table."""
    made = EMBEDDED.metadata(codec, quality)
    minutes = f"{int(made['seconds']) / 60:.0f}"
    megabytes = f"{EMBEDDED.file(codec, quality).stat().st_size / 1e6:.2f}"
    how = (made["lambda"], made["start"], made["steps"], minutes, megabytes)
    return (f"{codec} {quality}", *how)


def untrained(make: Callable[[], CompressionModel]) -> CompressionModel:
    """An image codec with random weights, the same in every process, and a latent of some size."""
    torch.manual_seed(1)
    model = make().eval()
    with torch.no_grad():
        analysis = model.get_submodule("g_a").modules()
        [*_, last] = [module for module in analysis if isinstance(module, nn.Conv2d)]
        last.weight.mul_(100)
    model.update()
    return model


def lattice_points(lattice: Lattice, reach: float) -> NDArray[np.int64]:
    """Coordinates (n, v) of all points within ``reach`` on every axis, and of a few more."""
    last = np.ceil(reach / np.array(lattice.units)).astype(np.int64) + 1
    m = np.indices(tuple(2 * last + 1)).reshape(lattice.dim, -1).T - last
    return m[lattice.contains(m)]


PART = slice(52, 196), slice(8, 168)
"""Of a picture, rows and columns."""


def write_parts(path: Path, images: Sequence[Tensor]) -> None:
    """The same part of images (1, 3, H, W) side by side, as PNG."""
    write_png(path, torch.cat([one[(..., *PART)] for one in images], dim=-1).clamp(0, 1))
