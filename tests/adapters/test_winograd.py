"""Quick convolutions in float64, against PyTorch's."""

import pytest
import torch
import torch.nn.functional as F
from support.dcvc_models import DualPrior, Predicted, lively
from torch import Tensor, nn

import latentopt
from latentopt.adapters import adapter_class
from latentopt.adapters.dcvc_net import video
from latentopt.adapters.winograd import convolve, quicken


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(1, 3, 4, 1), (2, 5, 8, 7), (1, 64, 64, 30)])
@pytest.mark.parametrize("last", [False, True])
def test_convolutions_are_those_of_pytorch(shape: tuple[int, ...], last: bool) -> None:
    x, weight, bias = random(*shape), random(6, shape[1], 3, 3), random(6)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    for given in (bias, None):
        expected = F.conv2d(x, weight, given, padding=1)
        found = convolve(x, weight, given)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-14 * 9 * shape[1])


@torch.no_grad()
def test_only_plain_layers_are_quickened() -> None:
    layers = [
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, padding=1, stride=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 5, padding=2),
    ]
    plain = nn.Sequential(*layers).double()
    x = random(1, 4, 16, 12)
    expected = plain(x)
    quick = quicken(plain)
    assert [type(layer) is nn.Conv2d for layer in quick] == [False, *[True] * 5]
    torch.testing.assert_close(quick(x), expected, rtol=0, atol=1e-13)
    odd = random(1, 4, 10, 12)  # whose height is no multiple of four
    torch.testing.assert_close(quick[0](odd), F.conv2d(odd, quick[0].weight, quick[0].bias, 1, 1))
    assert quick[0].float()(x.float()).dtype == torch.float32


def test_weights_that_are_trained_have_gradients() -> None:
    x, quick = random(1, 4, 16, 12), quicken(nn.Conv2d(4, 4, 3, padding=1).double())
    quick(x).square().sum().backward()
    weight = quick.weight.detach().clone().requires_grad_()
    F.conv2d(x, weight, quick.bias, padding=1).square().sum().backward()
    torch.testing.assert_close(quick.weight.grad, weight.grad)


def test_frames_that_others_are_predicted_from_are_made_so() -> None:
    key = lively(DualPrior)
    codec = latentopt.wrap(lively(Predicted), "int", adapter=video(key, adapter_class(key)))
    for part in codec.parts.values():
        adapter = part.assembly.adapter
        exact = {type(layer).__name__ for layer in adapter.exact_model.modules()}
        assert "_Quick" in exact
        assert "_Quick" not in {type(layer).__name__ for layer in adapter.model.modules()}
