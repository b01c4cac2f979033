"""The wrapped codec: what `wrap` returns, and the flow of an image through it.

     x ─► analysis ─► y ─► hyper ─► z_hat ─► + rho_f * direction ─► scales, means
                      │                                               │
                      ├───────────► nearest lattice points ◄──────────┤
                      │                     │                         │
                      │               entropy coder ◄── cell tables ◄─┘
                      │                     │
                      └─ search rho_h ◄── y_hat ─► + rho_h * direction ─► synthesis ─► x_hat

Each string starts with one byte, the step size of that latent's shift (0: none). The decoder runs
the same chain from the strings down.
"""

import copy
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.coding import (
    DIRECTIONS,
    NO_SHIFT,
    Container,
    Latent,
    LatentCoder,
    Quantizer,
    Reader,
    Settings,
    decode_step,
    write_whole,
)
from latentopt.encoder import ShiftProblem, SideProblem, StepSearch, get_search, shifted
from latentopt.errors import BitstreamError, InputError
from latentopt.lattices import get as get_lattice
from latentopt.models import Adapter, SideAdapter, adapter_class, channel_prior
from latentopt.pmf.tables import Ints

MAX_PIXELS = 1 << 26
"""Default limit on the size of images that a decoder accepts, 8192 x 8192."""

MakeAdapter = Callable[[nn.Module, bool], Adapter]

_TOLERANCE = 1e-6
_BUILD = (None, None)  # no tables from elsewhere: build those of both latents


def wrap(
    model: nn.Module,
    quant: str = "oct",
    shift: bool | str | StepSearch = True,
    *,
    direction: str = "density",
    pmf: str = "exact",
    portable: bool = True,
    adapter: MakeAdapter | None = None,
) -> "Codec":
    """Make a trained codec compress better; the model itself is copied and left untouched.

    >>> from compressai.models import FactorizedPrior
    >>> codec = wrap(FactorizedPrior(8, 12).eval(), quant="hex")
    >>> x = torch.rand(1, 3, 40, 50)
    >>> out = codec.compress(x)
    >>> rec = codec.decompress(out["strings"], out["shape"])["x_hat"]
    >>> rec.shape == x.shape and torch.equal(rec, codec(x)["x_hat"])
    True

    Args:
        model: an image codec of CompressAI's zoo, one assembled from its latent codecs,
            InvCompress, or your own with an ``adapter``.
        quant: lattice of the main latent: ``int``, ``hex``, ``oct``, ``d4`` or ``e8``.
        shift: latent shift: False, True (``"secant"``), ``"grid"`` (the paper's search), or an
            object of your own. The decoder takes any of them.
        direction: where to shift: ``"density"``, the gradient of -log density, or ``"sign"``.
        pmf: ``"exact"``, or ``"paper"`` for the paper's tables without rare centres.
        portable: compute what selects the tables in float64 on the CPU, so that a stream decodes on
            any machine, with any number of threads and any batch. Without it, only on the like.
        adapter: for a codec of your own, what makes its adapter: called as
            ``adapter(model, portable)``, for example a class of ``latentopt.models`` with other
            transforms (docs/your-own-codec.md).

    Raises:
        UnsupportedModelError: the model's class has no adapter.
        InputError: an unknown name among the arguments.
    """
    if direction not in DIRECTIONS:
        raise InputError(f"unknown direction {direction!r}: choose {' or '.join(DIRECTIONS)}")
    adapter = adapter or adapter_class(model)  # refuse before copying
    settings = Settings(get_lattice(quant).name, pmf, direction, portable)
    search = get_search("secant") if shift is True else shift
    search = get_search(search) if isinstance(search, str) else search
    return Codec(adapter(copy.deepcopy(model), portable), settings, search or None).eval()


@dataclass(frozen=True)
class _Coded:
    """A coded latent and the step code of its shift."""

    latent: Latent
    step_code: int


