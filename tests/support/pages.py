"""Folders of the harness that nobody measured, and pages read back."""

from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd

from latentopt.bench.store import Measurement, ResultsFile, Settings

CODEC = "tiny-mbt2018-mean"
CONFIGS = {"baseline": 1.0, "oct": 0.96, "oct+shift": 0.93}
POINTS = {"q1": (0.2, 27.0), "q2": (0.3, 29.0), "q3": (0.5, 31.0), "q4": (0.7, 32.0)}


def row(point: str, config: str, image: str, **more: object) -> Measurement:
    """A measurement that looks like one of the harness."""
    bpp, psnr_db = POINTS[point]
    bpp *= CONFIGS[config]
    known = Measurement(
        **{"codec": CODEC, "point": point, "step": 1.0, "config": config, "data": "photos"},
        **{"image": image, "width": 200, "height": 180, "bytes": round(4500 * bpp), "bpp": bpp},
        **{"psnr_db": psnr_db, "ms_ssim": 1 - 0.02 / bpp, "encode_s": 0.2, "decode_s": 0.1},
        **{"batch_size": 1, "device": "cpu", "threads": 1, "weights": "0" * 12},
        latentopt="0.1.0+abcdef0",
    )
    return replace(known, **more)


def write(folder: Path, rows: list[Measurement]) -> Path:
    """A folder that holds only these measurements."""
    first = rows[0]
    version = first.latentopt.split("+")[0]
    settings = Settings(first.data, first.device, first.threads, first.batch_size, version)
    with ResultsFile(folder / "measurements.csv", settings) as file:
        for one in rows:
            file.append(one)
    return folder


def curve(*images: str, **more: object) -> list[Measurement]:
    return [row(p, c, i, **more) for p in POINTS for c in CONFIGS for i in images]


def frame(rows: list[Measurement]) -> pd.DataFrame:
    return pd.DataFrame([asdict(one) for one in rows])


class Parsed(HTMLParser):
    """Elements of a page, and the text of its style, scripts and cells."""

    def __init__(self, page: Path):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append((self.elements[-1][0] if self.elements else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag and text.strip()]
