"""The wrapped image codec: what `wrap` returns, with the interface of CompressAI's codecs.

     compress   x ─► Encoder ─► coded latents ─► strings
     decompress      strings ─► Decoder ─► coded latents ─► Synthesis ─► x_hat

Each string starts with the step sizes of that latent's shift (0: none). The decoder runs the
encoder's chain from the strings down.
"""

import copy
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Self, TypedDict

import numpy as np
import torch
from torch import Tensor

from latentopt.adapters import Adapter
from latentopt.atomic import read_whole, write_whole
from latentopt.bitstream import Origin
from latentopt.bitstream.fields import version_of
from latentopt.codec import files
from latentopt.codec.assembled import Assembled
from latentopt.codec.assembly import Assembly
from latentopt.codec.decode import Decoder
from latentopt.codec.encode import Encoder
from latentopt.codec.explain import Explanation, explain
from latentopt.codec.plainly import plainly
from latentopt.codec.recipe import Recipe
from latentopt.codec.sampled import divergences, encoder_of
from latentopt.codec.seal import Seal
from latentopt.codec.synthesis import Synthesis, finite, padded
from latentopt.encoder import ShiftProblem, sensitivity_of
from latentopt.errors import BitstreamError, InputError
from latentopt.latents import Coded, Crossed
from latentopt.media import MAX_PIXELS
from latentopt.media.images import as_grey, as_rgb


class Compressed(TypedDict):
    """What ``compress`` returns."""

    strings: Sequence[list[bytes]]
    """Of each latent, the main one first, one for each image. A tuple, which models of CompressAI,
    whose decoders these strings are not for, refuse at once; of format ``compressai`` a list."""
    shape: torch.Size
    """The images' (H, W)."""


class Decompressed(TypedDict):
    """What ``decompress`` returns."""

    x_hat: Tensor
    """(B, 3, H, W) in [0, 1], of the model's type as CompressAI's are."""


class Output(Decompressed):
    """What ``forward`` returns."""

    likelihoods: dict[str, Tensor]
    """Of each latent, shaped like it."""


