"""What the format `compressai` saves where decoders stay as they are."""

from collections.abc import Callable, Mapping

from tables.figures.rows import LAB, MEAN, STEPS, TINY, gains, ratio, signed, table

_PRESETS = {
    "fast": "compat:fast",
    "default": "compat",
    "slow": "compat:slow",
    "best": "compat:best",
}
_CODECS = (STEPS, LAB, TINY[0], MEAN)
_BD_RATE = "bd_rate_pchip_percent"


def readme() -> str:
    """Presets by codec, each with the time that its encoder takes."""
    summaries = [gains("compat", codec) for codec in _CODECS]
    lines = []
    for preset, config in _PRESETS.items():
        found = [s.loc[config] for s in summaries if config in s.index]
        if found:
            assert len(found) == len(summaries), f"{config} was not measured on all codecs"
            cells = [f"{signed(v[_BD_RATE], 1)} % ({ratio(v['encode_ratio'])}×)" for v in found]
            lines.append([f"`{preset}`", *cells])
    heads = ["bmshj2018-factorized¹", "mbt2018-mean²", f"{TINY[0]}³", f"{MEAN}³"]
    return f"""\
BD-rate in bytes that CompressAI's own decoder reads, against CompressAI's own encoder, on the
24 Kodak images; in brackets the time to encode:

{table(["preset", *heads], lines)}

¹ CompressAI's weights of quality 2, at quantization steps 0.7, 1, 1.4 and 2. ² Four qualities,
trained briefly. ³ Four qualities, embedded."""


BLOCKS: Mapping[str, Callable[[], str]] = {"readme-compat": readme}
