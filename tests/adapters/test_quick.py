"""Transforms made quicker for estimates, against the models' own."""

import copy

import pytest
import torch
import torch.nn.functional as F
from compressai.layers import GDN
from compressai.models import FactorizedPrior, MeanScaleHyperprior
from support.models import photo, tiny
from torch import Tensor, nn

import latentopt
from latentopt.adapters.quick import Chain, phases_of, quick


def noise(*shape: int, last: bool = False) -> Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return x.contiguous(memory_format=torch.channels_last) if last else x


def gradient_of(network: nn.Module, x: Tensor, direction: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    [gradient] = torch.autograd.grad(network(leaf), leaf, direction)
    return gradient


def lively(network: nn.Module) -> nn.Module:
    """With normalizations that couple the channels."""
    generator = torch.Generator().manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, GDN):
            layer.gamma.data += 0.3 * torch.rand(layer.gamma.shape, generator=generator)
            layer.beta.data += torch.rand(layer.beta.shape, generator=generator)
    return network


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("part", ["g_a", "g_s"])
def test_a_transform_and_its_gradient_are_the_models_own(part: str, last: bool) -> None:
    model = lively(copy.deepcopy(tiny(FactorizedPrior)))
    own, found = getattr(model, part), getattr(quick(model), part)
    assert isinstance(found, Chain)
    size = (2, 3, 80, 96) if part == "g_a" else (2, 12, 9, 10)  # more pixels than go at a time
    x = noise(*size, last=last)
    before, expected = x.clone(), own(x).detach()
    direction = noise(*expected.shape)
    direction_before = direction.clone()
    with torch.no_grad():
        torch.testing.assert_close(found(x), expected, rtol=1e-4, atol=1e-4)
    with torch.inference_mode():
        torch.testing.assert_close(found(x), expected, rtol=1e-4, atol=1e-4)
    pulled, by_own = gradient_of(found, x, direction), gradient_of(own, x, direction)
    torch.testing.assert_close(pulled, by_own, rtol=1e-3, atol=1e-4 * float(by_own.std()))
    assert torch.equal(x, before) and torch.equal(direction, direction_before)


def test_under_autocast_all_but_the_last_layer_of_an_image_is_in_low_precision() -> None:
    """As near as the model itself under autocast, or nearer."""
    model = lively(copy.deepcopy(tiny(FactorizedPrior)))
    own, found, x = model.g_s, quick(model).g_s, noise(1, 12, 9, 10, last=True)
    direction = noise(1, 3, 144, 160)
    exact = [own(x).detach(), gradient_of(own, x, direction)]
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        images = [network(x) for network in (found, own)]
    with torch.autocast("cpu", torch.bfloat16):
        pulled = [gradient_of(network, x, direction.bfloat16()) for network in (found, own)]
    assert images[0].dtype == torch.float32 and images[1].dtype == torch.bfloat16
    assert not torch.equal(images[0], images[0].bfloat16().float())
    for (ours, theirs), truth in zip((images, pulled), exact):
        errors = [float((one.float() - truth).std() / truth.std()) for one in (ours, theirs)]
        assert 0 < errors[0] < 1.1 * errors[1] < 0.05


def test_phases_are_a_deconvolution() -> None:
    weight, x = noise(5, 3, 5, 5).double(), noise(2, 5, 6, 7).double()
    expected = F.conv_transpose2d(x, weight, stride=2, padding=2, output_padding=1)
    found = F.pixel_shuffle(F.conv2d(x, phases_of(weight), padding=1), 2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 6, 3, stride=3, padding=1, dilation=2, groups=2),
        nn.ConvTranspose2d(4, 5, 4, bias=False),
        nn.Conv2d(4, 6, (3, 5), stride=(2, 1), padding=(0, 2), dilation=(2, 1), groups=2),
    ],
)
def test_convolutions_of_any_shape_are_chained(layer: nn.Module) -> None:
    own, x = nn.Sequential(layer), noise(1, 4, 11, 8)
    found = quick(own)
    assert isinstance(found, Chain)
    expected = own(x).detach()
    direction = noise(*expected.shape)
    torch.testing.assert_close(found(x), expected)
    torch.testing.assert_close(gradient_of(found, x, direction), gradient_of(own, x, direction))


