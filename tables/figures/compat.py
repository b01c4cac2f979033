"""What the format `compressai` saves where decoders stay as they are."""

from collections.abc import Callable, Mapping

from tables.figures.rows import LAB, MEAN, NAMES, STEPS, TINY, gains, ratio, run, signed, table

_PRESETS = {"fast": "compat:fast", "default": "compat"}
_CODECS = (TINY[0], MEAN)


def _cells(codec: str) -> list[str]:
    """Of each preset the gain, and the time that its encoder takes."""
    lines = [gains("compat", codec).loc[config] for config in _PRESETS.values()]
    rates = (signed(line["bd_rate_pchip_percent"], 1) for line in lines)
    return [f"{r} % ({ratio(line['encode_ratio'])}×)" for r, line in zip(rates, lines)]


def readme() -> str:
    """Presets by codec."""
    cells = zip(*map(_cells, _CODECS))
    lines = [[f"`{preset}`", *of_preset] for preset, of_preset in zip(_PRESETS, cells)]
    return f"""\
BD-rate in bytes that CompressAI's own decoder reads, against CompressAI's own encoder, on the 24
Kodak images, four qualities each; in brackets the time to encode, on a CPU without bfloat16:

{table(["preset", *_CODECS], lines)}"""


def guide() -> str:
    """Codecs by preset, with the number of images that each was measured on."""
    lines = [
        [NAMES.get(codec, codec), str(run("compat", codec)["image"].nunique()), *_cells(codec)]
        for codec in (*_CODECS, LAB, STEPS)
    ]
    return table(["codec", "Kodak images", *(f"`{preset}`" for preset in _PRESETS)], lines)


BLOCKS: Mapping[str, Callable[[], str]] = {"readme-compat": readme, "guide-compat": guide}
