"""Views of models whose transforms compute nearly the same in less time: on CPUs, in float32, or in
bfloat16 where autocast asks for it.

For searches and for pictures, which decide no bit: sums are in another order, which changes last
digits, and gradients are by the input only. What PyTorch loses with convolutions and divisive
normalization is passes over memory, and new memory for each: here a layer writes over what the one
before it made, a few pixels at a time.
"""

import copy
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from compressai.layers import GDN
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

_PIXELS = 2048  # that are normalized at a time: they stay within a processor's cache
_LOW = torch.bfloat16
_FEW = 4  # channels of an output, too few for PyTorch to be quick with


def quick(module: nn.Module) -> nn.Module:
    """A view of a module with quicker transforms; itself where it has none. It shares weights."""
    if type(module) is nn.Sequential and not _is_hooked(module) and (layers := _chained(module)):
        return Chain(layers)
    if isinstance(module, torch.jit.ScriptModule):
        return module
    children = {name: quick(child) for name, child in module.named_children()}
    if all(child is getattr(module, name) for name, child in children.items()):
        return module
    view: Any = copy.copy(module)
    view._modules = {**module._modules, **children}
    found: nn.Module = view
    return found


Kept = torch.Size | tuple[Tensor, Tensor] | None
"""What gradients of a layer need: its input's shape, what it made and by which factors, or none."""


class Layer(Protocol):
    """A layer of a :class:`Chain`."""

    def run(self, x: Tensor, keep: bool) -> tuple[Tensor, Kept]:
        """What it makes of ``x``, which it may write over, and what :meth:`pull` needs of that."""

    def pull(self, gradient: Tensor, kept: Kept) -> Tensor:
        """By what went in, given that by what came out, which it may write over."""


class Chain(nn.Module):
    """Convolutions, and normalizations between them: one function for autograd.

    In low precision under autocast; but what the last layer makes would lose most by it, and is
    spared where there is no gradient to take.
    """

    def __init__(self, layers: Sequence[Layer]):
        super().__init__()
        self._layers, self._low = layers, [_lowered(layer) for layer in layers]

    def forward(self, x: Tensor) -> Tensor:
        if not _is_autocast(x.device.type):
            return _run(x, self._layers)
        with torch.autocast(x.device.type, enabled=False):
            low = x.to(_LOW)
            if x.requires_grad and torch.is_grad_enabled():
                return _run(low, self._low)
            return _run(_run(low, self._low[:-1]).float(), self._layers[-1:])


def _run(x: Tensor, layers: Sequence[Layer]) -> Tensor:
    out: Tensor = _Chained.apply(x, layers)
    return out


def _is_autocast(device: str) -> bool:
    try:
        return torch.is_autocast_enabled(device)
    except TypeError:  # PyTorch before 2.4, which asks for no device
        return torch.is_autocast_cpu_enabled()


def _lowered(layer: Layer) -> Layer:
    """A layer with weights in low precision."""
    twin = copy.copy(layer)
    own = vars(layer).items()
    vars(twin).update({name: it.to(_LOW) for name, it in own if isinstance(it, Tensor)})
    return twin


class _Chained(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: Sequence[Layer]) -> Tensor:
        ctx.each, keep = [], ctx.needs_input_grad[0]
        for layer in layers:
            x, kept = layer.run(x, keep)
            if keep:
                ctx.each.append((layer, kept))
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        for layer, kept in reversed(ctx.each):
            gradient = layer.pull(gradient, kept)
        return gradient, None


def _chained(module: nn.Sequential) -> list[Layer]:
    """The layers of a chain; none where one is not known, or a normalization is not between two
    convolutions, as it would write over what is not the chain's, or is kept for gradients."""
    layers = [None if any(map(_is_hooked, own.modules())) else _layer(own) for own in module]
    known = [layer for layer in layers if layer is not None]
    if len(known) < len(layers):
        return []
    normal = [isinstance(layer, Normalization) for layer in known]
    alone = not any(before and after for before, after in pairwise([True, *normal, True]))
    return known if alone else []


def _is_hooked(module: nn.Module) -> bool:
    """Whether somebody has a say in what it does, or wants to see it."""
    is_replaced = "forward" in vars(module)
    return bool(module._forward_hooks or module._forward_pre_hooks or is_replaced)


def _layer(module: nn.Module) -> Layer | None:
    if type(module) is GDN:
        return Normalization(module)
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d) or module.padding_mode != "zeros":
        return None
    if type(module) is nn.Conv2d and not isinstance(module.padding, str):
        return Convolution(module)
    if type(module) is nn.ConvTranspose2d:
        return Doubling(module) if _doubles(module) else Transposed(module)
    return None


# -- convolutions: they write into new memory ------------------------------------------------------


class Convolution:
    """PyTorch's ``Conv2d``."""

    def __init__(self, layer: nn.Conv2d):
        self._weight, self._bias = _constants(layer)
        self._sizes: Any = layer.stride, layer.padding, layer.dilation, layer.groups

    def run(self, x: Tensor, keep: bool) -> tuple[Tensor, Kept]:
        return F.conv2d(x, self._weight, self._bias, *self._sizes), x.shape

    def pull(self, gradient: Tensor, kept: Kept) -> Tensor:
        return conv2d_input(cast(torch.Size, kept), self._weight, gradient, *self._sizes)


