"""What the tests of each family of predicted frames ask of whole codecs."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from latentopt import VideoCodec
from support.dcvc_models import spoil_float32


def assert_round_trips(codec: VideoCodec, frames: Sequence[Tensor]) -> None:
    """What is decoded is what the encoder promised."""
    strings, shapes = codec.compress(frames)
    promised = codec(frames)
    for image, expected in zip(codec.decompress(strings, shapes), promised["x_hat"], strict=True):
        assert torch.equal(image, expected) and image.shape == frames[0].shape


def assert_float32_does_not_matter(
    make: Callable[[], VideoCodec], frames: Sequence[Tensor]
) -> None:
    """A decoder whose networks are wrong in the model's own precision decodes the same."""
    codec, other = make(), make()
    strings, shapes = codec.compress(frames)
    expected = codec.decompress(strings, shapes)

    spoil_float32(other)
    for image, right in zip(other.decompress(strings, shapes), expected, strict=True):
        torch.testing.assert_close(image, right, atol=1e-7, rtol=0)
