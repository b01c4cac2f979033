"""scripts/video_report.py: all bytes are counted, and only the pixels of the clip."""

import pytest
import torch
import video_report
from support.models import moving

from latentopt.zoo.flow import SmallScaleSpaceFlow


def test_the_report_counts_bytes_and_crops() -> None:
    frames = moving(5, 100, 120)
    torch.manual_seed(0)
    model = SmallScaleSpaceFlow(hidden=8, latent=12, motion=10, hyper=6).eval()
    model.update()
    groups = [model.compress([video_report.padded(x) for x in g]) for g in (frames[:3], frames[3:])]
    strings = [strings for group, _ in groups for strings in group]
    key, inter = strings[0], strings[1]
    nested = [key, inter["motion"], inter["residual"]]
    assert video_report.coded_bytes(strings[:2], 0) == sum(len(s[0]) for two in nested for s in two)
    rd = video_report.measure(model, frames, gop=3)
    assert rd.bpp == pytest.approx(8 * video_report.coded_bytes(strings, 0) / (5 * 100 * 120))
    assert 3 < rd.psnr_db < 20  # untrained: nearly black
