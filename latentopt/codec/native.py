"""A codec that writes what the model's own decoder reads: only which points it takes is searched.

x ─► Encoder, with the prices of the model's own coder ─► y_hat, z_hat ─► own coder ─► strings
                                                            │                            │
                                                     the same? ◄──── own decoder ◄───────┘
                                                            │ no
                                                 strings of the model's own compress(x)
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from latentopt.bitstream.compressai_file import Body, Head, check_end
from latentopt.codec.assembly import Assembly
from latentopt.codec.encode import check_images
from latentopt.codec.explain import Explanation
from latentopt.codec.formats import NATIVE
from latentopt.codec.image import Codec, Compressed, Decompressed
from latentopt.codec.native_files import Label, check_label, framed, sure, unframed
from latentopt.codec.own_coder import OwnCoder, renew_tables
from latentopt.codec.synthesis import Synthesis
from latentopt.errors import BitstreamError, InputError
from latentopt.latents import Coded

_LEAST_STRING = 8  # bytes of an empty string's state
_SLACK = 4  # bytes for each pixel, more than latents have elements
_SAME = 0.25
"""How far off a decoded latent may be: means differ by roundings, points by 1."""


class NativeCodec(Codec):
    """A wrapped codec whose strings are the model's own. Made by ``wrap(format="compressai")``.

    ``strings`` and ``shape`` are those of the model's ``compress``; a process that has never heard
    of latentopt decodes them with the model's ``decompress``. Images of any size are padded at the
    right and at the bottom to a multiple of the model's stride, and decoded with that padding, as
    the strings do not tell the size.
    """

    label: Label | None = None
    """How CompressAI calls the model, unless :attr:`origin` says it."""

    def __repr__(self) -> str:
        name = self.origin or type(self.model).__qualname__
        return f"NativeCodec({name}; {self.recipe.summary}; format {NATIVE})"

    @property
    def downsampling_factor(self) -> int:
        """CompressAI's name of the stride."""
        return self.assembly.adapter.stride

    @property
    def _own(self) -> Any:
        """The model, whose methods have no static types."""
        return self.model

    @torch.no_grad()
    def compress(self, x: Tensor) -> Compressed:
        """Encode images (B, 3, H, W) in [0, 1], of any size.

        Returns:
            ``strings`` and ``shape`` as the model's own ``compress`` returns them.

        Raises:
            InputError: ``x`` is not such a batch, or its latent is not finite.
        """
        coder = OwnCoder(self.assembly.adapter)
        latents = stacked(self.assembly, list(self.encode(x).values()))
        out = coder.compress(latents)
        same = is_same(coder.decoded(out["strings"], out["shape"]), latents[0])
        strange = [i for i, same_image in enumerate(same) if not same_image]
        if strange:
            plain = self._own.compress(self.padded(x.to(self.assembly.device))[strange])
            for own, others in zip(out["strings"], plain["strings"]):
                for i, string in zip(strange, others):
                    own[i] = string
        return {"strings": out["strings"], "shape": out["shape"]}

    @torch.no_grad()
    def decompress(self, strings: Sequence[Sequence[bytes]], shape: Sequence[int]) -> Decompressed:
        """What the model's own ``decompress`` returns: ``x_hat`` (B, 3, H, W), padding included.

        Raises:
            BitstreamError: there are no strings, or not as many of each latent.
        """
        self.check_strings(strings)
        self._check_shape(shape)
        safe = [[self._readable(string, shape) for string in latent] for latent in strings]
        return {"x_hat": self._own.decompress(safe, shape)["x_hat"]}

    def _check_shape(self, shape: object) -> None:
        """Raises BitstreamError beyond ``max_pixels``; trees have shapes of other kinds."""
        if isinstance(shape, Mapping):
            return
        rows, columns = self._sides(shape)
        pixels = rows * columns * self.downsampling_factor**2
        if min(rows, columns) < 1 or pixels > self.max_pixels:
            raise BitstreamError(
                f"a latent of {columns}x{rows} is outside 1 … {self.max_pixels} pixels: it is "
                "corrupt, or raise codec.max_pixels"
            )

    @staticmethod
    def _sides(shape: object) -> tuple[int, int]:
        if not isinstance(shape, Sequence) or len(shape) != 2:
            raise BitstreamError(f"shape {shape!r} is not the height and width of a latent")
        return int(shape[0]), int(shape[1])

    def _readable(self, string: bytes, shape: object) -> bytes:
        """A string with zeros behind it: CompressAI's decoder reads past the end of corrupt ones.

        Raises:
            BitstreamError: it is shorter than what its encoder writes of nothing.
        """
        if len(string) < _LEAST_STRING or len(string) % 4:
            raise BitstreamError(
                f"truncated: a string of {len(string)} bytes is none of CompressAI's"
            )
        if isinstance(shape, Mapping):
            return string
        rows, columns = self._sides(shape)
        return string + bytes(_SLACK * rows * columns * self.downsampling_factor**2)

    # -- files, in the layout of CompressAI's examples/codec.py ------------------------------------

    def save_bytes(self, x: Tensor) -> bytes:
        """The content of the file of one image (1, 3, H, W).

        Raises:
            InputError: ``x`` is not one image, the layout has no room for the model, or its name
                is not known: say it (``codec.label``).
        """
        check_images(x)
        if len(x) != 1:
            raise InputError(f"a file holds one image (1, 3, H, W), not {tuple(x.shape)}")
        height, width = x.shape[-2:]
        head = sure(self.label, self.origin).head((height, width)).to_bytes()
        out = self.compress(framed(x, self.downsampling_factor))
        return head + Body.of(out["strings"], out["shape"]).to_bytes()

    def load_bytes(self, data: bytes) -> Tensor:
        """Decode the content of a file that :meth:`save` wrote, or CompressAI's own script.

        Raises:
            BitstreamError: it is none, or of another model than ``codec.label`` says.
        """
        file = io.BytesIO(data)
        head = Head.read(file)
        check_label(self.label, head)
        body = Body.read(file)
        check_end(file)
        size = self.check_size((head.height, head.width))
        if tuple(body.shape) != self.assembly.grid(size):
            raise BitstreamError(
                f"corrupt: latents of {tuple(body.shape)} are not of such an image"
            )
        strings = [[string] for string in body.strings]
        return unframed(self.decompress(strings, body.shape)["x_hat"], size)

    def explain_bytes(self, data: bytes) -> Explanation:
        """Nothing: such files hold no choices.

        Raises:
            InputError: always.
        """
        raise InputError(f"explain reads latentopt's own format, not {NATIVE!r}")

    # -- what this format has not ------------------------------------------------------------------

    def decode(self, strings: Sequence[bytes], size: tuple[int, int]) -> list[Coded]:
        """Nothing: the model's own decoder tells no more than pixels.

        Raises:
            InputError: always.
        """
        raise InputError(f"format {NATIVE!r} is decoded by the model itself: call decompress")

    @property
    def offsets(self) -> tuple[int, ...]:
        """None are set: the decoder knows nothing of them."""
        return self.assembly.offsets

    @offsets.setter
    def offsets(self, codes: Sequence[int]) -> None:
        if any(codes):
            raise InputError(f"offsets are not for format {NATIVE!r}: its decoder has none")

    # -- what is derived from the weights ----------------------------------------------------------

    def update(self, *args: object, force: bool = False, **kwargs: object) -> bool:
        """The model's own ``update``, and what follows from its tables."""
        if force:
            renew_tables(self.model)
        return super().update(*args, force=force, **kwargs)


def stacked(assembly: Assembly, coded: Sequence[Sequence[Coded]]) -> list[Tensor]:
    """Latents of a batch as the model has them, the main one (B, M, h, w) first."""
    synthesis, like = Synthesis(assembly), next(assembly.adapter.model.parameters())
    return [synthesis.resting([c.latent for c in images]).to(like) for images in coded]


def is_same(decoded: Tensor, y_hat: Tensor) -> list[bool]:
    """Of each image, whether a latent (B, M, h, w) was decoded to its points."""
    return [bool((a - b).abs().max() < _SAME) for a, b in zip(decoded, y_hat)]  # not where NaN
