"""Step sizes: how far to move a decoded latent along directions that the decoder knows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentopt.adapters.tiles import WHOLE, Tile
from latentopt.bitstream.steps import NO_SHIFT, decode_step, encode_step
from latentopt.encoder.side import SideProblem
from latentopt.errors import InputError

Steps = Sequence[Sequence[float]]
Codes = list[list[int]]
"""For each image of a batch, a number for each of its directions."""


def shifted(y_hat: Tensor, directions: Tensor, rho: Steps) -> Tensor:
    """y_hat (B, M, h, w) plus the ``directions`` (B, K, M, h, w) times rho (B, K)."""
    steps = torch.tensor(rho, dtype=y_hat.dtype, device=y_hat.device)
    return y_hat + torch.einsum("bk,bkmhw->bmhw", steps, directions)


@dataclass(frozen=True)
class ShiftProblem:
    """Choose rho for each image so that synthesis(y_hat + sum_k rho_k direction_k) is near x."""

    synthesis: Callable[[Tensor], Tensor]
    """A latent (B, M, h, w) to an image in [0, 1] of at least the size of ``x``."""
    y_hat: Tensor  # (B, M, h, w)
    directions: Tensor  # (B, K, M, h, w)
    x: Tensor  # (B, 3, H, W)
    pixels: int
    """Rows of the synthesized image per row of the latent; 0 if rows cannot be cut out."""
    tiles: Callable[[Tensor], Iterable[Tile]] = lambda y_hat: [WHOLE]
    """Parts of a latent (B, M, h, w) to synthesize one after the other."""

    @property
    def nothing(self) -> Codes:
        """No shift at all."""
        batch, count = self.directions.shape[:2]
        return [[NO_SHIFT] * count for _ in range(batch)]

    def image(self, codes: Codes, tile: Tile = WHOLE) -> Tensor:
        """The core of a tile of the reconstruction with those step sizes; one decode of it."""
        part, x = (..., *tile.taken), self.original(tile)
        rho = [[decode_step(code) for code in row] for row in codes]
        image = self.synthesis(shifted(self.y_hat[part], self.directions[part], rho))
        return image[(..., *tile.within)][..., : x.shape[-2], : x.shape[-1]]

    def original(self, tile: Tile) -> Tensor:
        """What the core of a tile should be."""
        return self.x[(..., *tile.core)]

    def band(self, share: float) -> "ShiftProblem":
        """The same problem on the middle rows of the image, about this share of them."""
        if not self.pixels:
            return self
        rows = self.y_hat.shape[-2]
        first = int(rows * (1 - share) / 2)
        latent = slice(first, rows - first)
        image = slice(first * self.pixels, (rows - first) * self.pixels)
        return replace(
            self,
            y_hat=self.y_hat[..., latent, :],
            directions=self.directions[..., latent, :],
            x=self.x[..., image, :],
        )

    def distortion(self, codes: Codes) -> list[float]:
        """Mean squared error of each image with those step sizes; one decode."""
        errors = torch.stack([self._error(codes, tile) for tile in self.tiles(self.y_hat)])
        return (errors.sum(dim=0) / self.x[0].numel()).tolist()

    def _error(self, codes: Codes, tile: Tile) -> Tensor:
        """(B,) squared error of a tile's core."""
        error = self.image(codes, tile) - self.original(tile)
        return error.square().sum(dim=(1, 2, 3), dtype=torch.float64)

    @cached_property
    def scale(self) -> list[list[float]]:
        """The steps that move by a root mean square of 1 what moves at all."""
        return [[_unit_step(direction) for direction in row] for row in self.directions]


def _unit_step(direction: Tensor) -> float:
    """What makes a direction (M, h, w) one of root mean square 1, where it is not 0."""
    moving = max(int(direction.count_nonzero()), 1)
    rms = (float(direction.double().square().sum()) / moving) ** 0.5
    return 1 / rms if rms > 0 else 0.0


@dataclass(frozen=True)
class Fit:
    """Least squares: the sum of slopes, each times a step, that is nearest to an error."""

    gram: NDArray[np.float64]  # (K, K)
    along: NDArray[np.float64]  # (K,)
    energy: float
    """Squared error where all steps are 0."""

    @staticmethod
    def of(error: Tensor, slopes: list[Tensor], probes: Sequence[int]) -> "Fit":
        """Of the changes ``slopes`` that steps with the codes ``probes`` make."""
        rows = torch.stack([slope.flatten() for slope in slopes])
        sizes = np.array([decode_step(code) for code in probes])
        inverse = np.array([1 / size if size else 0.0 for size in sizes])
        gram: NDArray[np.float64] = (rows @ rows.T).double().cpu().numpy()
        gram = gram * np.outer(inverse, inverse)
        along: NDArray[np.float64] = (rows @ error.flatten()).double().cpu().numpy()
        along = along * inverse
        return Fit(gram, along, float(error.square().sum(dtype=torch.float64)))

    def __add__(self, other: "Fit") -> "Fit":
        """One set of steps for two images."""
        return Fit(self.gram + other.gram, self.along + other.along, self.energy + other.energy)

    def steps(self, worthwhile: float) -> NDArray[np.float64]:
        """(K,) steps; 0 for those that take less than this share off the squared error."""
        used = np.flatnonzero(np.diag(self.gram) > 0)
        steps = np.zeros(len(self.along))
        while len(used):
            inverse = np.linalg.pinv(self.gram[np.ix_(used, used)], hermitian=True)
            solution = inverse @ self.along[used]
            gains = np.square(solution) / np.maximum(np.diag(inverse), 1e-300)
            if gains.min() > worthwhile * self.energy:
                steps[used] = solution
                break
            used = np.delete(used, gains.argmin())
        return steps


