"""What was measured inside of codecs: things in place of rounding, artefacts, ladders."""

from collections.abc import Callable, Mapping
from functools import partial

from tables.common.places import MEASURED, PROBES, rows_file
from tables.common.probes import curve, read
from tables.figures.paper import short
from tables.figures.rows import table
from tables.sampling.common.coded import SAMPLED

_GAPS = ("loss", "bpp", "PSNR", "discrete_2", "kl_levels_bits", "noise_db")
_LADDERS = ("tiny-pln", "tiny-gamma-pln")
_SHOWN = {
    "mixed-uniform": ("bpp", "psnr_db", "encode_s", "decode_s"),
    "layered": ("bpp", "encode_s", "decode_s"),
    "is-gs": ("bpp", "psnr_db"),
}
"""By sampler, what is shown of it."""
_NAMES = {"bpp": "bpp", "psnr_db": "PSNR, dB", "encode_s": "encode, s", "decode_s": "decode, s"}


def ladders() -> str:
    """What codecs that send samples take, means over the images."""
    lines = []
    for codec in _LADDERS:
        rows = read(rows_file(MEASURED, f"{PROBES}/{SAMPLED.name}", "kodak", codec), SAMPLED)
        for (point, _), mean in curve(rows, SAMPLED.quantities).iterrows():
            whole, second = mean["kl_bpp"], mean["second_bpp"]
            above = mean["mixed-uniform bpp"] / whole - 1
            cells = [f"{codec} {point}", f"{whole:.3f}", f"{100 * second / whole:.1f} %"]
            cells += [f"{100 * above:.3g} %"]
            for sampler, shown in _SHOWN.items():
                cells += [_cell(what, float(mean[f"{sampler} {what}"])) for what in shown]
            lines.append(cells)
    heads = [f"`{sampler}`, {_NAMES[what]}" for sampler, own in _SHOWN.items() for what in own]
    return table(["codec", "KL, bpp", "level 2 of it", "above KL", *heads], lines)


def _cell(what: str, value: float) -> str:
    return f"{value:.3f}" if what == "bpp" else f"{value:.2f}"


BLOCKS: Mapping[str, Callable[[], str]] = {
    "gap-training": partial(short, "gap_training", "kodak", _GAPS),
    "artefacts": partial(short, "artefacts", "kodak"),
    "powers": partial(short, "powers", "kodak"),
    "ladders": ladders,
}
