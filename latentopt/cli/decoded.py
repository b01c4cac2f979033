"""What `decode` does with each file: from its bytes to those of a PNG."""

import argparse
from dataclasses import dataclass, replace
from time import perf_counter

from latentopt.bitstream import Container, Origin, Settings
from latentopt.cli import arguments, model, native
from latentopt.cli.coded import check_pixels, naming, opened, recipe_for
from latentopt.cli.progress import Stage
from latentopt.cli.sources import Job
from latentopt.codec.image import Codec
from latentopt.codec.native_files import Label
from latentopt.codec.recipe import Recipe
from latentopt.codec.wrap import wrap_image
from latentopt.errors import MapError
from latentopt.media.checksum import pixels_sha256
from latentopt.media.images import png_bytes, to_uint8


@dataclass(frozen=True)
class Decoded:
    """An image as PNG."""

    data: bytes
    width: int
    height: int
    seconds: float
    pixels: str
    """Checksum of the image, whatever file it is in."""
    lost: str | None = None
    """What is wrong with the map after those that the image was decoded from, if anything is."""

    def facts(self) -> dict[str, object]:
        """For programs."""
        return {"width": self.width, "height": self.height, "seconds": round(self.seconds, 3)}

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class Decoder:
    """Decodes files of either format."""

    def __init__(self, args: argparse.Namespace):
        self._args = args
        self._own, self._native = ImageDecoder(args), NativeDecoder(args)

    def prepare(self) -> None:
        """See :class:`latentopt.cli.batch.Worker`: most files say themselves what they need."""
        model.check_named(self._args)

    def __call__(self, job: Job, stage: Stage) -> Decoded:
        stage("reading the file")
        read = replace(job, content=job.data())
        is_native = native.holds_native(self._args, read.data())
        return (self._native if is_native else self._own)(read, stage)


class ImageDecoder:
    """Decodes files, with one codec for all that were written by the same."""

    def __init__(self, args: argparse.Namespace):
        self._args = args
        self._codecs: dict[tuple[Settings, bytes, Origin | None], Codec] = {}

    def __call__(self, job: Job, stage: Stage) -> Decoded:
        data, container, args = opened(job, self._args)
        check_pixels(job, container, args)
        recipe = recipe_for(job.name, container)
        with naming(job.name, model.conflict(args, container.origin)):
            codec = self._codec_for(args, container, recipe, stage)
            stage("decoding")
            return _mapped(codec, data, container.damage)

    def _codec_for(
        self, args: argparse.Namespace, container: Container, recipe: Recipe, stage: Stage
    ) -> Codec:
        key = container.settings, container.weights_hash, container.origin
        if key not in self._codecs:
            made = model.image_codec_for(args, stage, container, recipe)
            made.max_pixels = arguments.max_pixels(args)
            self._codecs[key] = made
        return self._codecs[key]


class NativeDecoder:
    """Decodes files in the layout of CompressAI's script, with one codec for each model."""

    def __init__(self, args: argparse.Namespace):
        self._args = args
        self._codecs: dict[Label, Codec] = {}

    def __call__(self, job: Job, stage: Stage) -> Decoded:
        data = job.data()
        label = native.label_in(job.name, data)
        is_first = label not in self._codecs
        with naming(job.name):
            if is_first:
                self._codecs[label] = self._codec(label, stage)
            stage("decoding")
            decoded = _timed(self._codecs[label], data)
        if is_first:
            native.remark_assumed(self._args, label)
        return decoded

    def _codec(self, label: Label, stage: Stage) -> Codec:
        codec = native.codec(native.settled(self._args, label), stage, wrap_image)
        codec.max_pixels = arguments.max_pixels(self._args)
        return codec


def _mapped(codec: Codec, data: bytes, damage: MapError | None) -> Decoded:
    """Decoded from the maps before a damaged one, if there is one, and any before it."""
    if damage is None or not damage.maps:
        return _timed(codec, data)
    lost = f"{damage.what}; decoded from the {damage.maps} before it"
    return replace(_timed(codec, data, damage.maps), lost=lost)


def _timed(codec: Codec, data: bytes, maps: int | None = None) -> Decoded:
    started = perf_counter()
    x_hat = codec.load_bytes(data, maps) if maps else codec.load_bytes(data)  # (1, 3, H, W)
    seconds = perf_counter() - started
    pixels = pixels_sha256(to_uint8(x_hat).cpu())
    return Decoded(png_bytes(x_hat), x_hat.shape[-1], x_hat.shape[-2], seconds, pixels)
