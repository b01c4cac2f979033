"""The encoder of images: from pixels to coded latents.

x ─► analysis ─► y ─► deeper ─► z ─► [search] ─► crosses ─► z_hat ─► + rho_z * direction
                 │                                              │
                 └──► plain, or candidates of a search ◄── walk ┘
                                   │
                                crosses ─► y_hat ─► search rho_y against x [─► filter of x_hat]
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentopt.adapters import Tiled
from latentopt.adapters.tiles import is_large
from latentopt.bitstream import DIRECTIONS, NO_SHIFT, decode_step
from latentopt.codec.assembly import Assembly
from latentopt.codec.synthesis import Synthesis, padded
from latentopt.encoder import (
    Aim,
    Draft,
    Effort,
    ShiftProblem,
    SideProblem,
    StepSearch,
    sending,
    side_search,
)
from latentopt.encoder.sensitivity import sensitivity_of
from latentopt.errors import InputError, UnsupportedModelError
from latentopt.latents import Coded, Crossed, Point, Walk
from latentopt.media.wiener import fit

_TOLERANCE = 1e-6
_LARGEST = 2.0**28  # of a latent


@dataclass(frozen=True)
class _Tried:
    """A main latent, and about what is decoded of it: an image (1, 3, H, W) in [0, 1]."""

    coded: Coded
    picture: Tensor


class Encoder:
    """Codes images, with what a codec is made of; mirrored by :class:`Decoder`."""

    def __init__(self, assembly: Assembly):
        self._assembly, self._adapter, self._recipe = assembly, assembly.adapter, assembly.recipe
        self._synthesis = Synthesis(assembly)
        self._sending = sending(
            assembly.adapter, assembly.channels[0], assembly.prices, assembly.recipe.lmbda
        )
        self._side_search = side_search(self._adapter, assembly.channels, self._recipe.effort)

    def encode(self, x: Tensor) -> dict[str, list[Coded]]:
        """For each latent by name, in the order of the strings, its coded form in each image.

        Raises:
            InputError: ``x`` is not images (B, 3, H, W) in [0, 1], or a latent is not finite.
        """
        check_images(x)
        x = x.to(self._assembly.device)
        targets = self.targets(x)
        aims = [Aim(y, image[None].float()) for y, image in zip(targets[0], x)]
        grid = self._assembly.grid((x.shape[-2], x.shape[-1]))
        each = [self._below(grid, *of_image) for of_image in zip(aims, *targets[1:])]
        below, walks = [coded for coded, _ in each], [walk for _, walk in each]
        aims = [self._given(aim, walk) for aim, walk in zip(aims, walks)]
        main = self._main(aims, walks, x)
        return dict(zip(self._assembly.names, [main, *map(list, zip(*below))]))

    def _given(self, aim: Aim, walk: Walk) -> Aim:
        """What the main latent is to describe, once those below it are known."""
        return replace(aim, y=self._adapter.target(aim.y, walk).astype(np.float32, copy=False))

    def filtered(self, main: Sequence[Coded], x: Tensor) -> list[Coded]:
        """Main latents of images with the filter of each image, where the codec sends such."""
        if not self._recipe.postfilter:
            return list(main)
        size = x.shape[-2:]
        pairs = zip(main, x.split(1))
        return [
            self._filtered(one, self._synthesis.pictures([one], size), own) for one, own in pairs
        ]

    def _filtered(self, main: Coded, decoded: Tensor, x: Tensor) -> Coded:
        return replace(main, postfilter=fit(decoded, x, self._trade))

    @property
    def _trade(self) -> float:
        return sensitivity_of(self._adapter, self._recipe.lmbda).trade

    def targets(self, x: Tensor) -> list[NDArray[np.float32]]:
        """The latents (B, M, h, w) of images, the main one first."""
        return [_rows(latent) for latent in self._latents(x)]

    def _latents(self, x: Tensor) -> list[Tensor]:
        """The latents of images, the main one first."""
        effort = self._recipe.effort
        whole = padded(x, self._adapter.stride).to(self._assembly.dtype)
        if effort is not None and effort.draft:
            y = Draft(self._adapter).analysis(whole)
        else:
            y = Tiled(self._adapter).analysis(whole).float()
        if not y.abs().max() < _LARGEST:  # also where there is a NaN
            raise InputError("the latent is NaN, infinite or beyond 2^28: check input and weights")
        return [y, *self._adapter.deeper(y.to(self._assembly.dtype))]

    # -- the latents below the main one ----------------------------------------------------------

    def _below(
        self, grid: tuple[int, int], aim: Aim, *targets: NDArray[np.float32]
    ) -> tuple[list[Coded], Walk]:
        """The latents of one image below the main one, the deepest last, and that one's walk."""
        coded, above, walk = list[Coded](), list[NDArray](), self._adapter.walk([], grid)
        for depth, target in reversed(list(enumerate(targets, 1))):
            _check_shape(walk, target)
            if depth == 1 and self._side_search:
                target = self._side_search.choose(aim, target)
            crossed = self._assembly.channels[depth].send(walk, Point(target.ravel()))
            if self._recipe.shift and depth == 1:
                name, y = self._assembly.direction(depth), aim.y.ravel()
                problem = SideProblem(self._adapter, above, grid, crossed, name, y)
                one, walk = self._side(aim, crossed, problem, self._recipe.shift)
                return [one, *coded], _check_shape(walk, aim.y)
            coded.insert(0, Coded(crossed, [NO_SHIFT]))
            above.append(crossed.hat)
            walk = self._adapter.walk(above, grid)
        return coded, _check_shape(walk, aim.y)

    def _side(
        self, aim: Aim, side: Crossed, problem: SideProblem, search: StepSearch
    ) -> tuple[Coded, Walk]:
        """The latent below the main one with the step that makes that one cheapest."""
        code, plain = search.side(problem), problem.walk(0.0)
        if code != NO_SHIFT:
            moved = problem.walk(decode_step(code))
            before, after = (
                self._sending.plain(self._given(aim, walk), walk).bits().sum()
                for walk in (plain, moved)
            )
            if after < before:
                return Coded(side, [code]), moved
        return Coded(side, [NO_SHIFT]), plain

    # -- the main latent -------------------------------------------------------------------------

    def _main(self, aims: Sequence[Aim], walks: Sequence[Walk], x: Tensor) -> list[Coded]:
        effort = self._recipe.effort
        if effort is None:
            plain = [self._sending.plain(aim, walk) for aim, walk in zip(aims, walks)]
            return self.filtered(self._shifted(plain, x), x)
        return [self._searched(aim, walk, effort) for aim, walk in zip(aims, walks)]

    def _searched(self, aim: Aim, walk: Walk, effort: Effort) -> Coded:
        """The main latent of one image with the least rate and distortion of several."""
        latents = self._sending.candidates(aim, walk, effort)
        coded = self._shifted(latents, aim.x.expand(len(latents), -1, -1, -1))
        if len(coded) == 1 and not self._recipe.postfilter:  # no picture tells anything
            return coded[0]
        tried = (_Tried(one, self._picture(one, aim)) for one in coded)
        best = next(tried) if len(coded) == 1 else min(tried, key=lambda one: self._cost(one, aim))
        if not self._recipe.postfilter:
            return best.coded
        return self._filtered(best.coded, best.picture, aim.x)

    def _picture(self, coded: Coded, aim: Aim) -> Tensor:
        """About what is decoded."""
        return Draft(self._adapter).picture(self._synthesis.moved([coded]), aim.x.shape[-2:])

    def _cost(self, tried: _Tried, aim: Aim) -> float:
        """Rate and distortion, in bits."""
        error = (tried.picture - aim.x).square().sum(dtype=torch.float64)
        return float(tried.coded.latent.bits().sum() + self._trade * float(error))

    def _shifted(self, latents: Sequence[Crossed], x: Tensor) -> list[Coded]:
        """Main latents of images ``x`` with the step codes of their shifts."""
        direction, search = self._recipe.direction, self._recipe.shift
        if search is None:
            return [Coded(latent, [NO_SHIFT] * DIRECTIONS[direction]) for latent in latents]
        together = 1 if is_large(x) else len(latents)
        coded = list[Coded]()
        for start in range(0, len(latents), together):
            some = latents[start : start + together]
            problem = self.shift_problem(some, x[start : start + together], direction)
            coded += [Coded(*pair) for pair in zip(some, search.main(problem))]
        return coded

    def shift_problem(self, latents: Sequence[Crossed], x: Tensor, direction: str) -> ShiftProblem:
        """What a search of step sizes solves for main latents of images ``x`` (B, 3, H, W)."""
        x = x.to(self._assembly.device, self._assembly.dtype)
        directions = self._synthesis.directions(latents, direction)
        draft = Draft(self._adapter)
        synthesis = draft if self._recipe.effort else self._synthesis.trial
        rows = latents[0].prior.shape[1]
        whole = padded(x, self._adapter.stride).shape[-2]
        pixels = whole // rows if self._adapter.local else 0
        return ShiftProblem(
            synthesis,
            self._synthesis.resting(latents),
            directions,
            x.float(),
            pixels,
            draft.tiles,
        )


def check_images(x: Tensor) -> None:
    """Raises InputError unless ``x`` is images (B, 3, H, W) in [0, 1]."""
    if not isinstance(x, Tensor) or x.dim() != 4 or x.shape[1] != 3 or not x.numel():
        what = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"expected images (B, 3, H, W), got {what}")
    if not x.is_floating_point():
        raise InputError(f"expected floating-point images in [0, 1], got {x.dtype}")
    low, high = (float(v) for v in x.aminmax())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):  # also where there is a NaN
        raise InputError(f"expected images in [0, 1], got values from {low:g} to {high:g}")


def _check_shape(walk: Walk, latent: NDArray) -> Walk:
    """The walk, if it is of such a latent (M, h, w): the decoder has but the walk to go by."""
    if latent.shape != walk.shape:
        raise UnsupportedModelError(
            f"the model's latent has the shape {latent.shape} where a decoder expects {walk.shape}:"
            " its adapter's `stride` is not that of its transforms"
        )
    return walk


def _rows(latents: Tensor) -> NDArray[np.float32]:
    return latents.float().cpu().numpy()
