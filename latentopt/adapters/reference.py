"""What a predicted frame is predicted from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Reference:
    """What is known of the frame before."""

    image: Tensor
    """As decoded (1, 3, H, W), padded, not clipped."""
    latents: Mapping[str, Tensor] = field(default_factory=dict)
    """Of its parts, the main ones (1, M, h, w), shift included."""
    features: Tensor | None = None
    """Of the networks that made it (1, C, H, W); None where its codec leaves none."""
    age: int = 0
    """Frames since the key frame: 0 is the key frame itself."""
