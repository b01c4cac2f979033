"""An image to the bytes of its file: what `latentopt encode` does to each of its images."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from latentopt.bitstream.image_file import MAX_SIDE
from latentopt.cli import model
from latentopt.cli.progress import Stage
from latentopt.cli.recipe import recipe
from latentopt.codec import files
from latentopt.codec import image as image_codec
from latentopt.codec.image import Codec
from latentopt.codec.synthesis import Synthesis
from latentopt.errors import InputError
from latentopt.media.images import image_size, read_image, to_uint8
from latentopt.media.quality import psnr_db


@dataclass(frozen=True)
class Encoded:
    """An image's file, and how well and how fast it was coded."""

    data: bytes
    width: int
    height: int
    psnr_db: float
    """Of the 8-bit image that `decode` will give."""
    seconds: float
    """Of encoding proper: neither reading nor loading a model counts."""

    @property
    def bpp(self) -> float:
        """Bits per pixel."""
        return 8 * len(self.data) / (self.width * self.height)

    def __str__(self) -> str:
        quality = f"{len(self.data)} bytes, {self.bpp:.4f} bpp, {self.psnr_db:.2f} dB"
        return f"{quality}, {self.seconds:.1f} s"


class ImageEncoder:
    """Encodes images with the codec that the arguments name, which is loaded for the first one."""

    def __init__(self, args: argparse.Namespace):
        self._args = args
        self._codec: Codec | None = None

    def __call__(self, path: Path, stage: Stage) -> Encoded:
        stage("reading the image")
        _check_size(path)
        x = read_image(path)  # (1, 3, H, W)
        codec = self._codec = self._codec or self._load(stage)
        stage("encoding")
        return encode_image(x, codec)

    def _load(self, stage: Stage) -> Codec:
        return model.image_codec(self._args, stage, recipe(self._args))


@torch.no_grad()
def encode_image(x: Tensor, codec: Codec) -> Encoded:
    """Encode one image (1, 3, H, W) in [0, 1]."""
    started = perf_counter()
    height, width = x.shape[-2:]
    coded = codec.encode(x)
    strings = [[one.string] for [one] in coded.values()]
    data = files.pack(codec.identity, (height, width), strings)
    seconds = perf_counter() - started
    main = next(iter(coded.values()))
    x_hat = Synthesis(codec.assembly).pictures(main, (height, width))
    return Encoded(data, width, height, psnr_db(to_uint8(x), to_uint8(x_hat)), seconds)


def _check_size(path: Path) -> None:
    """Refuse an image that the format cannot hold, or that the decoder would refuse."""
    width, height = image_size(path)
    most = image_codec.MAX_PIXELS
    if max(width, height) > MAX_SIDE or width * height > most:
        raise InputError(
            f"{path}: {width}x{height} is more than {MAX_SIDE} a side or {most} pixels; "
            "cut it into tiles"
        )