class StepSearch(ABC):
    """A way to find step sizes. Results are bytes: the quantized step is the one that is judged."""

    @abstractmethod
    def main(self, problem: ShiftProblem) -> Codes:
        """Step codes of each image; ``NO_SHIFT`` where nothing tried lowers the distortion."""

    @abstractmethod
    def side(self, problem: SideProblem) -> int:
        """Step code of the side latent that promises the lowest rate of the main latent.

        The codec measures what it promises, and keeps ``NO_SHIFT`` where the rate is not lower.
        """


@dataclass(frozen=True)
class Grid(StepSearch):
    """The paper's search: try each of eight candidates with a full decode, keep the best.

    Candidates are root mean squares of the move, in latent units: the paper does not list its own.
    Several directions are searched one after the other.
    """

    candidates: tuple[float, ...] = (-0.04, -0.01, 0.005, 0.01, 0.02, 0.04, 0.07, 0.12)

    def main(self, problem: ShiftProblem) -> Codes:
        best = problem.nothing
        lowest = problem.distortion(best)
        for k in range(problem.directions.shape[1]):
            before = [list(row) for row in best]
            for candidate in self.candidates:
                codes = [
                    [*row[:k], encode_step(candidate * scale[k]), *row[k + 1 :]]
                    for row, scale in zip(before, problem.scale)
                ]
                found = problem.distortion(codes)
                for i, row in enumerate(codes):
                    if found[i] < lowest[i]:
                        best[i], lowest[i] = row, found[i]
        return best

    def side(self, problem: SideProblem) -> int:
        codes = [NO_SHIFT, *(encode_step(c * problem.scale) for c in self.candidates)]
        return min(codes, key=lambda code: problem.bits(decode_step(code)))


@dataclass(frozen=True)
class Secant(StepSearch):
    """Closed form: the distortion is nearly quadratic along the directions.

    With J g_k ~ (g_s(y_hat + eps g_k) - g_s(y_hat)) / eps, the minimum of
    |x - x_hat - sum_k rho_k J g_k|^2 solves K linear equations. So K extra decodes find it; all are
    of the middle ``share`` of the image, for speed. A direction for which the closed form promises
    next to nothing is left out, and where it extrapolates far beyond the probes, whole decodes
    must confirm it.
    """

    probe: float = 0.03  # root mean square of the move, in latent units
    share: float = 0.8  # of the image
    trust: float = 2.0  # in probes; beyond, confirm
    worthwhile: float = 2e-4  # of the distortion
    side_candidates: tuple[float, ...] = (-0.1, -0.03, 0.03, 0.1)
    side_worthwhile: float = 1e-3  # of the rate

    def main(self, problem: ShiftProblem) -> Codes:
        nothing = problem.nothing
        found = [fit.steps(self.worthwhile) for fit in self.fits(problem)]
        codes = [[encode_step(step) for step in steps] for steps in found]
        reach = self.trust * self.probe * np.array(problem.scale)
        if (np.abs(found) <= reach).all():
            return codes
        before, after = problem.distortion(nothing), problem.distortion(codes)
        return [c if a < b else z for c, a, b, z in zip(codes, after, before, nothing)]

    def fits(self, problem: ShiftProblem) -> list["Fit"]:
        """The linear equations of each image; one decode, and one for each direction."""
        band = problem.band(self.share)
        probes = [[encode_step(self.probe * s) for s in scale] for scale in problem.scale]
        of_tiles = [_fits(band, tile, probes) for tile in band.tiles(band.y_hat)]
        return [reduce(add, fits) for fits in zip(*of_tiles)]

    def side(self, problem: SideProblem) -> int:
        """The same idea for the rate: entropy parameters are nearly linear along the direction."""
        bits = problem.linearised_bits(self.probe * problem.scale)
        codes = [encode_step(c * problem.scale) for c in self.side_candidates]
        cost = {code: bits(decode_step(code)) for code in (NO_SHIFT, *codes)}
        best = min(cost, key=lambda code: cost[code])
        gain = cost[NO_SHIFT] - cost[best]
        return best if gain > self.side_worthwhile * cost[NO_SHIFT] else NO_SHIFT


def _fits(problem: ShiftProblem, tile: Tile, probes: Codes) -> list[Fit]:
    """The linear equations of one tile of each image."""
    nothing = problem.nothing
    plain = problem.image(nothing, tile)
    slopes = []
    for k in range(problem.directions.shape[1]):
        alone = [[*z[:k], row[k], *z[k + 1 :]] for z, row in zip(nothing, probes)]
        slopes.append(problem.image(alone, tile) - plain)
    errors = problem.original(tile) - plain
    return [
        Fit.of(error, [slope[i] for slope in slopes], probes[i]) for i, error in enumerate(errors)
    ]


SEARCHES: dict[str, StepSearch] = {"secant": Secant(), "grid": Grid()}


def get_search(name: str) -> StepSearch:
    """The search of that name.

    Raises:
        InputError: no such search; the message lists the names.
    """
    try:
        return SEARCHES[name]
    except KeyError:
        raise InputError(f"unknown shift search {name!r}: choose {', '.join(SEARCHES)}") from None
