"""Models assembled from ``compressai.latent_codecs``: the tree of codecs defines the order.

The lattice goes where the ``GaussianConditionalLatentCodec`` leaves are (and in the raster-scan
codec, which codes by itself). Everything above a leaf only decides what is coded when, and from
which entropy parameters; this module walks it as the codecs' own ``decompress`` methods do.

CompressAI lays a tree's root out in two ways, see :class:`Root`.
"""

from functools import singledispatch
from typing import Any

import numpy as np
import torch
from compressai.latent_codecs import (
    ChannelGroupsLatentCodec,
    CheckerboardLatentCodec,
    EntropyBottleneckLatentCodec,
    GaussianConditionalLatentCodec,
    HyperLatentCodec,
    HyperpriorLatentCodec,
    LatentCodec,
    RasterScanLatentCodec,
)
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters.base import Places, as_numpy, cpu_copy, derived, scale_table
from latentopt.adapters.context import ContextModel
from latentopt.adapters.overridden import refuse_overridden
from latentopt.adapters.side import Leaf, Parameters, Recorder, SideAdapter
from latentopt.densities import FactorizedDensity, GaussianDensity, ScaleDensity
from latentopt.errors import UnsupportedModelError


def is_tree(model: nn.Module) -> bool:
    """Whether a model is assembled from latent codecs."""
    return isinstance(getattr(model, "latent_codec", None), HyperpriorLatentCodec)


class Root(nn.Module):
    """The parts of a ``HyperpriorLatentCodec``, wherever its version of CompressAI keeps them.

    ::

        up to 1.2.8                      after it
        hyper: HyperLatentCodec,         h_a, h_s
        with h_a, h_s, bottleneck        z: EntropyBottleneckLatentCodec, with the bottleneck
        y: any codec                     y: any codec

    The names of its weights are those of 1.2.8, which files' hashes are of.
    """

    def __init__(self, codec: nn.Module):
        super().__init__()
        parts: Any = codec.latent_codec
        side = parts["hyper" if "hyper" in parts else "z"]
        if not isinstance(side, HyperLatentCodec | EntropyBottleneckLatentCodec):
            raise _unknown(side)
        networks: Any = side if isinstance(side, HyperLatentCodec) else codec
        self.y: nn.Module = parts["y"]
        self.hyper = nn.Module()
        self.hyper.entropy_bottleneck = side.entropy_bottleneck
        self.hyper.h_a, self.hyper.h_s = networks.h_a, networks.h_s


