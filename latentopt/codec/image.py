"""The wrapped image codec: what `wrap` returns, and the flow of an image through it.

     x ─► analysis ─► y ─► hyper ─► z_hat ─► + rho_f * direction ─► scales, means
                      │                                               │
                      ├───► lattice points, nearest or searched ◄─────┤
                      │                     │                         │
                      │               entropy coder ◄── cell tables ◄─┘
                      │                     │
                      └─ search rho_h ◄── y_hat ─► + rho_h * direction ─► synthesis ─► x_hat

Each string starts with one byte, the step size of that latent's shift (0: none). The decoder runs
the same chain from the strings down.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters import Adapter, ChannelAdapter, SideAdapter, channel_prior
from latentopt.atomic import reading, write_whole
from latentopt.bitstream import DIRECTIONS, NO_SHIFT, Container, Identity, Settings, decode_step
from latentopt.codec.explain import Explanation, explain
from latentopt.codec.recipe import Recipe
from latentopt.densities import RescaledDensity
from latentopt.encoder import (
    Aim,
    Annealer,
    Effort,
    ShiftProblem,
    SideProblem,
    shifted,
)
from latentopt.errors import BitstreamError, InputError
from latentopt.latents.lattice import MAX_COORDINATE, Latent, LatentCoder, Quantizer, Reader
from latentopt.lattices import RULES
from latentopt.pmf.tables import Ints

MAX_PIXELS = 1 << 26
"""Default limit on the size of images that a decoder accepts, 8192 x 8192."""

OFFSETS = "split"
"""The direction of reconstruction offsets, which :func:`latentopt.calibrate` fits."""

_TOLERANCE = 1e-6
_BUILD = (None, None)  # no tables from elsewhere: build those of both latents


@dataclass(frozen=True)
class Coded:
    """A coded latent and the step codes of its shift."""

    latent: Latent
    step_codes: Sequence[int]

    @property
    def string(self) -> bytes:
        return self.latent.coder.encode(self.latent, self.step_codes)


class Codec(nn.Module):
    """A wrapped codec, with the interface of CompressAI's own. Made by :func:`latentopt.wrap`."""

    def __init__(self, adapter: Adapter, recipe: Recipe):
        super().__init__()
        self.model: nn.Module = adapter.model
        if recipe.portable:  # up to a third faster on a CPU, and the same but for the last bit
            self.model.to(memory_format=torch.channels_last)
        self.recipe = recipe
        self.max_pixels = MAX_PIXELS
        # Any: its kind (with a side latent or not) is asked for where the flow forks.
        self._adapter: Any = adapter
        self._loaded: Sequence[Ints | None] = _BUILD
        self._offsets: tuple[int, ...] = (NO_SHIFT,) * DIRECTIONS[OFFSETS]
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
        latents = self.encode(x)
        x_hat = self._synthesize(latents["y"], x.shape[-2:])
        return {"x_hat": x_hat, "likelihoods": self.likelihoods(list(zip(*latents.values())))}

    def likelihoods(self, images: Sequence[Sequence[Coded]]) -> dict[str, Tensor]:
        """Probabilities of images' coded latents, as :meth:`forward` returns them."""
        like = next(self.model.parameters())
        return {
            name: _stack([np.exp2(-c.latent.bits()) for c in coded], coded[0].latent, like)
            for name, coded in zip("yz", zip(*images))
        }

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
        strings = [[c.string for c in coded] for coded in self.encode(x).values()]
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
        size = self.check_size(shape)
        self.check_strings(strings)
        coded = [self.decode(image, size)[0] for image in zip(*strings)]
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
        data = Container(
            self.recipe.settings, width, height, *self.identity.hashes, strings
        ).to_bytes()
        write_whole(path, data)
        return len(data)

    def load(self, path: str | os.PathLike[str]) -> Tensor:
        """Decode a file that :meth:`save` wrote, to (1, 3, H, W).

        Raises:
            BitstreamError: the file is corrupt, or of another codec; the message says which.
            InputError: the file cannot be read.
        """
        return self.load_bytes(_read(path))

    def load_bytes(self, data: bytes) -> Tensor:
        """:meth:`load` for the file's content."""
        container = self._container(data)
        strings = [[string] for string in container.strings]
        return self.decompress(strings, (container.height, container.width))["x_hat"]

    @torch.no_grad()
    def explain(self, path: str | os.PathLike[str]) -> Explanation:
        """What the stream of a file that :meth:`save` wrote chose, and where its bits went.

        Raises:
            BitstreamError: the file is corrupt, or of another codec; the message says which.
            InputError: the file cannot be read.
        """
        data = _read(path)
        container = self._container(data)
        size = self.check_size((container.height, container.width))
        latents = [(c.latent, c.step_codes) for c in self.decode(container.strings, size)]
        return explain(container, len(data), self._adapter.stride, latents)

    def _container(self, data: bytes) -> Container:
        container = Container.from_bytes(data, self.string_count)
        self.identity.check(container.identity)
        return container

    # -- encoder ---------------------------------------------------------------------------------

    def encode(self, x: Tensor) -> dict[str, list[Coded]]:
        """For each latent, in the order of the strings, its coded form in each image."""
        check_images(x)
        parameter = next(self.model.parameters())
        x = x.to(parameter.device)
        y = self._analysis(self._padded(x).to(parameter.dtype))
        _check_latent(y)
        aims = [Aim(y_i, x_i[None].float()) for y_i, x_i in zip(_rows(y), x)]
        if isinstance(self._adapter, SideAdapter):
            z = _rows(self._adapter.hyper_analysis(y.to(parameter.dtype)))
            sides, given = zip(*(self._encode_side(*image) for image in zip(aims, z)))
            side = {"z": list(sides)}
        else:
            side, given = {}, [aim.y.shape for aim in aims]
        if self.recipe.effort is None:
            main = self._shift([self._nearest(*image) for image in zip(aims, given)], x)
        else:
            main = [self._search_points(*image, self.recipe.effort) for image in zip(aims, given)]
        return {"y": main, **side}

    def _padded(self, x: Tensor) -> Tensor:
        """Images, their last row and column repeated up to a multiple of the stride."""
        height, width = x.shape[-2:]
        padding = (0, -width % self._adapter.stride, 0, -height % self._adapter.stride)
        return nn.functional.pad(x, padding, mode="replicate") if any(padding) else x

    def _analysis(self, x: Tensor) -> Tensor:
        with _low_precision(
            x.device, wanted=self.recipe.effort is not None and self.recipe.effort.draft
        ):
            return self._adapter.analysis(x).float()

    def _encode_side(self, aim: Aim, z: NDArray[np.float32]) -> tuple[Coded, NDArray]:
        """The side latent of one image, and what its hyper-synthesis says of the main latent."""
        prior = channel_prior(self._adapter.side_density, z.shape)
        side = self._side.quantize(z.ravel(), prior)
        problem = SideProblem(self._adapter, side, self._side_direction, aim.y.ravel())
        code = self.recipe.shift.side(problem) if self.recipe.shift else NO_SHIFT
        plain = problem.features(0.0)
        if code != NO_SHIFT:
            moved = problem.features(decode_step(code))
            before, after = (self._nearest(aim, f).bits().sum() for f in (plain, moved))
            if after < before:
                return Coded(side, [code]), moved
        return Coded(side, [NO_SHIFT]), plain

    def _search_points(self, aim: Aim, given: Any, effort: Effort) -> Coded:
        """The main latent of one image with the least rate and distortion of several."""
        choice = self._annealer.choose(aim, given, effort)
        latents = [
            self._walk(given, choice.target, aim.y.shape, choice.corrections, choice.weight / k)
            for k in effort.strengths
        ]
        if effort.verify:
            latents.append(self._walk(given, aim.y.ravel(), aim.y.shape, choice.corrections))
        coded = self._shift(latents, aim.x.expand(len(latents), -1, -1, -1))
        if len(coded) == 1:
            return coded[0]
        costs = [self._annealer.cost(aim, c.latent.bits().sum(), self.moved([c])) for c in coded]
        return coded[int(np.argmin(costs))]

    def _nearest(self, aim: Aim, given: Any) -> Latent:
        corrections = self._annealer.corrections(given, aim.y.ravel())
        return self._walk(given, aim.y.ravel(), aim.y.shape, corrections)

    def _walk(self, given: Any, *choice: Any) -> Latent:
        quantizer = Quantizer(self._main, *choice)
        self._adapter.walk(given, quantizer)
        return quantizer.latent()

    def _shift(self, latents: list[Latent], x: Tensor) -> list[Coded]:
        """Main latents of images ``x`` with the step codes of their shifts."""
        direction = self.recipe.settings.direction
        if self.recipe.shift is None:
            return [Coded(latent, [NO_SHIFT] * DIRECTIONS[direction]) for latent in latents]
        codes = self.recipe.shift.main(self.shift_problem(latents, x, direction))
        return [Coded(*pair) for pair in zip(latents, codes)]

    def shift_problem(self, latents: Sequence[Latent], x: Tensor, direction: str) -> ShiftProblem:
        """What a search of step sizes solves for main latents of images ``x`` (B, 3, H, W)."""
        x = x.to(next(self.model.parameters()))
        directions = _directions(latents, x, direction)
        synthesis = self._draft if self.recipe.effort else self._image
        local = self._adapter.local
        pixels = self._padded(x).shape[-2] // latents[0].prior.shape[1] if local else 0
        return ShiftProblem(synthesis, self._hats(latents, x), directions, x.float(), pixels)

    @torch.no_grad()
    def latents(self, x: Tensor) -> list[Latent]:
        """The main latents that :meth:`compress` codes for images (B, 3, H, W)."""
        return [coded.latent for coded in self.encode(x)["y"]]

    # -- decoder ---------------------------------------------------------------------------------

    def decode(self, strings: Sequence[bytes], size: tuple[int, int]) -> list[Coded]:
        """The latents of one image (H, W) from its strings, in the same order."""
        sides = []
        height, width = (-(-side // self._adapter.stride) for side in size)
        if isinstance(self._adapter, SideAdapter):
            shape = (self._adapter.side_density.levels, height, width)
            side_prior = channel_prior(self._adapter.side_density, shape)
            side, [code] = self._side.decode(strings[1], side_prior)
            sides = [Coded(side, [code])]
            shifted = side.hat
            if code != NO_SHIFT:
                shifted = shifted + decode_step(code) * side.directions(self._side_direction)[0]
            given: Any = self._adapter.features(shifted, shape)
            main_shape = self._adapter.main_shape(given)
        else:
            given = main_shape = (self._adapter.main_density.levels, height, width)
        steps, scales = DIRECTIONS[self.recipe.settings.direction], self.recipe.settings.scales
        reader = Reader(self._main, strings[0], main_shape, steps, scales)
        self._adapter.walk(given, reader)
        return [Coded(reader.latent(), reader.step_codes), *sides]

    # -- both sides ------------------------------------------------------------------------------

    def _synthesize(self, coded: Sequence[Coded], size: Sequence[int]) -> Tensor:
        """Images (B, 3, H, W) of main latents, shifted by their steps."""
        image = self.reconstruct(self.moved(coded)).clamp(0, 1).contiguous()
        return image[..., : size[0], : size[1]]

    def reconstruct(self, y_hat: Tensor) -> Tensor:
        """What the model makes of main latents: images (B, 3, H, W), padded and not clipped."""
        if self._adapter.exact:
            return self._adapter.reconstruct(y_hat)
        return self._raw(y_hat, exact=not self.recipe.settings.portable)

    def moved(self, coded: Sequence[Coded]) -> Tensor:
        """Main latents (B, M, h, w), shifted by their steps."""
        if self._adapter.exact:
            return torch.cat([self._exactly(one) for one in coded])
        latents, like = [c.latent for c in coded], next(self.model.parameters())
        y_hat = self._hats(latents, like)
        if all(code == NO_SHIFT for c in coded for code in c.step_codes):
            return y_hat
        rho = [[decode_step(code) for code in c.step_codes] for c in coded]
        return shifted(y_hat, _directions(latents, like, self.recipe.settings.direction), rho)

    def _exactly(self, coded: Coded) -> Tensor:
        """:meth:`moved` of one image in float64, where all machines agree."""
        latent = coded.latent
        y_hat = latent.hat.astype(np.float64)
        for codes, name in (
            (self._offsets, OFFSETS),
            (coded.step_codes, self.recipe.settings.direction),
        ):
            if any(codes):
                y_hat += np.array([decode_step(code) for code in codes]) @ latent.directions(name)
        return torch.from_numpy(y_hat).reshape(1, *latent.prior.shape)

    def _hats(self, latents: Sequence[Latent], like: Tensor) -> Tensor:
        """Main latents (B, M, h, w) before their images' shifts, at their offsets."""
        y_hat = _stack([latent.hat for latent in latents], latents[0], like)
        if not any(self._offsets):
            return y_hat
        rho = [[decode_step(code) for code in self._offsets]] * len(latents)
        return shifted(y_hat, _directions(latents, like, OFFSETS), rho)

    @property
    def trade(self) -> float:
        """Bits that a squared error of 1, summed over an image's samples, is worth."""
        return self._annealer.sensitivity.trade

    @property
    def offsets(self) -> tuple[int, ...]:
        """Step codes of the reconstruction offsets: of the direction ``split``, for all images."""
        return self._offsets

    @offsets.setter
    def offsets(self, codes: Sequence[int]) -> None:
        if len(codes) != DIRECTIONS[OFFSETS] or not all(0 <= code < 256 for code in codes):
            raise InputError(f"offsets are {DIRECTIONS[OFFSETS]} step codes, bytes, not {codes}")
        self._offsets = tuple(int(code) for code in codes)
        self._hash_tables()

    @property
    def _side_direction(self) -> str:
        name = self.recipe.settings.direction
        return name if DIRECTIONS[name] == 1 else "sign"

    def _draft(self, y_hat: Tensor) -> Tensor:
        """:meth:`_image` for the encoder's searches: differentiable, in low precision."""
        y_hat = y_hat.to(next(self.model.parameters()))
        with _low_precision(y_hat.device):
            y_hat = y_hat.contiguous(memory_format=torch.channels_last)
            return self._adapter.synthesis(y_hat).float()

    def _image(self, y_hat: Tensor) -> Tensor:
        """Images in [0, 1], padding included, of main latents."""
        return self._raw(y_hat).clamp(0, 1).contiguous()

    def _raw(self, y_hat: Tensor, exact: bool = False) -> Tensor:
        """With channels last, as above; ``exact`` computes as the model itself does."""
        y_hat = y_hat.to(next(self.model.parameters()).dtype)
        if not exact:
            y_hat = y_hat.contiguous(memory_format=torch.channels_last)
        return self._adapter.synthesis(y_hat).float()

    # -- tables ----------------------------------------------------------------------------------

    def update(self, *args: Any, force: bool = False, **kwargs: Any) -> bool:
        """Rebuild the tables from the weights, as CompressAI's ``update`` does; True if it did."""
        if force:
            self._build_tables()
        return force

    def _build_tables(self, dumped: Sequence[Ints | None] = _BUILD) -> None:
        """What is derived from the weights; tables as ``dumped``, where given."""
        self._adapter.forget()
        self._adapter.refresh()
        self._weights_hash = self._adapter.weights_digest()[:4]
        density, pmf = self._adapter.main_density, self.recipe.settings.pmf
        main_density = density.core if pmf == "paper" else density
        if self.recipe.settings.scales and isinstance(self._adapter, ChannelAdapter):
            main_density = RescaledDensity(main_density)
        self._main = LatentCoder(main_density, RULES[self.recipe.settings.quant], pmf, dumped[0])
        scales = self.recipe.settings.scales
        self._annealer = Annealer(self._adapter, self._main, self._draft, scales, self.recipe.lmbda)
        if isinstance(self._adapter, SideAdapter):
            side_density, scalar = self._adapter.side_density, RULES["int"]
            self._side = LatentCoder(side_density, scalar, dumped=dumped[1])
        self._hash_tables()

    def _hash_tables(self) -> None:
        digests = b"".join(coder.digest() for coder in self._coders)
        digests += bytes(self._offsets) if any(self._offsets) else b""
        self._table_hash = hashlib.sha256(digests).digest()[:4]

    @property
    def _coders(self) -> list[LatentCoder]:
        """The coder of each string."""
        side = [self._side] if isinstance(self._adapter, SideAdapter) else []
        return [self._main, *side]

    def get_extra_state(self) -> dict[str, Tensor]:
        """The tables, so that ``state_dict`` carries them bit for bit."""
        tables = {str(i): torch.from_numpy(c.dump()) for i, c in enumerate(self._coders)}
        return {**tables, "offsets": torch.tensor(self._offsets, dtype=torch.int32)}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Keeps the tables of a ``state_dict`` until all its weights are loaded, too."""
        self._loaded = [state[str(i)].cpu().numpy() for i in range(len(self._coders))]
        if "offsets" in state:
            self._offsets = tuple(state["offsets"].tolist())

    # -- checks ----------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """What the decoder must have in common with the encoder."""
        return self.recipe.settings

    @property
    def identity(self) -> Identity:
        """What a stream must have been written with."""
        return Identity(self.recipe.settings, self._weights_hash, self._table_hash)

    @property
    def string_count(self) -> int:
        """Strings per image: one for each latent."""
        return len(self._coders)

    def check_size(self, shape: Sequence[int]) -> tuple[int, int]:
        height, width = (int(side) for side in shape)
        if min(height, width) < 1 or height * width > self.max_pixels:
            raise BitstreamError(
                f"image size {width}x{height} is outside 1 … {self.max_pixels} pixels; "
                "raise codec.max_pixels if this is meant"
            )
        return height, width

    def check_strings(self, strings: Sequence[Sequence[bytes]]) -> None:
        counts = {len(per_image) for per_image in strings}
        if len(strings) != self.string_count or len(counts) != 1 or counts == {0}:
            raise BitstreamError(
                f"this codec writes {self.string_count} lists of strings, one string per image "
                f"each; got lists of {[len(per_image) for per_image in strings]}"
            )


def _after_load(codec: Codec, _incompatible: object) -> None:
    """Called by PyTorch: bring what is derived from the weights up to date, tables as they came."""
    codec._build_tables(codec._loaded)
    codec._loaded = _BUILD


def _read(path: str | os.PathLike[str]) -> bytes:
    with reading(path) as file:
        return file.read()


def check_images(x: Tensor) -> None:
    if not isinstance(x, Tensor) or x.dim() != 4 or x.shape[1] != 3 or not x.numel():
        what = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"expected images (B, 3, H, W), got {what}")
    if not x.is_floating_point():
        raise InputError(f"expected floating-point images in [0, 1], got {x.dtype}")
    low, high = (float(v) for v in x.aminmax())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):  # also where there is a NaN
        raise InputError(f"expected images in [0, 1], got values from {low:g} to {high:g}")


def _directions(latents: Sequence[Latent], like: Tensor, name: str) -> Tensor:
    """Where shifts may go, (B, K, M, h, w)."""
    rows = [row for latent in latents for row in latent.directions(name)]
    return _stack(rows, latents[0], like).unflatten(0, (len(latents), -1))


def _check_latent(y: Tensor) -> None:
    if not y.abs().max() < MAX_COORDINATE / 4:  # also where there is a NaN
        raise InputError("the latent is NaN, infinite or beyond 2^28: check input and weights")


def _low_precision(device: torch.device, wanted: bool = True) -> Any:
    """Half the bits for the networks' products, where the device is faster with them."""
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    fast = device.type == "cuda" or (device.type == "cpu" and has_bf16())
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted and fast)


def _rows(latents: Tensor) -> NDArray[np.float32]:
    return latents.float().cpu().numpy()


def _stack(rows: list[NDArray], latent: Latent, like: Tensor) -> Tensor:
    """Flattened latents of a batch as one float32 tensor (B, M, h, w) on the device of ``like``."""
    stacked = np.stack(rows).astype(np.float32).reshape(-1, *latent.prior.shape)
    return torch.from_numpy(stacked).to(like.device)
