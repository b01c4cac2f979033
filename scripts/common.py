"""What scripts share: which codec and images they are asked for, and how they end."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from compressai.models import CompressionModel
from laboratory import DATA, use_laboratory_data
from torch import Tensor

from latentopt import zoo
from latentopt.bench import datasets
from latentopt.errors import LatentoptError
from latentopt.media.images import read_image

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


def add_codec(parser: argparse.ArgumentParser, codec: str, weights: str | None = None) -> None:
    """Arguments that say which codec: its name, and a quality or a checkpoint."""
    parser.add_argument("--codec", default=codec)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quality", type=int, help="of the zoo")
    which.add_argument("--weights", help=f"a checkpoint (default: {weights or 'none'})")
    parser.set_defaults(default_weights=weights)


def load(args: argparse.Namespace) -> CompressionModel:
    """The codec that was asked for."""
    weights = args.weights or (None if args.quality else args.default_weights)
    return zoo.load(args.codec, args.quality, weights)


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
