"""Gains in bytes: of the presets, of lattices and shift, and of their parts."""

from collections.abc import Callable, Iterator, Mapping

import pandas as pd

from tables.common.harness import BASELINE, against_published, summarise
from tables.figures.rows import (
    LAB,
    MEAN,
    NAMES,
    PRESETS,
    STEPS,
    TINY,
    both,
    gains,
    later,
    ratio,
    run,
    signed,
    table,
    today,
    today_rows,
)
from tables.figures.video import CLIPS, CODEC

_LATTICES = ("int", "hex", "oct", "shift", "hex+shift", "oct+shift", "e8", "e8+shift")
_BD_RATE = "bd_rate_pchip_percent"
_SLOW = (BASELINE, "slow")
_CLIPS = {CLIPS: "three clips", f"{CLIPS}-frames8": "their first eight frames"}
_TODAY = [(codec, "kodak", NAMES.get(codec, codec)) for codec in (STEPS, LAB, *TINY)] + [
    (CODEC, data, f"{CODEC}, {what}") for data, what in _CLIPS.items()
]
_SHORT = {STEPS: "bmshj2018-factorized¹", LAB: "mbt2018-mean²"}

PARTS = {
    "rate-distortion choice of integers, without gradients, with the shift (`rdo+shift`)": (
        "parts",
        "shift+rdo",
    ),
    "thirty gradient steps on integers alone (`refine`)": ("parts", "refine"),
    "scales corrected (`scales`)": ("presets", "scales"),
    "best lattice at every level (`auto`)": ("presets", "auto"),
    "shift, six directions and the side latent's (`shift+split`)": ("presets", "shift+split"),
    "`auto+scales`": ("presets", "auto+scales"),
    "+ one gradient step (`fast`)": ("presets", "fast"),
    "+ two (`default`)": ("presets", "default"),
    "+ thirty, and the shift (`slow`)": ("presets", "slow"),
    "+ sixty (`best`)": ("presets", "best"),
}
"""What it is, and the run and configuration that measured it."""


def readme() -> str:
    """The presets as they are, a line for each codec: gain, and time to encode."""
    presets = PRESETS[1:]
    lines = []
    for codec in (STEPS, LAB, *TINY):
        found = today(codec)
        cells = [_gain_and_time(found.loc[p]) if p in found.index else "" for p in presets]
        lines.append([_SHORT.get(codec, codec), *cells, _range(found["decode_ratio"])])
    return table(["codec", *(f"`{p}`" for p in presets), "decode"], lines)


def _gain_and_time(line: pd.Series) -> str:
    return f"{signed(line[_BD_RATE], 1)} % ({ratio(line['encode_ratio'])}×)"


def _range(ratios: pd.Series) -> str:
    """
    >>> _range(pd.Series([0.584, 1.22])), _range(pd.Series([0.6, 0.6]))
    ('0.58–1.2×', '0.60×')
    """
    shown = dict.fromkeys(ratio(value) for value in (ratios.min(), ratios.max()))
    return "–".join(shown) + "×"


def presets_today() -> str:
    """The same at length: MS-SSIM, and times to decode; of clips, too."""
    lines: list[list[str]] = []
    for codec, data, name in _TODAY:
        lines.append([f"**{name}**", "", "", ""])
        lines += [_preset(str(p), line) for p, line in today(codec, data).iterrows()]
    return table(["", "BD-rate (MS-SSIM)", "encode", "decode"], lines)


def learning() -> str:
    """Presets as they are, as they were without a filter, and without learning priors."""
    lines = []
    for codec in (TINY[0], MEAN):
        unfiltered, now = (_later(name, codec) for name in ("presets", "postfilter"))
        for preset in ("fast", "default"):
            times = [f"{ratio(now.loc[preset, way])}×" for way in ("encode_ratio", "decode_ratio")]
            stages = (gains("presets", codec), unfiltered, now)
            found = [both(summary.loc[preset], " %") for summary in stages]
            lines.append([codec, f"`{preset}`", *found, *times])
    heads = ["first presets", "without a filter", "now", "encode", "decode"]
    return table(["codec", "preset", *heads], lines)


