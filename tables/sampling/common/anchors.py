"""Codecs that everybody has, by Pillow: bytes and quality of one image at each quality."""

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import pandas as pd
import torch
from PIL import Image, features

from latentopt.media.quality import ms_ssim, psnr_db
from tables.common.experiment import Request
from tables.common.harness import csv_line
from tables.common.places import PROBES, rows_file

QUALITIES: Mapping[str, Sequence[int]] = {
    "jpeg": range(1, 93, 7),
    "webp": range(1, 93, 13),
    "avif": range(10, 91, 16),
}
COLUMNS = ("quality", "image", "bpp", "psnr_db", "ms_ssim")


def anchor(name: str, request: Request) -> pd.DataFrame:
    """Rows of one codec on the data, measured where they were not; none where Pillow lacks it."""
    for folder in (request.committed, request.rows):
        path = rows_file(folder, f"{PROBES}/anchors", request.dataset.name, name)
        if path.is_file():
            found = pd.read_csv(path)
            if set(request.dataset.names) <= set(found["image"]):
                return found[found["image"].isin(request.dataset.names)]
    if request.run and (name == "jpeg" or features.check(name)):
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = map(csv_line, [COLUMNS, *_rows(name, request)])
        path.write_text("".join(lines), encoding="utf-8")
        return pd.read_csv(path)
    return pd.DataFrame(columns=list(COLUMNS))


def _rows(name: str, request: Request) -> Iterator[list[object]]:
    for image, path in zip(request.dataset.names, request.dataset.paths):
        for quality in QUALITIES[name]:
            yield [quality, image, *_coded(name, quality, path)]


def _coded(name: str, quality: int, path: Path) -> list[float]:
    """bpp, PSNR and MS-SSIM of an image's file."""
    original, file = Image.open(path).convert("RGB"), BytesIO()
    original.save(file, name.upper(), quality=quality)
    size = file.tell()
    x, x_hat = (_pixels(image) for image in (original, Image.open(file).convert("RGB")))
    bpp = 8 * size / (original.width * original.height)
    return [bpp, psnr_db(x, x_hat), ms_ssim(x, x_hat)]


def _pixels(image: Image.Image) -> torch.Tensor:
    flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return flat.reshape(image.height, image.width, 3).permute(2, 0, 1)
