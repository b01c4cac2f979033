"""Quick convolutions in float64, against PyTorch's."""

import pytest
import torch
import torch.nn.functional as F
from support.dcvc_models import DualPrior, Predicted, lively
from torch import Tensor, nn

import latentopt
from latentopt.adapters import adapter_class
from latentopt.adapters.dcvc_net import video
from latentopt.adapters.winograd import convolve, phased, quicken


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(1, 3, 4, 1), (2, 5, 10, 7), (1, 2, 1, 3), (1, 64, 64, 30)])
@pytest.mark.parametrize("last", [False, True])
def test_convolutions_are_those_of_pytorch(shape: tuple[int, ...], last: bool) -> None:
    x, weight, bias = random(*shape), random(6, shape[1], 3, 3), random(6)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    for given in (bias, None):
        expected = F.conv2d(x, weight, given, padding=1)
        found = convolve(x, weight, given)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-14 * 9 * shape[1])


def test_phases_are_seen_as_strides_are() -> None:
    x, weight = random(2, 5, 12, 8), random(6, 5, 5, 5)
    expected = F.conv2d(x, weight, stride=2, padding=2)
    found = convolve(F.pixel_unshuffle(x, 2), phased(weight))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_only_known_layers_are_quickened() -> None:
    layers = [
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 4, 5, padding=2, stride=2),
        nn.Conv2d(4, 4, 3, padding=1, stride=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 5, padding=2),
    ]
    plain = nn.Sequential(*layers).double()
    x = random(1, 4, 128, 64)
    expected = plain(x)
    quick = quicken(plain)
    assert [type(layer) is nn.Conv2d for layer in quick] == [False, False, *[True] * 5]
    torch.testing.assert_close(quick(x), expected, rtol=0, atol=1e-13)
    assert quick[0].float()(x.float()).dtype == torch.float32


@torch.no_grad()
@pytest.mark.parametrize("size", [(8, 8), (62, 64), (63, 65)])
def test_what_is_small_or_odd_is_made_as_ever(size: tuple[int, int]) -> None:
    for sizes in (dict(kernel_size=3, padding=1), dict(kernel_size=5, padding=2, stride=2)):
        layer, x = nn.Conv2d(4, 4, **sizes).double(), random(1, 4, *size)
        expected = layer(x)
        torch.testing.assert_close(quicken(layer)(x), expected, rtol=0, atol=1e-13)


@torch.no_grad()
def test_activations_write_over_what_convolutions_made_and_nothing_else() -> None:
    shared = nn.ReLU()
    layers = [shared, nn.Conv2d(4, 4, 3, padding=1), shared, nn.Tanh(), nn.LeakyReLU()]
    network, x = nn.Sequential(*layers).double(), random(1, 4, 36, 32)
    expected, before, made = network(x), x.clone(), network[1](x.relu())
    quick, seen = quicken(network), list[Tensor]()
    torch.testing.assert_close(quick(x), expected, rtol=0, atol=1e-14)
    assert torch.equal(x, before)
    torch.testing.assert_close(quick[2](made) + made, made.relu() + made)
    quick[1].register_forward_hook(lambda *given: seen.append(given[-1]))
    torch.testing.assert_close(quick(x), expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(seen[0], made, rtol=0, atol=1e-14)


@torch.no_grad()
@pytest.mark.parametrize("sizes", [dict(kernel_size=3), dict(kernel_size=5, stride=2)])
def test_what_pytorch_refuses_or_leaves_empty_is_as_ever(sizes: dict[str, int]) -> None:
    layer = nn.Conv2d(4, 5, padding=sizes["kernel_size"] // 2, **sizes).double()
    nothing = random(0, 4, 64, 64)
    expected = layer(nothing).shape
    quick = quicken(layer)
    assert quick(nothing).shape == expected
    with pytest.raises(RuntimeError, match="to have 4 channels"):
        quick(random(1, 1, 64, 64))


def test_weights_that_are_trained_have_gradients() -> None:
    x, quick = random(1, 4, 36, 32), quicken(nn.Conv2d(4, 4, 3, padding=1).double())
    quick(x).square().sum().backward()
    weight = quick.weight.detach().clone().requires_grad_()
    F.conv2d(x, weight, quick.bias, padding=1).square().sum().backward()
    torch.testing.assert_close(quick.weight.grad, weight.grad)


def test_a_bias_alone_has_gradients() -> None:
    quick = quicken(nn.Conv2d(4, 4, 3, padding=1).double())
    quick.weight.requires_grad_(False)
    quick(random(1, 4, 36, 32)).sum().backward()
    assert quick.bias.grad is not None


def test_frames_that_others_are_predicted_from_are_made_so() -> None:
    key = lively(DualPrior)
    codec = latentopt.wrap(lively(Predicted), "int", adapter=video(key, adapter_class(key)))
    for part in codec.parts.values():
        adapter = part.assembly.adapter
        exact = {type(layer).__name__ for layer in adapter.exact_model.modules()}
        assert "_Quick" in exact
        assert "_Quick" not in {type(layer).__name__ for layer in adapter.model.modules()}
