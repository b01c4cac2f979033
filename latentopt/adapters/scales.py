"""CompressAI's table of scales, as it stands in nearly every checkpoint.

Its ``get_scale_table`` computes it in float32, in which machines differ by a last bit here and
there; but scales select probability tables, and the table enters the hash of the weights.
"""

import numpy as np
import torch
from torch import Tensor

_STORED = (
    "ae47e13d93c7fe3d3012103ec7ef223ec845383e0467503e24b16b3e0a47853ecdba963e9a77aa3e"
    "0ecac03eca08da3ecc95f63ef26f0b3f34b21d3f8958323f18b3493f861c643fabfd803fbde1913f"
    "07fca43faf96ba3f8f05d33f7ca7ee3fdcf30640c79f1840169c2c405c36434051c65c402faf7940"
    "97308d4098ad9f405b96b4400e3ccc4078fae640b19c02411bb71341dd0e274107ef3c4183ac5541"
    "58a7714110a68841d88a9a4174c7ae4171aac541a98cdf418bd2fc41ddf60e4259af214265db3642"
    "30cd4e42a0e16942f0408442639295425d28a942ec4ebf42065cd842deb0f442bd5d0a43187c1c43"
    "cef9304372264843eb5b624300008043"
)
"""64 scales from 0.11 to 256, evenly spaced in their logarithm: little-endian float32."""

STANDARD_SCALES = np.frombuffer(bytes.fromhex(_STORED), "<f4").astype(np.float64)


def standard_scales() -> Tensor:
    """The same for a model's ``update(scale_table)``, (64,) in float32."""
    return torch.from_numpy(STANDARD_SCALES.astype(np.float32))
