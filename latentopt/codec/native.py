"""A codec that writes what the model's own decoder reads: only which points it takes is searched.

x ─► Encoder, with the prices of the model's own coder ─► y_hat, z_hat ─► own coder ─► strings
                                                            │                            │
                                                     the same? ◄──── own decoder ◄───────┘
                                                            │ no
                                                 strings of the model's own compress(x)
"""

import io
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from latentopt.adapters import Adapter
from latentopt.bitstream import Origin
from latentopt.bitstream.compressai_file import Body, Head, check_end
from latentopt.codec.assembly import Assembly
from latentopt.codec.encode import check_images
from latentopt.codec.explain import Explanation
from latentopt.codec.formats import NATIVE
from latentopt.codec.image import Codec, Compressed, Decompressed
from latentopt.codec.native_files import (
    Label,
    check_grid,
    check_label,
    framed,
    label_of,
    latent_pixels,
    readable,
    sure,
    unframed,
)
from latentopt.codec.own_coder import OwnCoder, renew_tables
from latentopt.codec.recipe import Recipe
from latentopt.codec.synthesis import Synthesis, finite
from latentopt.errors import InputError
from latentopt.latents import Coded

_SAME = 0.25
"""How far off a decoded latent may be: means differ by roundings, points by 1."""


class NativeCodec(Codec):
    """A wrapped codec whose strings are the model's own. Made by ``wrap(format="compressai")``.

    ``strings`` and ``shape`` are those of the model's ``compress``; a process that has never heard
    of latentopt decodes them with the model's ``decompress``. Images of any size are padded at the
    right and at the bottom to a multiple of the model's stride, and decoded with that padding, as
    the strings do not tell the size.
    """

    def __init__(self, adapter: Adapter, recipe: Recipe, origin: Origin | None = None):
        super().__init__(adapter, recipe, origin)
        self.label: Label | None = label_of(origin)
        """How CompressAI calls the model, which is all that its files say of one; None: they cannot
        be written. Whatever is done to the weights, such as ``half()``, it stays."""

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

        It is clipped to [0, 1], which that of CompressAI after 1.2.8 leaves to others.

        Raises:
            BitstreamError: there are no strings, or not as many of each latent.
        """
        self.check_strings(strings)
        pixels = latent_pixels(shape, self.downsampling_factor, self.max_pixels)
        safe = readable(strings, pixels)
        return {"x_hat": self._own.decompress(safe, shape)["x_hat"].clamp(0, 1)}

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
        head = sure(self.label).head((height, width)).to_bytes()
        out = self.compress(framed(x, self.downsampling_factor))
        return head + Body.of(out["strings"], out["shape"]).to_bytes()

    def load_bytes(self, data: bytes, maps: int | None = None) -> Tensor:
        """Decode the content of a file that :meth:`save` wrote, or CompressAI's own script.

        Raises:
            BitstreamError: it is none, or of another model than ``codec.label`` says.
            InputError: such files have no ``maps``.
        """
        if maps is not None:
            raise InputError(f"maps {maps}: files of format {NATIVE!r} are in one piece")
        file = io.BytesIO(data)
        head = Head.read(file)
        check_label(self.label, head)
        body = Body.read(file)
        check_end(file)
        size = self.check_size((head.height, head.width))
        check_grid(body, self.assembly.grid(size))
        x_hat = self.decompress(body.lists, body.shape)["x_hat"]
        return unframed(finite(x_hat), size)

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