def slowly() -> str:
    """`slow` likewise, on the first images, and as it was on the same."""
    lines = []
    for codec in (TINY[0], MEAN):
        rows, before = later("postfilter-slow", codec), run("presets", codec)
        if len(rows):
            before = before[before["image"].isin(rows["image"]) & before["config"].isin(_SLOW)]
            now, was = (summarise(own).set_index("config").loc["slow"] for own in (rows, before))
            times = [f"{ratio(now[way])}×" for way in ("encode_ratio", "decode_ratio")]
            found = [both(line, " %") for line in (was, now)]
            lines.append([codec, str(rows["image"].nunique()), *found, *times])
    return table(["codec", "images", "first presets", "now", "encode", "decode"], lines)


def _later(name: str, codec: str) -> pd.DataFrame:
    """Summary of a run of presets that had gained something, a line for each."""
    return summarise(later(name, codec)).set_index("config")


def lattices() -> str:
    """Lattices and shift alone, on weights that were trained at length and on a laboratory's."""
    steps, lab = gains("lattices", STEPS), gains("lattices", LAB)
    read = _at_equal_psnr(run("lattices", STEPS))
    head = ["", NAMES[STEPS], "the same, step 1, rate at equal PSNR", NAMES[LAB]]
    lines = [[f"`{c}`", both(steps.loc[c]), signed(read[c]), both(lab.loc[c])] for c in _LATTICES]
    return f"{table(head, lines)}\n\nThe codec itself reads {signed(read[BASELINE])} %."


def _at_equal_psnr(rows: pd.DataFrame) -> Mapping[str, float]:
    """Of the factorized codec at step 1: rate against CompressAI's published curve, in percent."""
    readings = against_published(rows).set_index("config")
    return {str(c): float(v) for c, v in readings["rate_vs_published_percent"].items()}


def embedded() -> str:
    """Lattices and shift alone, on the embedded codecs."""
    summaries = [gains("lattices", codec) for codec in TINY]
    lines = [
        [f"`{c}`", *(both(s.loc[c]) if c in s.index else "" for s in summaries)] for c in _LATTICES
    ]
    return table(["", *TINY], lines)


def presets() -> str:
    """Every preset on every codec, with times."""
    lines: list[list[str]] = []
    for codec in (STEPS, LAB, *TINY):
        lines.append([f"**{NAMES.get(codec, codec)}**", "", "", ""])
        found = gains("presets", codec)
        lines += [_preset(p, found.loc[p]) for p in PRESETS if p in found.index]
    return table(["", "BD-rate", "encode", "decode"], lines)


def _preset(name: str, line: pd.Series) -> list[str]:
    times = (ratio(float(line[f"{what}_ratio"])) for what in ("encode", "decode"))
    return [f"`{name}`", both(line, " %"), *times]


def presets_at_step_1() -> str:
    """The presets as they first were, and are, on the factorized codec as it was trained."""
    first = _at_equal_psnr(run("presets", STEPS))
    lines = [_reading("first", first), _reading("now", _at_equal_psnr(today_rows(STEPS)))]
    return table(["", "the codec itself", *(f"`{p}`" for p in PRESETS)], lines)


def _reading(what: str, read: Mapping[str, float]) -> list[str]:
    return [what, *(f"{signed(read[c])} %" if c in read else "" for c in (BASELINE, *PRESETS))]


def parts() -> str:
    """What each part of a preset gains on the lab ladder."""
    lines = [
        [what, both(gains(name, LAB).loc[config], " %")] for what, (name, config) in PARTS.items()
    ]
    return table(["", "BD-rate (MS-SSIM)"], lines)


def _clic() -> Iterator[list[str]]:
    for config in ("oct", "e8", "auto", "fast", "default"):
        found = [gains("tables", codec, "clic-held-out") for codec in TINY[:2]]
        yield [f"`{config}`", *(both(s.loc[config], " %") for s in found)]


def clic() -> str:
    """What is ours on the photographs of CLIC that the embedded codecs were not trained on."""
    return table(["", *TINY[:2]], _clic())


BLOCKS: Mapping[str, Callable[[], str]] = {
    "readme-gains": readme,
    "learning": learning,
    "learning-slow": slowly,
    "lattices": lattices,
    "lattices-embedded": embedded,
    "presets": presets,
    "presets-today": presets_today,
    "presets-step-1": presets_at_step_1,
    "presets-clic": clic,
    "parts": parts,
}
