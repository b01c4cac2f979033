"""Images coded by samplers, and by rounding: bytes of whole files, quality, seconds of one core."""

import math
from time import process_time

from torch import Tensor, nn

import latentopt
from latentopt.codec.image import Codec
from latentopt.latents.sampling import Sampling
from latentopt.media.images import to_uint8
from latentopt.media.quality import ms_ssim, psnr_db
from latentopt.zoo.names import SAMPLED as FAMILIES
from tables.common.experiment import Request
from tables.common.probes import Measure, Probe
from tables.common.subjects import Subject

SAMPLERS = ("mixed-uniform", "layered", "is-gs")
OF_FILE = ("bpp", "psnr_db", "ms_ssim", "encode_s", "decode_s")
OF_SAMPLES = ("kl_bpp", "second_bpp", "theory_bpp")
"""KL of all levels, of the second, and KL + 2 log2(KL + 1) bits an image."""
_WARM = 128  # pixels a side of what is coded untimed


def ladders(request: Request) -> list[Subject]:
    """Those codecs of a request that send samples."""
    return [subject for subject in request.subjects if subject.architecture in FAMILIES]


def coded(codec: Codec, x: Tensor) -> dict[str, float]:
    """Of one image, by :data:`OF_FILE`."""
    start = process_time()
    data = codec.save_bytes(x)
    middle = process_time()
    x_hat = codec.load_bytes(data)
    end = process_time()
    original, restored = to_uint8(x[0]), to_uint8(x_hat[0])
    return {
        "bpp": 8 * len(data) / x[0, 0].numel(),
        "psnr_db": psnr_db(original, restored),
        "ms_ssim": ms_ssim(original, restored),
        "encode_s": middle - start,
        "decode_s": end - middle,
    }


def information(codec: Codec, x: Tensor) -> dict[str, float]:
    """Of one image, by :data:`OF_SAMPLES`."""
    first, second = (kl for [kl] in codec.divergences(x).values())
    whole, pixels = first + second, x[0, 0].numel()
    theory = whole + 2 * math.log2(whole + 1)
    return dict(zip(OF_SAMPLES, (whole / pixels, second / pixels, theory / pixels)))


def _sampled(model: nn.Module) -> Measure:
    codecs = {name: latentopt.wrap(model, spread=Sampling(1.0, name)) for name in SAMPLERS}

    def measure(x: Tensor) -> dict[str, float]:
        found = information(codecs["layered"], x)
        for name, codec in codecs.items():
            codec.save_bytes(x[..., :_WARM, :_WARM])
            found |= {f"{name} {quantity}": v for quantity, v in coded(codec, x).items()}
        return found

    return measure


def _rounded(model: nn.Module) -> Measure:
    codec = latentopt.wrap(model, "int", False)
    return lambda x: coded(codec, x)


SAMPLED = Probe(
    "samples", (*OF_SAMPLES, *(f"{name} {q}" for name in SAMPLERS for q in OF_FILE)), _sampled
)
ROUNDED = Probe("rounded", OF_FILE, _rounded)
