"""Coding does not depend on the modes its caller is in."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


def plainly(function: Callable[P, T]) -> Callable[P, T]:
    """The function without gradients, and in the model's own precision inside of an autocast.

    An autocast would round the latents on one side, or both, and cost quality that nobody asked to
    give; whoever wants low precision converts the model.
    """

    @wraps(function)
    def plain(*args: P.args, **kwargs: P.kwargs) -> T:
        with (
            torch.no_grad(),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False),
        ):
            return function(*args, **kwargs)

    return plain