class Codec(nn.Module):
    """A wrapped codec, with the interface of CompressAI's own. Made by :func:`wrap`."""

    def __init__(self, adapter: Adapter, settings: Settings, search: StepSearch | None):
        super().__init__()
        self.model: nn.Module = adapter.model
        if settings.portable:  # up to a third faster on a CPU, and the same but for the last bit
            self.model.to(memory_format=torch.channels_last)
        self.settings = settings
        self.search = search
        self.max_pixels = MAX_PIXELS
        # Any: its kind (with a side latent or not) is asked for where the flow forks.
        self._adapter: Any = adapter
        self._loaded: Sequence[Ints | None] = _BUILD
        self.register_load_state_dict_post_hook(_after_load)
        self._build_tables()

    # -- the three verbs of a CompressAI codec ---------------------------------------------------

    @torch.no_grad()
    def forward(self, x: Tensor) -> dict[str, Any]:
        """Encode and decode without a bitstream.

        Args:
            x: images (B, 3, H, W) in [0, 1], of any size.

        Returns:
            ``x_hat`` (B, 3, H, W), the image that :meth:`decompress` gives, and ``likelihoods``, a
            dict of tensors shaped like each latent. A vector's probability is spread over its
            elements (each has the v-th root), so that products and sums of logs are exact.
        """
        latents = self._encode(x)
        x_hat = self._synthesize(latents["y"], x.shape[-2:])
        likelihoods = {
            name: _stack([np.exp2(-c.latent.bits()) for c in coded], coded[0].latent, x_hat)
            for name, coded in latents.items()
        }
        return {"x_hat": x_hat, "likelihoods": likelihoods}

    @torch.no_grad()
    def compress(self, x: Tensor) -> dict[str, Any]:
        """Encode images.

        Args:
            x: images (B, 3, H, W) in [0, 1], of any size.

        Returns:
            ``strings``, a list of lists with one ``bytes`` per image (main latent, then side latent
            where there is one), and ``shape``, the images' (H, W).

        Raises:
            InputError: ``x`` is not such a batch, or its latent is not finite.
        """
        strings = [
            [c.latent.coder.encode(c.latent, c.step_code) for c in coded]
            for coded in self._encode(x).values()
        ]
        return {"strings": strings, "shape": torch.Size(x.shape[-2:])}

    @torch.no_grad()
    def decompress(
        self, strings: Sequence[Sequence[bytes]], shape: Sequence[int]
    ) -> dict[str, Any]:
        """Decode what :meth:`compress` returned.

        Returns:
            ``x_hat`` (B, 3, H, W), clipped to [0, 1].

        Raises:
            BitstreamError: the strings are not those of such images and this codec.
        """
        size = self._check_size(shape)
        self._check_strings(strings)
        coded = [self._decode(image, size) for image in zip(*strings)]
        return {"x_hat": self._synthesize(coded, size)}

    # -- files -----------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], x: Tensor) -> int:
        """Compress one image (1, 3, H, W) to a file; returns its size in bytes.

        Raises:
            InputError: ``x`` is not one image, or the file cannot be written.
        """
        if x.dim() != 4 or len(x) != 1:
            raise InputError(f"a file holds one image (1, 3, H, W), not {tuple(x.shape)}")
        out = self.compress(x)
        height, width = out["shape"]
        strings = tuple(string for [string] in out["strings"])
        hashes = self._weights_hash, self._table_hash
        data = Container(self.settings, width, height, *hashes, strings).to_bytes()
        write_whole(path, data)
        return len(data)

    def load(self, path: str | os.PathLike[str]) -> Tensor:
        """Decode a file that :meth:`save` wrote, to (1, 3, H, W).

        Raises:
            BitstreamError: the file is corrupt, or of another codec; the message says which.
            InputError: the file cannot be read.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        return self.load_bytes(data)

    def load_bytes(self, data: bytes) -> Tensor:
        """:meth:`load` for the file's content."""
        container = Container.from_bytes(data, self._string_count)
        self._check_container(container)
        strings = [[string] for string in container.strings]
        return self.decompress(strings, (container.height, container.width))["x_hat"]

    # -- encoder ---------------------------------------------------------------------------------

    def _encode(self, x: Tensor) -> dict[str, list[_Coded]]:
        """For each latent, in the order of the strings, its coded form in each image."""
        _check_images(x)
        parameter = next(self.model.parameters())
        x = x.to(parameter.device)
        padded = _pad(x, self._adapter.stride)
        y = self._adapter.analysis(padded.to(parameter.dtype))
        if isinstance(self._adapter, SideAdapter):
            z = self._adapter.hyper_analysis(y)
            pairs = [self._encode_both(*images) for images in zip(_rows(y), _rows(z))]
            main, side = [pair[0] for pair in pairs], {"z": [pair[1] for pair in pairs]}
        else:
            main, side = [self._encode_main(y_i, tuple(y_i.shape)) for y_i in _rows(y)], {}
        codes = self._search_main(main, x, padded.shape[-2] // y.shape[-2])
        return {"y": [_Coded(*pair) for pair in zip(main, codes)], **side}

    def _encode_both(self, y: NDArray[np.float32], z: NDArray[np.float32]) -> tuple[Latent, _Coded]:
        """The main latent and the side latent of one image, each on its lattice."""
        prior = channel_prior(self._adapter.side_density, z.shape)
        side = self._side.quantize(z.ravel(), prior)
        problem = SideProblem(self._adapter, side, self.settings.direction, y.ravel())
        plain = self._encode_main(y, problem.features(0.0))
        code = self.search.side(problem) if self.search else NO_SHIFT
        if code != NO_SHIFT:
            moved = self._encode_main(y, problem.features(decode_step(code)))
            if moved.bits().sum() < plain.bits().sum():
                return moved, _Coded(side, code)
        return plain, _Coded(side, NO_SHIFT)

    def _encode_main(self, y: NDArray[np.float32], given: Any) -> Latent:
        """The main latent of one image, its entropy parameters computed from what is ``given``."""
        quantizer = Quantizer(self._main, y.ravel(), y.shape)
        self._adapter.walk(given, quantizer)
        return quantizer.latent()

    def _search_main(self, main: list[Latent], x: Tensor, pixels: int) -> list[int]:
        if self.search is None:
            return [NO_SHIFT] * len(main)
        directions = [latent.direction(self.settings.direction) for latent in main]
        y_hat = _stack([latent.hat for latent in main], main[0], x)
        direction = _stack(directions, main[0], x)
        return self.search.main(ShiftProblem(self._image, y_hat, direction, x.float(), pixels))

    # -- decoder ---------------------------------------------------------------------------------

    def _decode(self, strings: Sequence[bytes], size: tuple[int, int]) -> _Coded:
        """The main latent of one image from its strings."""
        height, width = (-(-side // self._adapter.stride) for side in size)
        if isinstance(self._adapter, SideAdapter):
            shape = (self._adapter.side_density.levels, height, width)
            side_prior = channel_prior(self._adapter.side_density, shape)
            side, code = self._side.decode(strings[1], side_prior)
            shifted = side.hat
            if code != NO_SHIFT:
                shifted = shifted + decode_step(code) * side.direction(self.settings.direction)
            given: Any = self._adapter.features(shifted, shape)
            main_shape = self._adapter.main_shape(given)
        else:
            given = main_shape = (self._adapter.main_density.levels, height, width)
        reader = Reader(self._main, strings[0], main_shape)
        self._adapter.walk(given, reader)
        return _Coded(reader.latent(), reader.step_code)

    # -- both sides ------------------------------------------------------------------------------

    def _synthesize(self, coded: Sequence[_Coded], size: Sequence[int]) -> Tensor:
        """Images (B, 3, H, W) of main latents, shifted by their steps."""
        like = next(self.model.parameters())
        y_hat = _stack([c.latent.hat for c in coded], coded[0].latent, like)
        if any(c.step_code != NO_SHIFT for c in coded):
            directions = [c.latent.direction(self.settings.direction) for c in coded]
            direction = _stack(directions, coded[0].latent, like)
            y_hat = shifted(y_hat, direction, [decode_step(c.step_code) for c in coded])
        return self._image(y_hat, exact=not self.settings.portable)[..., : size[0], : size[1]]

    def _image(self, y_hat: Tensor, exact: bool = False) -> Tensor:
        """Images in [0, 1], padding included, of main latents.

        With channels last, as above; ``exact`` computes as the model itself does.
        """
        y_hat = y_hat.to(next(self.model.parameters()).dtype)
        if not exact:
            y_hat = y_hat.contiguous(memory_format=torch.channels_last)
        return self._adapter.synthesis(y_hat).float().clamp(0, 1).contiguous()

    # -- tables ----------------------------------------------------------------------------------

    def update(self, *args: Any, force: bool = False, **kwargs: Any) -> bool:
        """Rebuild the tables from the weights, as CompressAI's ``update`` does; True if it did."""
        if force:
            self._build_tables()
        return force

    def _build_tables(self, dumped: Sequence[Ints | None] = _BUILD) -> None:
        """What is derived from the weights; tables as ``dumped``, where given."""
        self._adapter.refresh()
        self._weights_hash = self._adapter.weights_digest()[:4]
        density, pmf = self._adapter.main_density, self.settings.pmf
        main_density = density.core if pmf == "paper" else density
        lattice = get_lattice(self.settings.quant)
        self._main = LatentCoder(main_density, lattice, pmf, dumped[0])
        if isinstance(self._adapter, SideAdapter):
            side_density, scalar = self._adapter.side_density, get_lattice("int")
            self._side = LatentCoder(side_density, scalar, dumped=dumped[1])
        digests = b"".join(coder.digest() for coder in self._coders)
        self._table_hash = hashlib.sha256(digests).digest()[:4]

    @property
    def _coders(self) -> list[LatentCoder]:
        """The coder of each string."""
        side = [self._side] if isinstance(self._adapter, SideAdapter) else []
        return [self._main, *side]

    def get_extra_state(self) -> dict[str, Tensor]:
        """The tables, so that ``state_dict`` carries them bit for bit."""
        return {str(i): torch.from_numpy(c.dump()) for i, c in enumerate(self._coders)}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Keeps the tables of a ``state_dict`` until all its weights are loaded, too."""
        self._loaded = [state[str(i)].cpu().numpy() for i in range(len(self._coders))]

    # -- checks ----------------------------------------------------------------------------------

    @property
    def _string_count(self) -> int:
        return len(self._coders)

    def _check_size(self, shape: Sequence[int]) -> tuple[int, int]:
        height, width = (int(side) for side in shape)
        if min(height, width) < 1 or height * width > self.max_pixels:
            raise BitstreamError(
                f"image size {width}x{height} is outside 1 … {self.max_pixels} pixels; "
                "raise codec.max_pixels if this is meant"
            )
        return height, width

    def _check_strings(self, strings: Sequence[Sequence[bytes]]) -> None:
        counts = {len(per_image) for per_image in strings}
        if len(strings) != self._string_count or len(counts) != 1 or counts == {0}:
            raise BitstreamError(
                f"this codec writes {self._string_count} lists of strings, one string per image "
                f"each; got lists of {[len(per_image) for per_image in strings]}"
            )

    def _check_container(self, container: Container) -> None:
        theirs, ours = asdict(container.settings), asdict(self.settings)
        differing = [f"{k}={v!r}, not {ours[k]!r}" for k, v in theirs.items() if v != ours[k]]
        if differing:
            raise BitstreamError(f"written by a codec with {' and '.join(differing)}: wrap it so")
        if container.weights_hash != self._weights_hash:
            raise BitstreamError(
                "written by another model: its weights hash is "
                f"{container.weights_hash.hex()}, this model's {self._weights_hash.hex()}"
            )
        if container.table_hash != self._table_hash:
            raise BitstreamError(
                "written with other probability tables (table hash "
                f"{container.table_hash.hex()}, here {self._table_hash.hex()}): load the "
                "encoder's state_dict, which carries its tables"
            )


def _after_load(codec: Codec, _incompatible: object) -> None:
    """Called by PyTorch: bring what is derived from the weights up to date, tables as they came."""
    codec._build_tables(codec._loaded)
    codec._loaded = _BUILD


def _check_images(x: Tensor) -> None:
    if not isinstance(x, Tensor) or x.dim() != 4 or x.shape[1] != 3 or not x.numel():
        what = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"expected images (B, 3, H, W), got {what}")
    if not x.is_floating_point():
        raise InputError(f"expected floating-point images in [0, 1], got {x.dtype}")
    low, high = (float(v) for v in x.aminmax())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):  # also where there is a NaN
        raise InputError(f"expected images in [0, 1], got values from {low:g} to {high:g}")


def _pad(x: Tensor, stride: int) -> Tensor:
    """Repeat the last row and column up to a multiple of ``stride``."""
    height, width = x.shape[-2:]
    padding = (0, -width % stride, 0, -height % stride)
    return nn.functional.pad(x, padding, mode="replicate") if any(padding) else x


def _rows(latents: Tensor) -> NDArray[np.float32]:
    return latents.float().cpu().numpy()


def _stack(rows: list[NDArray], latent: Latent, like: Tensor) -> Tensor:
    """Flattened latents of a batch as one float32 tensor (B, M, h, w) on the device of ``like``."""
    stacked = np.stack(rows).astype(np.float32).reshape(-1, *latent.prior.shape)
    return torch.from_numpy(stacked).to(like.device)
