"""What is fuzzed: good inputs of each kind, how they are damaged, and what may come of it."""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from common import untrained
from compressai.models import (
    CompressionModel,
    FactorizedPrior,
    JointAutoregressiveHierarchicalPriors,
    MeanScaleHyperprior,
    ScaleHyperprior,
)
from fuzz_damage import damaged, resealed_clip, resealed_header, resealed_image
from PIL import Image

import latentopt
from latentopt import Codec, Container, VideoCodec, zoo
from latentopt.bench.datasets import resolve
from latentopt.bitstream import Header, count_frames, read_header
from latentopt.cli.main import main as command
from latentopt.errors import LatentoptError
from latentopt.media.clips import Format, open_clip, write_clip
from latentopt.media.images import read_image
from latentopt.zoo.checkpoint import load_checkpoint
from latentopt.zoo.embedded import EMBEDDED

Generator = np.random.Generator


MODELS: tuple[Callable[[int, int], CompressionModel], ...] = (
    FactorizedPrior,
    ScaleHyperprior,
    MeanScaleHyperprior,
    JointAutoregressiveHierarchicalPriors,
)
HEIGHT, WIDTH = 96, 128


class Target(Protocol):
    """One kind of input."""

    def damaged(self, generator: Generator) -> tuple[str, bytes]:
        """The name of a file, whose suffix may matter, and its damaged content."""

    def outcome(self, path: Path) -> str:
        """What came of reading it, in a word; what is refused on purpose is no other exception."""


# -- codecs --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Streams:
    """Files of every family of codecs, strings changed under checksums that fit."""

    def damaged(self, generator: Generator) -> tuple[str, bytes]:
        codec, data = _coded()[name := generator.choice(list(_coded()))]
        if generator.random() < 0.3:
            return name, damaged(data, generator)
        if isinstance(codec, VideoCodec):
            return name, resealed_clip(data, codec.files.counts, generator)
        return name, resealed_image(data, codec.string_count, generator)

    def outcome(self, path: Path) -> str:
        codec, _ = _coded()[path.name.rpartition("+")[2]]
        frames = list(codec.load(path)) if isinstance(codec, VideoCodec) else [codec.load(path)]
        assert all(torch.isfinite(x).all() for x in frames)
        return "decoded"


