"""The decoder of images: from strings to coded latents, and their pixels.

strings ─► z_hat ─► + rho_z * direction ─► walk ─► y_hat ─► synthesis ─► x_hat
"""

from collections.abc import Sequence

from numpy.typing import NDArray

from latentopt.codec.assembly import Assembly
from latentopt.latents import Coded


class Decoder:
    """Decodes images, with what a codec is made of; the mirror of :class:`Encoder`."""

    def __init__(self, assembly: Assembly):
        self._assembly = assembly

    def decode(self, strings: Sequence[bytes], size: tuple[int, int]) -> list[Coded]:
        """The latents of one image (H, W) from its strings, in the same order.

        Raises:
            BitstreamError: the strings are not those of such an image and this codec.
        """
        grid, coded = self._assembly.grid(size), list[Coded]()
        above = list[NDArray]()
        for depth, string in reversed(list(enumerate(strings))):
            walk = self._assembly.adapter.walk(above, grid)
            direction = self._assembly.direction(depth)
            filtered = depth == 0 and self._assembly.recipe.postfilter
            one = Coded.read(self._assembly.channels[depth], walk, string, direction, filtered)
            coded.insert(0, one)
            if depth:
                above.append(one.shifted(direction))
        return coded
