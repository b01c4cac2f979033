"""A codec that writes what the model's own decoder reads: only which points it takes is searched.

x ─► Encoder, with the prices of the model's own coder ─► y_hat, z_hat ─► own coder ─► strings
                                                            │                            │
                                                     the same? ◄──── own decoder ◄───────┘
                                                            │ no
                                                 strings of the model's own compress(x)
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from latentopt.adapters import Adapter
from latentopt.codec.image import Codec, Compressed, Decompressed
from latentopt.codec.own_coder import OwnCoder
from latentopt.codec.recipe import Recipe
from latentopt.codec.synthesis import Synthesis
from latentopt.errors import BitstreamError
from latentopt.latents import Coded

_SAME = 0.25
"""How far off a decoded latent may be: means differ by roundings, points by 1."""


class NativeCodec(Codec):
    """A wrapped codec whose strings are the model's own. Made by ``wrap(format="compressai")``.

    ``strings`` and ``shape`` are those of the model's ``compress``; a process that has never heard
    of latentopt decodes them with the model's ``decompress``. Images of any size are padded at the
    right and at the bottom to a multiple of the model's stride, and decoded with that padding, as
    the strings do not tell the size.

    Raises:
        UnsupportedModelError: the model's own coder cannot be run on chosen latents.
    """

    def __init__(self, adapter: Adapter, recipe: Recipe):
        super().__init__(adapter, recipe)
        OwnCoder(adapter)  # refuse now what cannot be coded

    @torch.no_grad()
    def compress(self, x: Tensor) -> Compressed:
        """Encode images (B, 3, H, W) in [0, 1], of any size.

        Returns:
            ``strings`` and ``shape`` as the model's own ``compress`` returns them.

        Raises:
            InputError: ``x`` is not such a batch, or its latent is not finite.
        """
        coder = OwnCoder(self.assembly.adapter)
        latents = self.stacked(list(self.encode(x).values()))
        out = coder.compress(latents)
        off = (coder.decoded(out["strings"], out["shape"]) - latents[0]).abs().amax(dim=(1, 2, 3))
        strange = [i for i, worst in enumerate(off.tolist()) if not worst < _SAME]  # NaN, too
        if strange:
            plain = self.model.compress(self.padded(x.to(self.assembly.device))[strange])
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
        counts = {len(per_image) for per_image in strings}
        if len(counts) != 1 or counts == {0}:
            raise BitstreamError(f"expected as many strings of each latent, got {sorted(counts)}")
        return {"x_hat": self.model.decompress(strings, shape)["x_hat"]}

    def stacked(self, coded: Sequence[Sequence[Coded]]) -> list[Tensor]:
        """Latents of a batch as the model has them, the main one (B, M, h, w) first."""
        synthesis, like = Synthesis(self.assembly), next(self.model.parameters())
        return [synthesis.resting([c.latent for c in images]).to(like) for images in coded]

    def update(self, *args: object, force: bool = False, **kwargs: object) -> bool:
        """The model's own ``update``, and what follows from its tables."""
        if force:
            self.model.update(force=True)
        return super().update(*args, force=force, **kwargs)