class TreeAdapter(SideAdapter):
    """A ``HyperpriorLatentCodec`` over any tree of the codecs that :func:`code` knows.

    Raises:
        UnsupportedModelError: the tree holds another kind of codec, or several scale tables.
    """

    def make_densities(self) -> tuple[ScaleDensity, FactorizedDensity]:
        root, codec = self._root, self.model.latent_codec
        refuse_overridden(codec, HyperpriorLatentCodec)
        for side in codec.children():
            if isinstance(side, HyperLatentCodec):
                refuse_overridden(side, HyperLatentCodec)
        for part in root.y.modules():
            if isinstance(part, LatentCodec) and not _is_known(type(part)):
                raise _unknown(part)
        density = FactorizedDensity(self._hyper.entropy_bottleneck)
        return GaussianDensity(scale_table(root.y)), density

    def refresh(self) -> None:
        super().refresh()
        # More than one leaf, each of which sees those before?
        self.contextual = not isinstance(self._root.y, GaussianConditionalLatentCodec)

    @property
    def _root(self) -> Root:
        return Root(self.model.latent_codec)

    @property
    def places(self) -> Places | None:
        """The codec's own dict of codecs is what its ``compress`` asks, where it has one."""
        codec = self.model.latent_codec
        if hasattr(codec, "h_a"):  # after CompressAI 1.2.8
            return Places(("g_a", "latent_codec.h_a"))
        within = "latent_codec.latent_codec" if hasattr(codec, "latent_codec") else "latent_codec"
        return Places(("g_a", f"{within}.hyper.h_a"))

    @property
    def _hyper(self) -> Any:
        return self._root.hyper

    def decoder_parts(self) -> list[nn.Module]:
        return [self._root, *self.synthesis_parts]

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self._hyper.h_a(y)

    @derived
    def _exact(self) -> nn.Module:
        """The tree that encoder and decoder walk."""
        return cpu_copy(self._root.y, self.dtype)

    @derived
    def _exact_h_s(self) -> nn.Module:
        return cpu_copy(self._hyper.h_s, self.dtype)

    def features(self, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        return self._run(self._exact_h_s, side, shape)

    def draft_features(self, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        return self._run(self._hyper.h_s, side, shape)

    @staticmethod
    def _run(h_s: nn.Module, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        z_hat = torch.from_numpy(side).reshape(1, *shape).to(next(h_s.parameters()))
        return as_numpy(h_s(z_hat)[0])

    def main_shape(self, features: NDArray) -> tuple[int, ...]:
        params = torch.from_numpy(features)[None].to(self.dtype)
        return (channels(self._exact, params), *features.shape[1:])

    def visit(self, features: NDArray, leaf: Leaf) -> None:
        self._visit(self._exact, torch.from_numpy(features), leaf)

    def estimate(self, features: NDArray, y: NDArray) -> Parameters:
        recorder = Recorder(y)
        given = torch.from_numpy(features).to(next(self.model.parameters()))
        self._visit(self._root.y, given, recorder)
        return recorder.parameters

    def _visit(self, codec: nn.Module, given: Tensor, leaf: Leaf) -> None:
        shape = (channels(codec, given[None]), *given.shape[1:])
        cells = torch.arange(int(np.prod(shape))).reshape(1, *shape)
        code(codec, given[None], cells, leaf)


@singledispatch
def channels(codec: nn.Module, params: Tensor) -> int:
    """Channels of the latent that a codec codes, given ``params`` (1, C, h, w)."""
    raise _unknown(codec)


@singledispatch
def code(codec: nn.Module, params: Tensor, cells: Tensor, leaf: Leaf) -> Tensor:
    """Code a latent (1, M, h, w) whose elements have the places ``cells``; returns it decoded."""
    raise _unknown(codec)


def _is_known(codec: Any) -> bool:
    """Whether :func:`code` does what a codec's own ``compress`` does: not if that is another."""
    family: Any = next((cls for cls in codec.__mro__ if cls in code.registry), object)
    return family is not object and all(
        getattr(codec, verb) is getattr(family, verb) for verb in ("compress", "decompress")
    )


def _unknown(codec: object) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"no adapter for the latent codec {type(codec).__qualname__}: supported are trees of "
        "HyperpriorLatentCodec, HyperLatentCodec, GaussianConditionalLatentCodec, "
        "CheckerboardLatentCodec, ChannelGroupsLatentCodec and RasterScanLatentCodec"
    )


# -- Gaussian conditional: a leaf ------------------------------------------------------------------


@code.register
def _(codec: GaussianConditionalLatentCodec, params: Tensor, cells: Tensor, leaf: Leaf) -> Tensor:
    scales, means = codec._chunk(codec.entropy_parameters(params))
    means = torch.zeros_like(scales) if means is None else means
    hat = leaf(cells.numpy().ravel(), _flat(scales), _flat(means))
    return torch.from_numpy(hat).to(params).reshape(cells.shape)


@channels.register
def _(codec: GaussianConditionalLatentCodec, params: Tensor) -> int:
    return codec.entropy_parameters(params).shape[1] // len(codec.chunks)


# -- checkerboard: anchors, then the others with the anchors around them ---------------------------


@code.register
def _(codec: CheckerboardLatentCodec, params: Tensor, cells: Tensor, leaf: Leaf) -> Tensor:
    halves = params.new_zeros(2, *cells.shape[:-1], cells.shape[-1] // 2)
    given, places = codec.unembed(params), codec.unembed(cells)
    for i in range(2):
        context = codec.unembed(codec.context_prediction(codec.embed(halves)))[i]
        if i == 0:
            context = torch.zeros_like(context)
        own = codec.entropy_parameters(codec.merge(context, given[i]))
        halves[i] = code(codec.latent_codec["y"], own, places[i], leaf)
    return codec.embed(halves)


@channels.register
def _(codec: CheckerboardLatentCodec, params: Tensor) -> int:
    return codec.context_prediction.in_channels


# -- channel groups: each given those before it ----------------------------------------------------


@code.register
def _(codec: ChannelGroupsLatentCodec, params: Tensor, cells: Tensor, leaf: Leaf) -> Tensor:
    decoded = params.new_zeros(cells.shape)
    groups = decoded.split(codec.groups, dim=1)
    for k, own_cells in enumerate(cells.split(codec.groups, dim=1)):
        own = codec._get_ctx_params(k, params, groups)
        groups[k].copy_(code(codec.latent_codec[f"y{k}"], own, own_cells, leaf))
    return decoded


@channels.register
def _(codec: ChannelGroupsLatentCodec, params: Tensor) -> int:
    return sum(codec.groups)


# -- raster scan: by wavefronts --------------------------------------------------------------------


@code.register
def _(codec: RasterScanLatentCodec, params: Tensor, cells: Tensor, leaf: Leaf) -> Tensor:
    model = ContextModel(codec.context_prediction, codec.entropy_parameters)
    decoded = model.walk(as_numpy(params[0]), cells[0].numpy(), leaf)
    return torch.from_numpy(decoded)[None].to(params)


@channels.register
def _(codec: RasterScanLatentCodec, params: Tensor) -> int:
    return codec.context_prediction.in_channels


def _flat(x: Tensor) -> NDArray:
    return as_numpy(x).ravel()
