"""What `encode` does with each image: from its bytes to those of the file to write."""

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

from torch import Tensor

from latentopt.cli import arguments, dcvc, model, native, targets
from latentopt.cli.progress import Stage, silent
from latentopt.cli.recipe import codec_of, recipe
from latentopt.cli.sources import Job, check_size
from latentopt.codec.image import Codec
from latentopt.codec.ladder import Ladder
from latentopt.codec.recipe import ROUNDING
from latentopt.codec.rung import CodedFile, encode_image
from latentopt.codec.target import Target
from latentopt.codec.wrap import wrap_image
from latentopt.media.checksum import pixels_sha256
from latentopt.media.images import read_image, without_copies

_NAMED = ("step", "lambda", "encodes")  # numbers that need their names beside them


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
    pixels: str
    """Checksum of what `decode` will give."""

    @property
    def bpp(self) -> float:
        """Bits per pixel."""
        return 8 * len(self.data) / (self.width * self.height)

    def facts(self) -> dict[str, object]:
        """For programs."""
        return {
            "bytes": len(self.data),
            "width": self.width,
            "height": self.height,
            "bpp": round(self.bpp, 6),
            "psnr_db": round(self.psnr_db, 4) if math.isfinite(self.psnr_db) else None,
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        return f"{len(self.data)} bytes, {self.bpp:.4f} bpp, {self.psnr_db:.2f} dB"


@dataclass(frozen=True)
class Reported:
    """What `encode` writes and says of one image."""

    image: Encoded
    plain: Encoded | None
    """The same with plain rounding, where that was asked for."""
    codec: dict[str, object]
    """How it was coded, in the words of the options."""

    @property
    def data(self) -> bytes:
        """The content of the file to write."""
        return self.image.data

    def facts(self) -> dict[str, object]:
        """For programs."""
        plain = {"plain": self.plain.facts()} if self.plain else {}
        return {**self.image.facts(), **plain, **self.codec}

    def __str__(self) -> str:
        said = f"{self.image}, {self.image.seconds:.1f} s, {in_words(self.codec)}"
        if self.plain is None:
            return said
        percent = 100 * (len(self.data) / len(self.plain.data) - 1)
        better = self.image.psnr_db - self.plain.psnr_db
        return f"{said}; {percent:+z.1f} % and {better:+z.2f} dB on plain rounding ({self.plain})"


def in_words(codec: Mapping[str, object]) -> str:
    """How something was coded, from what it is in the words of the options."""
    return " ".join(f"{k} {v:.12g}" if k in _NAMED else str(v) for k, v in codec.items())


class ImageEncoder:
    """Encodes images with the codec that the arguments name, which is loaded for the first one."""

    def __init__(self, args: argparse.Namespace):
        self._args = args
        self._codec: Codec | None = None
        self._plain: Codec | None = None
        self._target = targets.target(args)
        self._ladder = targets.ladder(args, recipe(args)) if self._target else None

    def prepare(self) -> None:
        """See :class:`latentopt.cli.batch.Worker`; of several qualities the first to be tried."""
        if self._ladder:
            self._ladder.load(self._args.quality)
        else:
            self._load(silent)

    def __call__(self, job: Job, stage: Stage) -> Reported:
        stage("reading the image")
        check_size(job, arguments.max_pixels(self._args))
        x = without_copies(read_image(job.name, job.content))  # (1, 3, H, W), or 1 if grey
        if self._ladder and self._target:
            stage("encoding")
            return self._aimed(x, self._ladder, self._target, stage)
        if self._codec is None:
            self._load(stage)
        stage("encoding")
        assert self._codec
        image = _timed(x, self._codec)
        plain = _timed(x, self._plain) if self._plain else None
        return Reported(image, plain, codec_of(self._args))

    def _aimed(self, x: Tensor, ladder: Ladder, target: Target, stage: Stage) -> Reported:
        """The image as it is coded to a target."""
        started = perf_counter()
        outcome = ladder.encode(x, target, self._args.quality, stage)
        image = _encoded(outcome.file, perf_counter() - started)
        rounded = outcome.plain
        if self._args.versus_plain and rounded is None:
            rounded = ladder.plain(x, outcome.quality)
        plain = _encoded(rounded, 0.0) if rounded else None
        return Reported(image, plain, {**codec_of(self._args), **targets.how(outcome)})

    def _load(self, stage: Stage) -> None:
        self._codec = model.image_codec(self._args, stage, recipe(self._args))
        native.put_label(self._args, self._codec)
        if self._args.versus_plain:
            plain = ROUNDING.but(portable=self._args.portable)
            self._plain = wrap_image(self._codec.model, plain, dcvc.image_adapter(self._args))


def _encoded(file: CodedFile, seconds: float) -> Encoded:
    height, width = file.x.shape[-2:]
    return Encoded(file.data, width, height, file.psnr_db, seconds, pixels_sha256(file.picture))


def _timed(x: Tensor, codec: Codec) -> Encoded:
    """One image (1, 3, H, W) in [0, 1], encoded."""
    started = perf_counter()
    file = encode_image(codec, x)
    return _encoded(file, perf_counter() - started)
