"""HTML of a clip before and after: what was coded, a plot with its legend, and every frame."""

import math
from collections.abc import Iterator

import pandas as pd

from latentopt.codec.explain_clip import by_latent
from latentopt.report.clip_compared import ClipComparison
from latentopt.report.frame_plot import LINES, Frames, frame_plot, styles
from latentopt.report.markup import scrolled, terms, text, told
from latentopt.report.page_tables import Column, Table


def clip_section(comparison: ClipComparison) -> str:
    """The plot, and below it a table of its numbers."""
    choice, count = comparison.choice, len(comparison.ours.frames)
    sides: dict[str, Frames] = {
        "baseline": comparison.baseline.frames,
        choice.config: comparison.ours.frames,
    }
    lmbda = comparison.lmbda
    how = "" if lmbda is None else f" with lambda {lmbda:.4g}"
    first = "its first frame" if count == 1 else f"its first {count} frames"
    what = told(f"{choice.image}, {first}", choice, comparison.baseline, comparison.ours, how)
    return f"""<p>{text(what + terms("clip", comparison.is_equal))}</p>
{_legend(sides)}<div class="scroll frames" role="region" aria-label="Bits and PSNR" tabindex="0">
{frame_plot(sides)}
</div>
<h3 id="frames-title">Per frame</h3>
{scrolled(frame_table(sides))}"""


def frame_table(sides: dict[str, Frames]) -> Table:
    """Every frame of both sides: its bits by part and latent, and its PSNR."""
    lines = pd.DataFrame([line for name, frames in sides.items() for line in _lines(name, frames)])
    parts = [name for name in lines.columns if name not in _KNOWN]
    columns = (*_BEFORE, *(Column(name, name.capitalize(), 0) for name in parts), _QUALITY)
    note = (
        "Bits of each frame’s strings, by part and latent; PSNR in 8-bit RGB. A key frame is coded "
        "as an image, others as motion from the frame before, and as what that leaves. Side "
        "latents say what to expect of the main ones."
    )
    return Table("frames", "Per frame", note, columns, lines)


_BEFORE = (
    Column("frame", "Frame", 0),
    Column("config", "Configuration", choose=True),
    Column("kind", "Kind", choose=True),
    Column("bits", "Bits", 0),
)
_QUALITY = Column("psnr_db", "PSNR, dB", 2)
_KNOWN = {column.name for column in (*_BEFORE, _QUALITY)}


def _lines(config: str, frames: Frames) -> Iterator[dict[str, float | str]]:
    latents = by_latent(frames)
    for i, frame in enumerate(frames):
        sizes = {one.name: one.bytes[i] for one in latents}
        yield {
            "frame": i,
            "config": config,
            "kind": frame.kind,
            "bits": 8 * frame.bytes,
            **{name: math.nan if size is None else 8 * size for name, size in sizes.items()},
            "psnr_db": math.nan if frame.psnr_db is None else frame.psnr_db,
        }


def _legend(sides: dict[str, Frames]) -> str:
    """What colours and marks mean; parts from the foot of a bar upwards."""
    bars = [
        _key(name, style, '<rect x="9" y="1" width="16" height="10" class="block"/>')
        for name, style in styles(next(iter(sides.values()))).items()
    ]
    lines = [
        _key(f"PSNR, {name}", line.name, line.drawn([(0, 6), (34, 6)]) + line.marked(17, 6))
        for name, line in zip(sides, LINES)
    ]
    return f'<ul class="legend">{"".join([*bars, *lines])}</ul>\n'


def _key(name: str, style: str, drawn: str) -> str:
    swatch = f'<svg class="swatch {style}" viewBox="0 0 34 12" aria-hidden="true">{drawn}</svg>'
    return f"<li>{swatch} {text(name)}</li>"
