"""What the format `compressai` saves where decoders stay as they are."""

from collections.abc import Callable, Mapping

from tables.figures.rows import MEAN, TINY, gains, ratio, signed, table

_PRESETS = {"fast": "compat:fast", "default": "compat"}
_CODECS = (TINY[0], MEAN)


def readme() -> str:
    """Presets by codec, each with the time that its encoder takes."""
    summaries = [gains("compat", codec) for codec in _CODECS]
    lines = []
    for preset, config in _PRESETS.items():
        found = [summary.loc[config] for summary in summaries]
        rates = (signed(v["bd_rate_pchip_percent"], 1) for v in found)
        lines.append(
            [f"`{preset}`", *(f"{r} % ({ratio(v['encode_ratio'])}×)" for r, v in zip(rates, found))]
        )
    return f"""\
BD-rate in bytes that CompressAI's own decoder reads, against CompressAI's own encoder, on the 24
Kodak images, four qualities each; in brackets the time to encode, on a CPU without bfloat16:

{table(["preset", *_CODECS], lines)}"""


BLOCKS: Mapping[str, Callable[[], str]] = {"readme-compat": readme}