def test_a_model_stays_as_it_is() -> None:
    model = copy.deepcopy(tiny(MeanScaleHyperprior))
    parts = dict(model.named_modules())
    view = quick(model)
    assert dict(model.named_modules()) == parts and type(view) is type(model)
    assert view.h_s is model.h_s  # of whose layers one is not known
    assert view.entropy_bottleneck is model.entropy_bottleneck
    assert quick(model.h_s) is model.h_s


def test_what_others_look_at_is_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
    assert isinstance(quick(network), Chain)
    network[0].register_forward_hook(lambda *_: None)
    assert quick(network) is network
    assert quick(nn.Sequential(nn.Conv2d(3, 3, 1), GDN(3)))[1].__class__ is GDN
    same = nn.Sequential(nn.Conv2d(3, 3, 3, padding="same"))
    assert quick(same) is same
    mirrored = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"))
    assert quick(mirrored) is mirrored
    inner = nn.Sequential(nn.Conv2d(3, 3, 1), GDN(3), nn.Conv2d(3, 3, 1))
    assert isinstance(quick(inner), Chain)
    inner[1].gamma_reparam.register_forward_hook(lambda *_: None)
    assert quick(inner) is inner


def test_normalizations_side_by_side_are_left_alone() -> None:
    """The second would write over what the first keeps for its gradient."""
    two = nn.Sequential(nn.Conv2d(3, 3, 1), GDN(3, inverse=True), GDN(3), nn.Conv2d(3, 3, 1))
    x, direction = noise(1, 3, 8, 8), noise(1, 3, 8, 8)
    expected = gradient_of(lively(two), x, direction)
    torch.testing.assert_close(gradient_of(quick(two), x, direction), expected)


def test_edits_that_nobody_told_of_are_seen() -> None:
    model = copy.deepcopy(tiny(FactorizedPrior))
    view, y = quick(model), noise(1, 12, 4, 4)
    with torch.no_grad():
        for parameter in model.g_s.parameters():
            parameter.data *= 1.1
        torch.testing.assert_close(view.g_s(y), model.g_s(y), rtol=1e-4, atol=1e-4)
        model.g_s[1].inverse = False
        torch.testing.assert_close(view.g_s(y), model.g_s(y), rtol=1e-4, atol=1e-4)


def test_other_weights_are_other_transforms() -> None:
    codec = latentopt.wrap(copy.deepcopy(tiny(FactorizedPrior)), preset="fast")
    x = photo(64, 64)
    with torch.inference_mode():
        before = codec.compress(x)["strings"]
    for layer in codec.model.modules():
        if isinstance(layer, GDN):
            layer.beta.data *= 1.5
    codec.update(force=True)
    fresh = latentopt.wrap(codec.model, preset="fast")
    assert codec.compress(x)["strings"] == fresh.compress(x)["strings"] != before


@pytest.mark.parametrize("with_gradient", [False, True])
def test_a_chain_after_layers_that_are_none(with_gradient: bool) -> None:
    """What went before it in low precision is no reason to fail."""
    chain = nn.Sequential(nn.Conv2d(4, 8, 3), GDN(8), nn.Conv2d(8, 3, 3))
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), chain).requires_grad_(False)
    x = torch.rand(1, 3, 16, 16, requires_grad=with_gradient)
    with torch.autocast("cpu", torch.bfloat16):
        found = quick(module)(x)
    assert torch.allclose(found.float(), module(x), atol=0.05)


def test_a_forward_that_was_replaced_is_kept() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 3, 3)).requires_grad_(False)
    before = module[-1].forward
    module[-1].forward = lambda x: 0.5 * before(x)  # type: ignore[method-assign]
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(quick(module)(x), module(x))
