"""A small model of every family of codecs, image and video, by name."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import latentopt
from latentopt.adapters import adapter_class
from latentopt.adapters.dcvc_net import video
from support.dcvc_models import DualPrior, FourPart, Predicted, lively
from support.models import FAMILIES, tiny, tiny_flow
from support.once import made_once
from support.trees import Inverting
from support.trees import lively as lively_tree

IMAGE_MODELS: dict[str, Callable[[int], nn.Module]] = {
    **{name: lambda seed, family=family: tiny(family, seed) for name, family in FAMILIES.items()},
    "checkerboard": lambda seed: checkerboard(seed),
    "invcompress": lambda seed: inverting(seed),
    "dcvc-hem": lambda seed: lively(DualPrior, seed),
    "dcvc-dc": lambda seed: lively(FourPart, seed),
}


def checkerboard(seed: int) -> nn.Module:
    """A tree of latent codecs."""
    model: Any = lively_tree("checkerboard")
    for name, parameter in model.named_parameters():
        if name.startswith(("g_a", "g_s")) and name.endswith("bias"):
            parameter.data += 0.1 * seed
    return model


@made_once
def inverting(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Inverting().eval()
    model.update()
    return model


def flow_codec(seed: int = 0, **words: Any) -> latentopt.VideoCodec:
    return latentopt.wrap(tiny_flow(seed), "oct", True, **words)


def dcvc_codec(seed: int = 0, **words: Any) -> latentopt.VideoCodec:
    key = lively(DualPrior)
    make = video(key, adapter_class(key))
    return latentopt.wrap(lively(Predicted, seed), "oct", True, adapter=make, **words)


VIDEO_CODECS: dict[str, Callable[..., latentopt.VideoCodec]] = {
    "ssf": flow_codec,
    "dcvc": dcvc_codec,
}
