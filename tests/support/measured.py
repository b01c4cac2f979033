"""Measurements of the harness that nobody made."""

import math

import pandas as pd

from latentopt.bench.store import COLUMNS


def made_up_rows(points: int = 4, steps: tuple[float, ...] = (1.0,)) -> pd.DataFrame:
    """Two images on exact curves, 3 dB per doubling; "oct" spends 10 % less, twice the time."""
    rows = []
    for config, factor, seconds in (("baseline", 1.0, 0.2), ("oct", 0.9, 0.4)):
        for p in range(points):
            for step in steps:
                for image, offset in (("a.png", 0.0), ("b.png", 2.0)):
                    doublings = p - math.log2(step)
                    rows.append(
                        dict.fromkeys(COLUMNS, 1)
                        | {
                            "codec": "mbt2018-mean",
                            "point": f"q{p}",
                            "step": step,
                            "config": config,
                            "data": "kodak",
                            "image": image,
                            "bpp": factor * 0.1 * 2.0**doublings,
                            "psnr_db": 27.0 + 3.0 * doublings + offset,
                            "ms_ssim": 1 - 10 ** -(1 + 0.2 * doublings),
                            "encode_s": seconds,
                            "decode_s": seconds / 2,
                            "device": "cpu",
                            "weights": "0",
                            "latentopt": "0",
                        }
                    )
    return pd.DataFrame(rows)