class Transposed:
    """PyTorch's ``ConvTranspose2d``, whose gradient is a convolution."""

    def __init__(self, layer: nn.ConvTranspose2d):
        self._weight, self._bias = _constants(layer)
        self._sizes: Any = layer.stride, layer.padding, layer.dilation, layer.groups
        self._beyond = layer.output_padding

    def run(self, x: Tensor, keep: bool) -> tuple[Tensor, Kept]:
        stride, padding, dilation, groups = self._sizes
        sizes = stride, padding, self._beyond, groups, dilation
        return F.conv_transpose2d(x, self._weight, self._bias, *sizes), None

    def pull(self, gradient: Tensor, kept: Kept) -> Tensor:
        return F.conv2d(gradient, self._weight, None, *self._sizes)


class Doubling(Transposed):
    """CompressAI's ``deconv`` of few outputs, as a convolution of 3 x 3 with an output a phase."""

    def run(self, x: Tensor, keep: bool) -> tuple[Tensor, Kept]:
        # Made anew each time, as nobody need know when the weights are edited.
        phases = phases_of(self._weight)
        biases = None if self._bias is None else self._bias.repeat_interleave(4)
        return _shuffled(F.conv2d(x, phases, biases, padding=1)), None


def _shuffled(x: Tensor) -> Tensor:
    """PyTorch's ``pixel_shuffle`` by 2, in a fourth of its time where channels are last."""
    batch, channels, height, width = x.shape
    out = x.new_empty(batch, channels // 4, 2 * height, 2 * width)
    for row, column in product(range(2), repeat=2):
        out[..., row::2, column::2] = x[:, 2 * row + column :: 4]
    return out


def _constants(layer: nn.Conv2d | nn.ConvTranspose2d) -> tuple[Tensor, Tensor | None]:
    return layer.weight.detach(), None if layer.bias is None else layer.bias.detach()


def _doubles(layer: nn.ConvTranspose2d) -> bool:
    """Whether it is of the shape of CompressAI's ``deconv``, with few outputs."""
    sizes = layer.kernel_size, layer.stride, layer.padding, layer.output_padding, layer.dilation
    plain = sizes == ((5, 5), (2, 2), (2, 2), (1, 1), (1, 1))
    return plain and layer.groups == 1 and layer.out_channels <= _FEW


def phases_of(weight: Tensor) -> Tensor:
    """(4 * O, I, 3, 3) kernels of the outputs at even and odd places, of one of (I, O, 5, 5).

    Output 2 i + p sees input i + a - 1 by the kernel's element 4 + p - 2 a.
    """
    inputs, outputs = weight.shape[:2]
    wide = F.pad(weight, (0, 1, 0, 1)).flip(2, 3)  # counted from the end
    split = wide.view(inputs, outputs, 3, 2, 3, 2).flip(3, 5)
    return split.permute(1, 3, 5, 0, 2, 4).reshape(4 * outputs, inputs, 3, 3)


# -- divisive normalization: it writes over what it is given ---------------------------------------


class Normalization:
    """CompressAI's ``GDN``: x·s, where s is n^(-1/2), in the inverse n^(1/2), of n = β + γ·x²."""

    def __init__(self, layer: GDN):
        self._layer = layer

    def _beta(self, like: Tensor) -> Tensor:
        """As the layer has it now."""
        return self._layer.beta_reparam(self._layer.beta).detach().to(like)

    def _gamma(self, like: Tensor) -> Tensor:
        return self._layer.gamma_reparam(self._layer.gamma).detach().to(like)

    def run(self, x: Tensor, keep: bool) -> tuple[Tensor, Kept]:
        rows, beta, gamma = _rows_of(x), self._beta(x), self._gamma(x)
        scales = torch.empty_like(rows) if keep else rows[:0]
        squares, own = _room(rows, 2)
        for some in _slices(rows):
            part = rows[some]
            n = scales[some] if keep else own[: len(part)]
            torch.mul(part, part, out=(square := squares[: len(part)]))
            torch.addmm(beta, square, gamma.T, out=n)
            part *= n.sqrt_() if self._layer.inverse else n.rsqrt_()
        return _image_of(rows, x), (rows, scales)

    def pull(self, gradient: Tensor, kept: Kept) -> Tensor:
        rows, (made, scales) = _rows_of(gradient), cast(tuple[Tensor, Tensor], kept)
        room, gamma = _room(rows, 3), self._gamma(gradient)
        for some in _slices(rows):
            part, s = rows[some], scales[some]
            x, by_n, through = room[:, : len(part)]
            torch.div(made[some], s, out=x)
            torch.mul(part, x, out=by_n)
            by_n = by_n.div_(s) if self._layer.inverse else by_n.mul_(s**3).neg_()
            torch.mm(by_n, gamma, out=through)
            part.mul_(s).addcmul_(x, through)
        return _image_of(rows, gradient)


def _slices(rows: Tensor) -> Iterator[slice]:
    return (slice(start, start + _PIXELS) for start in range(0, len(rows), _PIXELS))


def _room(rows: Tensor, count: int) -> Tensor:
    """(count, some, C) for what is known of some pixels."""
    return rows.new_empty(count, min(_PIXELS, len(rows)), rows.shape[1])


def _rows_of(x: Tensor) -> Tensor:
    """(B * H * W, C) the pixels of images (B, C, H, W), the same memory if channels are last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _image_of(rows: Tensor, like: Tensor) -> Tensor:
    """The mirror of :func:`_rows_of`."""
    batch, channels, height, width = like.shape
    return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)
