"""Where learned quantizers begin: principal components, shared out, and their clusters."""

from dataclasses import dataclass

import torch
from torch import Tensor

_STEPS = 60
"""Of bisection, for the water level."""
_ROUNDS = 8
"""Of Lloyd's algorithm, and as many with a price of rate."""
_POINTS = 4096
"""That are clustered, of more."""
_VARIES = 1e-6
"""Of the largest variance: what is below is rounding of float32."""


@dataclass(frozen=True)
class Components:
    """Uncorrelated directions of a latent of C channels, the one that varies most first."""

    mean: Tensor  # (C,) of latents
    forth: Tensor  # (K, C), a direction for each row
    back: Tensor  # (C, K), a direction for each column
    centre: Tensor  # (C,), what latents at the mean are restored to
    variance: Tensor  # (K,)

    def of(self, y: Tensor) -> Tensor:
        """Each position's (n, K) of latents (B, C, h, w), about the mean."""
        return (y.movedim(1, -1).flatten(0, -2) - self.mean) @ self.forth.T

    def varying(self) -> "Components":
        """Without those that do not vary, of which nothing could be learned."""
        kept = self.variance > _VARIES * self.variance.max()
        forth, back = self.forth[kept], self.back[:, kept]
        return Components(self.mean, forth, back, self.centre, self.variance[kept])


def components(y: Tensor, weight: Tensor | None = None) -> Components:
    """The directions of latents (B, C, h, w) in which errors count alike.

    Args:
        y: latents.
        weight: (C,) by which an error in each channel counts; None: all alike.
    """
    weight = y.new_ones(y.shape[1]) if weight is None else weight
    flat = y.movedim(1, -1).flatten(0, -2)
    mean = flat.mean(dim=0)
    covariance = ((flat - mean) * weight).T.cov().reshape(len(mean), -1)  # one channel: a scalar
    variance, basis = torch.linalg.eigh(covariance)
    variance, basis = variance.flip(0).clamp(min=0), basis.flip(1)
    return Components(mean, basis.T * weight, basis / weight[:, None], mean, variance)


def shared_bits(variance: Tensor, total: float, most: float) -> Tensor:
    """Bits (C,) of components by reverse water-filling: ``total``, and ``most`` in one at most.

    >>> shared_bits(torch.tensor([64.0, 4.0, 1.0]), total=4, most=3).round(decimals=3)
    tensor([3., 1., 0.])
    """
    logs = variance.clamp(min=1e-9 * float(variance.max()) + 1e-30).log2() / 2
    low, high = float(logs.min()) - most, float(logs.max())
    for _ in range(_STEPS):
        level = (low + high) / 2
        bits = (logs - level).clamp(0, most)
        low, high = (level, high) if float(bits.sum()) > total else (low, level)
    return bits


def shared_out(variance: Tensor, groups: int, most: float) -> Tensor:
    """The group (C,) of each component: neighbours that are worth ``most`` bits together.

    >>> shared_out(torch.tensor([64.0, 4.0, 4.0, 4.0]), groups=2, most=3)
    tensor([0, 1, 1, 1])
    """
    bits = shared_bits(variance, groups * most, most)
    middle = bits.cumsum(0) - bits / 2
    return (middle / bits.sum() * groups).floor().long().clamp(max=groups - 1)


def clusters(points: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Centres (count, d) of points (n, d), and what taking each costs (count,), squared distances.

    By Lloyd's algorithm, then with rare centres costing what a nat is worth where squared distances
    fall with rate as they do here (entropy-constrained, Chou, Lookabaugh and Gray 1989). The same
    for the same points.
    """
    generator = torch.Generator().manual_seed(0)
    points = points[torch.randperm(len(points), generator=generator)[:_POINTS]]
    centres = _apart(points, count, generator)
    cost = points.new_zeros(count)
    for number in range(2 * _ROUNDS):
        squared = torch.cdist(points, centres).square()
        nearest = (squared + cost).argmin(dim=1)
        sizes = torch.bincount(nearest, minlength=count)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        used = (sizes > 0)[:, None]
        centres = torch.where(used, sums / sizes[:, None].clamp(min=1), centres)
        if number >= _ROUNDS:
            error = squared.gather(1, nearest[:, None]).mean()
            cost = -2 / points.shape[1] * error * ((sizes + 0.5) / len(points)).log()
    return centres, cost


def _apart(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """So many of the points, drawn with odds as their squared distance to those drawn before."""
    drawn = [points[0]]
    squared = points.new_full((len(points),), torch.inf)
    for _ in range(count - 1):
        squared = squared.minimum((points - drawn[-1]).square().sum(dim=1))
        number = torch.multinomial(squared + 1e-30, 1, generator=generator)
        drawn.append(points[int(number)])
    return torch.stack(drawn)