@cache
def _coded() -> dict[str, tuple[Codec | VideoCodec, bytes]]:
    """A codec of each family, with lattices of two and of eight dimensions, and a file of each."""
    x = read_image(resolve("sample").paths[0])[..., :HEIGHT, :WIDTH]
    found: dict[str, tuple[Codec | VideoCodec, bytes]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        for make in MODELS:
            for quant in ("hex", "e8"):
                codec = latentopt.wrap(untrained(partial(make, 8, 12)), quant)
                assert isinstance(codec, Codec)
                codec.save(path, x)
                found[f"{make.__name__}.{quant}.lo"] = codec, path.read_bytes()
        video = latentopt.wrap(zoo.load("tiny-ssf2020", 3), "hex", gop=2)
        assert isinstance(video, VideoCodec)
        video.save(path, [x, x.roll(2, -1), x.roll(4, -1)])
        found["flow.lov"] = video, path.read_bytes()
    return found


@dataclass(frozen=True)
class Containers:
    """Headers, changed under checksums that fit, read without a codec."""

    def damaged(self, generator: Generator) -> tuple[str, bytes]:
        name = generator.choice(list(_coded()))
        data = _coded()[name][1]
        if name.endswith(".lov"):
            header = Header.read(io.BytesIO(data)).to_bytes()
            return name, resealed_header(header, generator) + data[len(header) :]
        return name, resealed_header(data, generator)

    def outcome(self, path: Path) -> str:
        if path.suffix == ".lov":
            read_header(path)
            count_frames(path)
        else:
            Container.from_bytes(path.read_bytes())
        return "read"


# -- pictures ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Images:
    """Image files in the formats that are read."""

    suffixes: Sequence[str] = (".png", ".jpg", ".webp", ".bmp", ".ppm", ".tif")
    modes: Sequence[str] = ("RGB", "L", "P", "1", "LA", "RGBA")
    any_mode: Sequence[str] = (".png", ".tif")

    def damaged(self, generator: Generator) -> tuple[str, bytes]:
        suffix, mode = generator.choice(self.suffixes), generator.choice(self.modes)
        noise = generator.integers(0, 256, (9, 11, 3), dtype=np.uint8)
        image = Image.fromarray(noise)
        if suffix in self.any_mode:
            image = image.convert(mode)
        with tempfile.NamedTemporaryFile(suffix=suffix) as file:
            image.save(file.name)
            return f"x{suffix}", damaged(Path(file.name).read_bytes(), generator)

    def outcome(self, path: Path) -> str:
        x = read_image(path)
        assert torch.isfinite(x).all() and x.min() >= 0 and x.max() <= 1
        return "read"


@dataclass(frozen=True)
class Clips:
    """Clips, raw and compressed."""

    names: Sequence[str] = ("x.y4m", "x_32x32.yuv", "x.mkv", "x.mp4")

    def damaged(self, generator: Generator) -> tuple[str, bytes]:
        name = generator.choice(self.names)
        frames = [torch.rand(1, 3, 32, 32) for _ in range(3)]
        with tempfile.TemporaryDirectory() as folder:
            write_clip(Path(folder) / name, frames, Format(32, 32, Fraction(25)))
            return name, damaged((Path(folder) / name).read_bytes(), generator)

    def outcome(self, path: Path) -> str:
        with open_clip(path, count=4) as clip:
            assert all(torch.isfinite(x).all() for x in clip)
        return "read"


# -- checkpoints ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checkpoints:
    """Checkpoints in both formats, of the smallest codec and as embedded ones are stored."""

    family: str = "bmshj2018-factorized"

    def damaged(self, generator: Generator) -> tuple[str, bytes]:
        name, data = _checkpoints()[generator.integers(0, len(_checkpoints()))]
        return name, damaged(data, generator)

    def outcome(self, path: Path) -> str:
        load_checkpoint(path, self.family)
        return "loaded"


@cache
def _checkpoints() -> list[tuple[str, bytes]]:
    content = io.BytesIO()
    torch.save(untrained(partial(FactorizedPrior, 8, 12)).state_dict(), content)
    quality = EMBEDDED.qualities("tiny-bmshj2018-factorized")[0]
    embedded = EMBEDDED.checkpoint("tiny-bmshj2018-factorized", quality)
    return [("x.pt", content.getvalue()), ("x.safetensors", embedded.read_bytes())]


# -- command lines -------------------------------------------------------------------------------

_NUMBERS = ("0", "1", "-1", "1e300", "1e-300", "nan", "inf", "9" * 20, "1/0", "30/0", "½", "٣", ",")
_PATHS = ("x.png", "x.lo", "x.lov", "x.y4m", "none", ".", "/dev/null", "/dev/full", "caf\udce9.png")
_WORDS = ("tiny-bmshj2018-factorized", "tiny-ssf2020", "mine", "e8", "fast", "a,b", "\x1b[2J", "")
_MODEL = ("codec", "quality", "weights", "step", "device")
_CODING = ("output", "quant", "shift", "preset", "gop", "rate", "size", "parts", "scales", "ahead")
_MEASURING = ("data", "qualities", "steps", "configs", "threads", "limit", "batch-size", "frames")
_OTHERS = ("out", "image", "plot", "metric", "help", "version")
_OPTIONS = tuple(f"--{name}" for name in (*_MODEL, *_CODING, *_MEASURING, *_OTHERS))
_COMMANDS = ("encode", "decode", "info", "explain", "bdrate", "report", "zoo list", "zoo remove")


@dataclass(frozen=True)
class Commands:
    """Command lines: a command, and options and values of all sorts; a file has a word a line."""

    folder: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)

    def damaged(self, generator: Generator) -> tuple[str, bytes]:
        words = [generator.choice(_PATHS)] if generator.random() < 0.7 else []
        if generator.random() < 0.6:
            words += ["--codec", generator.choice(_WORDS[:2]), "--quality", "3"]
        for _ in range(int(generator.integers(0, 4))):
            kind = (_NUMBERS, _PATHS, _WORDS)[generator.integers(0, 3)]
            words += [generator.choice(_OPTIONS), generator.choice(kind)]
        line = [*generator.choice(_COMMANDS).split(), *words]
        return "argv.txt", "\n".join(line).encode("utf-8", "surrogateescape")

    def outcome(self, path: Path) -> str:
        argv = path.read_bytes().decode("utf-8", "surrogateescape").split("\n")
        out, err = io.StringIO(), io.StringIO()
        with (
            _inside(Path(self.folder.name)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                code = command(argv)
            except SystemExit as ended:  # of --help and --version
                code = int(ended.code or 0)
        said = err.getvalue()
        assert code in (0, 1, 2), said
        assert code != 2 or said.splitlines()[-1].startswith("latentopt: "), said
        assert said.replace("\n", "").isprintable(), said
        return f"exit code {code}"


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """In a folder with a file of each kind, and a data folder of its own."""
    if not (folder / "x.png").exists():
        Image.new("RGB", (40, 30), (200, 100, 50)).save(folder / "x.png")
        (folder / "x.lo").write_bytes(_coded()["FactorizedPrior.hex.lo"][1])
        (folder / "x.lov").write_bytes(_coded()["flow.lov"][1])
    before, home = Path.cwd(), os.environ.get("LATENTOPT_HOME")
    os.environ["LATENTOPT_HOME"] = str(folder / "home")
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.pop("LATENTOPT_HOME")
        if home is not None:
            os.environ["LATENTOPT_HOME"] = home


TARGETS: dict[str, Callable[[], Target]] = {
    "streams": Streams,
    "containers": Containers,
    "images": Images,
    "clips": Clips,
    "checkpoints": Checkpoints,
    "commands": Commands,
}


def verdict(target: Target, path: Path) -> str:
    """What came of an input in a word; anything but a refusal on purpose is raised."""
    try:
        return target.outcome(path)
    except LatentoptError as error:
        return type(error).__name__
