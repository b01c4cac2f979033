"""Step sizes: how far to move a decoded latent along a direction that the decoder knows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from latentopt.coding.steps import NO_SHIFT, decode_step, encode_step
from latentopt.encoder.side import SideProblem
from latentopt.errors import InputError


def shifted(y_hat: Tensor, direction: Tensor, rho: Iterable[float]) -> Tensor:
    """y_hat + rho * direction, with one rho per image of the batch."""
    step = torch.tensor(list(rho), dtype=y_hat.dtype, device=y_hat.device)
    return y_hat + step[:, None, None, None] * direction


@dataclass(frozen=True)
class ShiftProblem:
    """Choose a rho for each image so that synthesis(y_hat + rho * direction) is near x."""

    synthesis: Callable[[Tensor], Tensor]
    """A latent (B, M, h, w) to an image in [0, 1] of at least the size of ``x``."""
    y_hat: Tensor  # (B, M, h, w)
    direction: Tensor  # (B, M, h, w)
    x: Tensor  # (B, 3, H, W)
    pixels: int
    """Rows of the synthesized image per row of the latent."""

    def image(self, rho: Iterable[float]) -> Tensor:
        """The reconstruction with those step sizes; one decode."""
        image = self.synthesis(shifted(self.y_hat, self.direction, rho))
        return image[..., : self.x.shape[-2], : self.x.shape[-1]]

    def band(self, share: float) -> "ShiftProblem":
        """The same problem on the middle rows of the image, about this share of them."""
        rows = self.y_hat.shape[-2]
        first = int(rows * (1 - share) / 2)
        latent = slice(first, rows - first)
        image = slice(first * self.pixels, (rows - first) * self.pixels)
        return replace(
            self,
            y_hat=self.y_hat[..., latent, :],
            direction=self.direction[..., latent, :],
            x=self.x[..., image, :],
        )

    def distortion(self, image: Tensor) -> list[float]:
        """Mean squared error of each image."""
        return (image - self.x).square().mean(dim=(1, 2, 3), dtype=torch.float64).tolist()

    @cached_property
    def scale(self) -> list[float]:
        """For each image, the step that moves by a root mean square of 1 what moves at all."""
        energy = self.direction.double().square().sum(dim=(1, 2, 3))
        moving = (self.direction != 0).sum(dim=(1, 2, 3))
        rms = torch.sqrt(energy / moving.clamp(min=1))
        return [float(1 / r) if r > 0 else 0.0 for r in rms]


class StepSearch(ABC):
    """A way to find step sizes. Results are bytes: the quantized step is the one that is judged."""

    @abstractmethod
    def main(self, problem: ShiftProblem) -> list[int]:
        """Step code of each image; ``NO_SHIFT`` where nothing tried lowers the distortion."""

    @abstractmethod
    def side(self, problem: SideProblem) -> int:
        """Step code of the side latent that promises the lowest rate of the main latent.

        The codec measures what it promises, and keeps ``NO_SHIFT`` where the rate is not lower.
        """


@dataclass(frozen=True)
class Grid(StepSearch):
    """The paper's search: try each of eight candidates with a full decode, keep the best.

    Candidates are root mean squares of the move, in latent units: the paper does not list its own.
    """

    candidates: tuple[float, ...] = (-0.04, -0.01, 0.005, 0.01, 0.02, 0.04, 0.07, 0.12)

    def main(self, problem: ShiftProblem) -> list[int]:
        best = [NO_SHIFT] * len(problem.x)
        lowest = problem.distortion(problem.image(map(decode_step, best)))
        for candidate in self.candidates:
            codes = [encode_step(candidate * scale) for scale in problem.scale]
            found = problem.distortion(problem.image(map(decode_step, codes)))
            for i, code in enumerate(codes):
                if found[i] < lowest[i]:
                    best[i], lowest[i] = code, found[i]
        return best

    def side(self, problem: SideProblem) -> int:
        codes = [NO_SHIFT, *(encode_step(c * problem.scale) for c in self.candidates)]
        return min(codes, key=lambda code: problem.bits(decode_step(code)))


@dataclass(frozen=True)
class Secant(StepSearch):
    """Closed form: the distortion is nearly quadratic along the direction.

    With J g ~ (g_s(y_hat + eps g) - g_s(y_hat)) / eps, the minimum of |x - x_hat - rho J g|^2 is at
    rho* = <x - x_hat, J g> / |J g|^2. So one extra decode finds it; both are of the middle
    ``share`` of the image, for speed. Where the closed form promises next to nothing there is no
    shift, and where it extrapolates far beyond the probe, whole decodes must confirm it.
    """

    probe: float = 0.03  # root mean square of the move, in latent units
    share: float = 0.8  # of the image
    trust: float = 2.0  # in probes; beyond, confirm
    worthwhile: float = 2e-4  # of the distortion
    side_candidates: tuple[float, ...] = (-0.1, -0.03, 0.03, 0.1)
    side_worthwhile: float = 1e-3  # of the rate

    def main(self, problem: ShiftProblem) -> list[int]:
        band = problem.band(self.share)
        probes = [decode_step(encode_step(self.probe * scale)) for scale in problem.scale]
        plain = band.image([0.0] * len(probes))
        slopes, errors = band.image(probes) - plain, band.x - plain
        steps = [self._ratio(*pair) for pair in zip(errors, slopes)]
        codes = [encode_step(ratio * epsilon) for ratio, epsilon in zip(steps, probes)]
        if all(abs(ratio) <= self.trust for ratio in steps):
            return codes
        before = problem.distortion(problem.image([0.0] * len(codes)))
        after = problem.distortion(problem.image(map(decode_step, codes)))
        return [c if a < b else NO_SHIFT for c, a, b in zip(codes, after, before)]

    def _ratio(self, error: Tensor, slope: Tensor) -> float:
        """Multiple of ``slope`` nearest to ``error``; 0 where that takes next to nothing off it."""
        energy = float(slope.square().sum(dtype=torch.float64))
        along = float((error * slope).sum(dtype=torch.float64))
        total = float(error.square().sum(dtype=torch.float64))
        return along / energy if along**2 > self.worthwhile * total * energy else 0.0

    def side(self, problem: SideProblem) -> int:
        """The same idea for the rate: entropy parameters are nearly linear along the direction."""
        bits = problem.linearised_bits(self.probe * problem.scale)
        codes = [encode_step(c * problem.scale) for c in self.side_candidates]
        cost = {code: bits(decode_step(code)) for code in (NO_SHIFT, *codes)}
        best = min(cost, key=lambda code: cost[code])
        gain = cost[NO_SHIFT] - cost[best]
        return best if gain > self.side_worthwhile * cost[NO_SHIFT] else NO_SHIFT


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
