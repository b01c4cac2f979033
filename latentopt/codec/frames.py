"""The loop of a video codec: frames coded one after the other, each predicted from the one before.

    key frame          x ─► image part ────────────────────────────────────────────────► x_hat
                                                                                           │
    predicted frame    x ─► motion part ──► prediction ─┬─► residual part ─► x_hat ◄───────┘
                            ▲                           │                      │    the frame before
                            └───────── x_hat of the frame before ◄─────────────┘

Encoder and decoder share one loop, :meth:`Frames._frame`, so that the encoder predicts from what
the decoder will have, shift included.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentopt.adapters import Reference
from latentopt.codec.assembly import Assembly
from latentopt.codec.decode import Decoder
from latentopt.codec.encode import Encoder, check_images
from latentopt.codec.plainly import plainly
from latentopt.codec.recipe import Recipe
from latentopt.codec.synthesis import Synthesis, finite
from latentopt.encoder import sensitivity_of
from latentopt.encoder.ahead import Frame
from latentopt.errors import BitstreamError, InputError
from latentopt.latents import Coded

KEY_PART = "image"

Strings = Mapping[str, Sequence[bytes]]
"""Of one frame of one clip: of each part, the strings of its latents."""


@dataclass(frozen=True)
class Frames:
    """Codes the frames of one clip, with what the parts of a codec are made of.

    Nothing of a clip is kept here: several may be coded at once.
    """

    parts: Mapping[str, Assembly]
    """In the order of coding, the key frame's first."""
    recipe: Recipe

    def encode(self, frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, Frame, Tensor]]:
        """Code frames (1, 3, H, W), one after the other.

        Yields each frame, its latents, and what the decoder will predict from: the reconstruction
        (1, 3, H, W), padded and not clipped.

        Raises:
            InputError: a frame is none, or of another size than the first.
        """
        reference, size = None, None
        for i, (x, after) in enumerate(_with_next(frames)):
            size = check_frame(x, size)
            if self._is_key(i):
                reference = None
            coded = self.encode_frame(x, reference)
            if self.recipe.ahead and after is not None and not self._is_key(i + 1):
                coded = self.recipe.ahead.choose(self, x, after, reference, coded)
            frame, reference = coded
            yield x, frame, reference.image

    def decode(self, frames: Iterable[Strings], size: tuple[int, int]) -> Iterator[Tensor]:
        """Reconstructions of a clip's frames (H, W), from their strings; as :meth:`encode`.

        Raises:
            BitstreamError: the strings are not those of such frames.
        """
        reference = None
        for strings in frames:
            if KEY_PART in strings:
                reference = None
            elif reference is None:
                raise BitstreamError("the first frame is not a key frame")
            reference = self.decode_frame(strings, size, reference)
            yield finite(reference.image)

    def _is_key(self, i: int) -> bool:
        return i == 0 or (self.recipe.gop is not None and i % self.recipe.gop == 0)

    # -- one frame ---------------------------------------------------------------------------------

    def encode_frame(self, x: Tensor, reference: Reference | None) -> tuple[Frame, Reference]:
        """Code one frame, a key frame where there is no ``reference``; its latents, and what the
        next one is predicted from.
        """

        def coded(name: str, assembly: Assembly) -> list[Coded]:
            return [latent for [latent] in Encoder(assembly).encode(x).values()]

        return self._frame(reference, coded)

    def decode_frame(
        self, strings: Strings, size: tuple[int, int], reference: Reference | None
    ) -> Reference:
        """One frame (H, W) as decoded; ``reference`` as :meth:`encode_frame` had it."""

        def coded(name: str, assembly: Assembly) -> list[Coded]:
            return Decoder(assembly).decode(strings[name], size)

        return self._frame(reference, coded)[1]

    def restate(self, frame: Frame, reference: Reference | None) -> tuple[Frame, Reference]:
        """The frame and its reconstruction again, for other step sizes of its last part."""
        return self._frame(reference, lambda name, assembly: frame[name])

    @plainly
    def _frame(
        self, reference: Reference | None, coded: Callable[[str, Assembly], list[Coded]]
    ) -> tuple[Frame, Reference]:
        """One frame on either side; ``coded`` gives a part's latents, given what is known."""
        frame: Frame = {}
        decoded: dict[str, Tensor] = {}
        for name in self.names(is_key=reference is None):
            assembly = self.parts[name]
            assembly.check_weights()
            if reference is not None:
                known = assembly.adapter.knowing(reference, decoded)
                assembly = replace(assembly, adapter=known)
            frame[name] = coded(name, assembly)
            synthesis = Synthesis(assembly)
            decoded[name] = synthesis.moved(frame[name][:1])
        made = synthesis.reference(decoded, name)
        return frame, made if reference is None else replace(made, age=reference.age + 1)

    def names(self, is_key: bool) -> list[str]:
        """The parts of a key frame, or of a predicted one, in the order of coding."""
        return [KEY_PART] if is_key else [name for name in self.parts if name != KEY_PART]

    @property
    def trade(self) -> float:
        """Bits that a squared error of 1, summed over a frame's samples, is worth."""
        *_, last = self.parts.values()
        return sensitivity_of(last.adapter, last.recipe.lmbda).trade


def pictures(images: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """Reconstructions as (B, 3, H, W) in [0, 1], without their padding."""
    whole = torch.cat(list(images)).float().clamp(0, 1)
    return whole[..., : size[0], : size[1]].contiguous()


def check_frame(x: Tensor, size: torch.Size | None) -> torch.Size:
    """A frame's shape; InputError unless it is (1, 3, H, W), and as large as those before."""
    check_images(x)
    if len(x) != 1 or (size is not None and x.shape != size):
        expected = tuple(size) if size is not None else "(1, 3, H, W)"
        raise InputError(f"expected a frame {expected}, got {tuple(x.shape)}")
    return x.shape


def _with_next(frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor | None]]:
    rest = iter(frames)
    x = next(rest, None)
    while x is not None:
        after = next(rest, None)
        yield x, after
        x = after
