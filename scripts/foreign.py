"""A decoder in the field: a process that cannot import latentopt decodes what others coded.

`python foreign.py JOBS RESULTS`: JOBS is a pickled list of jobs, each a dict of one of the kinds in
`KINDS` below; RESULTS becomes the list of the images that each decodes to, or of its error.
"""

import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any, BinaryIO

import torch
from compressai.models.video import ScaleSpaceFlow
from compressai.ops import compute_padding
from torch import Tensor, nn


class Blocked(MetaPathFinder):
    """Nobody imports latentopt here."""

    def find_spec(self, name: str, *_: object) -> None:
        if name.split(".")[0] == "latentopt":
            raise ImportError("latentopt is blocked")


class Times(nn.Module):
    """Multiplies by a constant, as a codec with another quantization step does."""

    def __init__(self, factor: Tensor):
        super().__init__()
        self.register_buffer("factor", factor)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.get_buffer("factor")


@dataclass
class Built:
    """A model by its class and weights, as some that CompressAI has cannot be pickled."""

    kind: type[nn.Module]
    args: tuple[Any, ...]
    state: dict[str, Tensor]
    words: dict[str, Any] = field(default_factory=dict)

    def decompress(self, strings: Any, shape: Any) -> dict[str, Tensor]:
        """The model's own."""
        model: Any = self.kind(*self.args, **self.words).eval()
        model.load_state_dict(self.state)
        found: dict[str, Tensor] = model.decompress(strings, shape)
        return found


@cache
def flow() -> Any:
    """CompressAI's video codec with random weights that are the same in every process."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: Any = ScaleSpaceFlow().eval()
    for part in ("img", "motion", "res"):
        getattr(model, f"{part}_encoder")[-1].weight.data *= 30
    model.update()
    return model


# -- the files of CompressAI's examples/codec.py (1.2.8), read as it reads them --------------------


def uints(file: BinaryIO, count: int) -> tuple[int, ...]:
    return struct.unpack(f">{count}I", file.read(4 * count))


def read_head(file: BinaryIO) -> tuple[int, int, tuple[int, ...]]:
    model, code = file.read(2)
    size = uints(file, 2)
    assert file.read(1) == b"\x08"  # bits
    return model, code, size


def read_body(file: BinaryIO) -> tuple[list[list[bytes]], tuple[int, ...]]:
    shape = uints(file, 2)
    [count] = uints(file, 1)
    return [[file.read(*uints(file, 1))] for _ in range(count)], shape


def crop(x: Tensor, size: Sequence[int]) -> Tensor:
    _, unpad = compute_padding(*size, out_h=x.shape[-2], out_w=x.shape[-1])
    return nn.functional.pad(x, unpad, mode="constant", value=0)


# -- what a job may be -----------------------------------------------------------------------------


def decode_strings(model: Any, strings: Any, shape: Any) -> list[Tensor]:
    """Clipped, which CompressAI leaves to its users after 1.2.8."""
    return [model.decompress(strings, shape)["x_hat"].clamp(0, 1)]


def decode_clip(strings: Any, shapes: Any) -> list[Tensor]:
    return list(flow().decompress(strings, shapes))


def decode_file(model: Any, path: str) -> list[Tensor]:
    with Path(path).open("rb") as file:
        _, _, size = read_head(file)
        strings, shape = read_body(file)
        assert not file.read()
    return [crop(x, size) for x in decode_strings(model, strings, shape)]


def decode_clip_file(path: str) -> list[Tensor]:
    model, frames, reference = flow(), list[Tensor](), None
    with Path(path).open("rb") as file:
        _, _, size = read_head(file)
        [count] = uints(file, 1)
        for _ in range(count):
            if reference is None:
                image = model.decode_keyframe(*read_body(file))
            else:
                motion, residual = read_body(file), read_body(file)
                pairs = zip(motion, residual)
                strings, shapes = ({"motion": m, "residual": r} for m, r in pairs)
                image = model.decode_inter(reference, strings, shapes)
            reference = image.clamp(0, 1)
            frames.append(crop(reference, size))
        assert not file.read()
    return frames


KINDS: dict[str, Callable[..., list[Tensor]]] = {
    "strings": decode_strings,
    "clip": decode_clip,
    "file": decode_file,
    "clip file": decode_clip_file,
}


@torch.no_grad()
def main(jobs: str, results: str) -> None:
    sys.meta_path.insert(0, Blocked())
    torch.set_num_threads(1)
    found = list[list[Tensor] | str]()
    for job in torch.load(jobs, weights_only=False):
        try:
            found.append(KINDS[job.pop("kind")](**job))
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
    assert not any(name.split(".")[0] == "latentopt" for name in sys.modules)
    torch.save(found, results)


if __name__ == "__main__":
    from foreign import main as of_this_name  # what was pickled knows the module by it

    of_this_name(*sys.argv[1:])
