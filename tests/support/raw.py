"""`raw`: the smallest channel. Each element crosses as a float32, 32 bits, no compression."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentopt import BitstreamError
from latentopt.bitstream import Settings
from latentopt.densities import Density, Floats
from latentopt.latents import Crossed, Point, Prior, Walk, take_across
from latentopt.pmf.tables import Ints


@dataclass(frozen=True)
class RawLatent(Crossed):
    """A latent that crossed as it is."""

    density: Density
    prior: Prior
    numbers: NDArray[np.float32]  # (n,) in the order of crossing
    places: NDArray[np.int64]  # (n,) of these numbers

    @property
    def residual(self) -> NDArray[np.floating]:
        residual = np.empty_like(self.prior.centres)
        residual[self.places] = self.numbers
        return residual

    def bits(self) -> Floats:
        return np.full(len(self.numbers), 32.0)

    def string(self) -> bytes:
        return self.numbers.astype("<f4").tobytes()


class RawChannel:
    """Sends float32 residuals, one after the other, in the order of the walk."""

    def __init__(self, density: Density, settings: Settings, dumped: Ints | None = None):
        self.density = density

    def send(self, walk: Walk, target: Point, /) -> RawLatent:
        def numbers(index: NDArray[np.int64], prior: Prior) -> NDArray[np.float32]:
            return prior.residual(target.values[index]).astype(np.float32)

        return self._cross(walk, numbers)

    def receive(self, walk: Walk, string: bytes, /) -> RawLatent:
        if len(string) != 4 * np.prod(walk.shape):
            raise BitstreamError(f"{len(string)} bytes are not a latent of {walk.shape}")
        sent = np.frombuffer(string, "<f4")
        if not np.isfinite(sent).all():
            raise BitstreamError("corrupt: a number is NaN or infinite")
        rest = iter(sent)

        def numbers(index: NDArray[np.int64], prior: Prior) -> NDArray[np.float32]:
            return np.fromiter(rest, np.float32, len(index))

        return self._cross(walk, numbers)

    def _cross(self, walk: Walk, numbers) -> RawLatent:
        crossed, places = [], []

        def residual_of(index, prior):
            crossed.append(numbers(index, prior))
            places.append(index)
            return crossed[-1]

        prior = take_across(walk, residual_of)
        return RawLatent(self.density, prior, np.concatenate(crossed), np.concatenate(places))

    def dump(self) -> Ints:
        return np.zeros(0, np.int32)

    def digest(self) -> bytes:
        return hashlib.sha256(b"raw").digest()