class Codec(Assembled):
    """A wrapped codec, with the interface of CompressAI's own. Made by :func:`latentopt.wrap`.

    Args:
        adapter: of the model.
        recipe: what to do with it.
        origin: where the model comes from, for the headers of files; None: they do not say.
    """

    def __init__(self, adapter: Adapter, recipe: Recipe, origin: Origin | None = None):
        super().__init__(adapter, recipe, origin)
        self.max_pixels = MAX_PIXELS

    def __repr__(self) -> str:
        name = self.origin or type(self.model).__qualname__
        version = version_of([self.settings], self.origin)
        return f"Codec({name}; {self.recipe.summary}; files of version {version})"

    # -- the three verbs of a CompressAI codec ---------------------------------------------------

    @plainly
    def forward(self, x: Tensor) -> Output:
        """Encode and decode without a bitstream.

        Args:
            x: images (B, 3, H, W) in [0, 1], of any size.

        Returns:
            ``x_hat`` (B, 3, H, W), the image that :meth:`decompress` gives, and ``likelihoods``, a
            dict of tensors shaped like each latent. A vector's probability is spread over its
            elements (each has the v-th root), and what is sent ahead of them over all, so that
            products and sums of logs are exact.
        """
        assembly = self.assembly
        latents = encoder_of(assembly).encode(x)
        x_hat = Synthesis(assembly).pictures(latents["y"], x.shape[-2:])
        x_hat = x_hat.to(assembly.dtype)
        return {"x_hat": x_hat, "likelihoods": self.likelihoods(list(zip(*latents.values())))}

    def likelihoods(self, images: Sequence[Sequence[Coded]]) -> dict[str, Tensor]:
        """Probabilities of images' coded latents, as :meth:`forward` returns them."""
        return {
            name: torch.stack([self._likelihood(c) for c in coded])
            for name, coded in zip(self.assembly.names, zip(*images))
        }

    def _likelihood(self, coded: Coded) -> Tensor:
        likelihood = np.exp2(-coded.bits()).astype(np.float32).reshape(coded.latent.prior.shape)
        return torch.from_numpy(likelihood).to(self._assembly.device)

    @plainly
    def compress(self, x: Tensor) -> Compressed:
        """Encode images.

        Args:
            x: images (B, 3, H, W) in [0, 1], of any size.

        Returns:
            ``strings``, a tuple of lists with one ``bytes`` per image (main latent, then side
            latent where there is one), and ``shape``, the images' (H, W).

        Raises:
            InputError: ``x`` is not such a batch or is beyond ``max_pixels``, or its latent is not
                finite.
        """
        self.check_pixels(x)
        strings = tuple([c.string for c in coded] for coded in self.encode(x).values())
        return {"strings": strings, "shape": torch.Size(x.shape[-2:])}

    @plainly
    def decompress(self, strings: Sequence[Sequence[bytes]], shape: Sequence[int]) -> Decompressed:
        """Decode what :meth:`compress` returned.

        Returns:
            ``x_hat`` (B, 3, H, W), clipped to [0, 1].

        Raises:
            BitstreamError: the strings are not those of such images and this codec.
        """
        size = self.check_size(shape)
        self.check_strings(strings)
        assembly = self.assembly
        return {"x_hat": self._decompress(assembly, strings, size).to(assembly.dtype)}

    def _decompress(
        self, assembly: Assembly, strings: Sequence[Sequence[bytes]], size: tuple[int, int]
    ) -> Tensor:
        coded = [Decoder(assembly).decode(image, size)[0] for image in zip(*strings)]
        return finite(Synthesis(assembly).pictures(coded, size))

    # -- what the verbs are made of --------------------------------------------------------------

    @plainly
    def encode(self, x: Tensor) -> dict[str, list[Coded]]:
        """For each latent by name, in the order of the strings, its coded form in each image."""
        return encoder_of(self.assembly).encode(x)

    @plainly
    def decode(self, strings: Sequence[bytes], size: tuple[int, int]) -> list[Coded]:
        """The latents of one image (H, W) from its strings, in the same order."""
        return Decoder(self.assembly).decode(strings, size)

    @plainly
    def divergences(self, x: Tensor) -> dict[str, list[float]]:
        """For each latent by name, KL[q | p] in bits of what is sent of each image.

        It is what samples would cost, were their coder perfect: NaN of a latent that is not
        sampled.
        """
        return divergences(self.assembly, x)

    def moved(self, coded: Sequence[Coded]) -> Tensor:
        """Main latents (B, M, h, w) as the synthesis gets them: with offsets and shifts."""
        return Synthesis(self.assembly).moved(coded)

    def reconstruct(self, y_hat: Tensor) -> Tensor:
        """What the model makes of main latents: images (B, 3, H, W), padded and not clipped.

        Differentiable, unless the codec must decode alike on all machines.
        """
        return Synthesis(self.assembly).image(y_hat)

    def padded(self, x: Tensor) -> Tensor:
        """Images as the model gets them: their edges repeated up to a multiple of its stride."""
        return padded(x, self.assembly.adapter.stride)

    def shift_problem(self, latents: Sequence[Crossed], x: Tensor, direction: str) -> ShiftProblem:
        """What a search of step sizes solves for main latents of images ``x`` (B, 3, H, W)."""
        return Encoder(self.assembly).shift_problem(latents, x, direction)

    @property
    def trade(self) -> float:
        """Bits that a squared error of 1, summed over an image's samples, is worth."""
        return sensitivity_of(self.assembly.adapter, self.recipe.lmbda).trade

    @property
    def lmbda(self) -> float:
        """Lambda of lambda * 255^2 * MSE + bits per pixel, which a search minimizes."""
        return self.recipe.lmbda or self.trade * 3 / 255**2

    def with_lmbda(self, lmbda: float) -> Self:
        """The same codec, model and tables shared, whose search minimizes with another lambda.

        A larger one spends more bytes on quality; files decode with either codec.

        Raises:
            InputError: lambda is not a positive number.
        """
        other = copy.copy(self)
        other._assembly = replace(self.assembly, recipe=self.recipe.but(lmbda=lmbda))
        return other

    # -- files -----------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], x: Tensor) -> int:
        """Compress one image (1, 3, H, W) to a file; returns its size in bytes.

        A grey one (1, 1, H, W) is coded as RGB, and marked in the file, which is loaded as grey.

        Raises:
            InputError: ``x`` is not one image, or the file cannot be written.
        """
        data = self.save_bytes(x)
        write_whole(path, data)
        return len(data)

    def save_bytes(self, x: Tensor) -> bytes:
        """:meth:`save` to a file's content.

        Raises:
            InputError: ``x`` is not one image, or is beyond ``max_pixels``.
        """
        if x.dim() != 4 or len(x) != 1:
            raise InputError(f"a file holds one image (1, 3, H, W), not {tuple(x.shape)}")
        self.check_pixels(x)
        return self.encode_file(x)[0]

    @plainly
    def encode_file(self, x: Tensor) -> tuple[bytes, Coded]:
        """The content of one image's file, as :meth:`save` takes it, and the main latent in it."""
        assembly = self.current(Seal.holds_to_the_bit)
        coded = list(encoder_of(assembly).encode(as_rgb(x)).values())
        assembly.check_weights()
        strings = [[c.string for c in each] for each in coded]
        data = files.pack(assembly.identity, x.shape[-2:], strings, is_grey=x.shape[1] == 1)
        return data, coded[0][0]

    def load(self, path: str | os.PathLike[str], maps: int | None = None) -> Tensor:
        """Decode a file that :meth:`save` wrote, to (1, 3, H, W), or (1, 1, H, W) of a grey image.

        Args:
            maps: of a progressive file, how many maps to decode, from the first on; None: all.

        Raises:
            MapError: of a progressive file, a map is damaged; its ``maps`` before that are whole.
            BitstreamError: the file is corrupt, or of another codec; the message says which.
            InputError: the file cannot be read.
        """
        return self.load_bytes(read_whole(path), maps)

    @plainly
    def load_bytes(self, data: bytes, maps: int | None = None) -> Tensor:
        """:meth:`load` for the file's content."""
        assembly = self.current(Seal.holds_to_the_bit)
        container = files.unpack(assembly.identity, data, self.string_count, maps)
        size = self.check_size((container.height, container.width))
        x_hat = self._decompress(assembly, [[string] for string in container.strings], size)
        return as_grey(x_hat) if container.is_grey else x_hat

    def explain(self, path: str | os.PathLike[str]) -> Explanation:
        """What the stream of a file that :meth:`save` wrote chose, and where its bits went.

        Raises:
            BitstreamError: the file is corrupt, or of another codec; the message says which.
            InputError: the file cannot be read.
        """
        return self.explain_bytes(read_whole(path))

    @plainly
    def explain_bytes(self, data: bytes) -> Explanation:
        """:meth:`explain` for the file's content."""
        container = files.unpack(self.identity, data, self.string_count)
        size = self.check_size((container.height, container.width))
        coded = self.decode(container.strings, size)
        return explain(container, len(data), self.assembly.adapter.stride, coded)

    # -- checks ----------------------------------------------------------------------------------

    def check_size(self, shape: Sequence[int]) -> tuple[int, int]:
        """The size (H, W) of an image to be decoded; BitstreamError beyond ``max_pixels``."""
        height, width = (int(side) for side in shape)
        if min(height, width) < 1 or height * width > self.max_pixels:
            raise BitstreamError(self._too_large(height, width))
        return height, width

    def check_pixels(self, x: Tensor) -> None:
        """Raises InputError for images (B, 3, H, W) that a decoder of this limit refuses."""
        if not isinstance(x, Tensor) or x.dim() != 4:
            return  # no images: others say so
        height, width = x.shape[-2:]
        if height * width > self.max_pixels:
            raise InputError(self._too_large(height, width))

    def _too_large(self, height: int, width: int) -> str:
        return (
            f"image size {width}x{height} is outside 1 … {self.max_pixels} pixels; "
            "raise codec.max_pixels if this is meant"
        )

    def check_strings(self, strings: Sequence[Sequence[bytes]]) -> None:
        """Raises BitstreamError unless there is a list for each latent, all equally long."""
        counts = {len(per_image) for per_image in strings}
        if len(strings) != self.string_count or len(counts) != 1 or counts == {0}:
            raise BitstreamError(
                f"this codec writes {self.string_count} lists of strings, one string per image "
                f"each; got lists of {[len(per_image) for per_image in strings]}"
            )
