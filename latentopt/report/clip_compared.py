"""The first frames of one clip, coded again as :mod:`latentopt.report.slider` codes an image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pandas as pd
import torch
from torch import nn

from latentopt.bench.codecs import CodedGroup, Coder, clip_coder, coded_bytes
from latentopt.bench.configs import BASELINE, parse, parse_recipe
from latentopt.bench.items import Clips
from latentopt.codec.clip_ladder import ClipLadder
from latentopt.codec.explain_clip import FrameExplanation
from latentopt.codec.formats import OWN
from latentopt.codec.frames import KEY_PART
from latentopt.codec.target import ABOVE_DB, Psnr
from latentopt.codec.video import Strings, VideoCodec
from latentopt.errors import RateRangeError
from latentopt.media.clips import open_clip
from latentopt.media.images import to_uint8
from latentopt.media.quality import psnr_db
from latentopt.report.commands import clips
from latentopt.report.subject import Choice, choose, loaded, located

FRAMES = 16
"""At most so many frames are coded again, unless more are asked for."""


@dataclass(frozen=True)
class CodedClip:
    """Frames as coded: of each, its bytes by part and latent, and its PSNR."""

    frames: tuple[FrameExplanation, ...]

    @property
    def bytes(self) -> int:
        """Of all strings, as the harness counts."""
        return sum(frame.bytes for frame in self.frames)

    @property
    def psnr_db(self) -> float:
        """Mean over the frames, in 8-bit RGB."""
        known = [frame.psnr_db for frame in self.frames if frame.psnr_db is not None]
        return sum(known) / len(known)


@dataclass(frozen=True)
class ClipComparison:
    """One clip, before and after."""

    choice: Choice
    baseline: CodedClip
    ours: CodedClip
    lmbda: float | None
    """What ours searched with, to have the baseline's PSNR; None: it is coded as measured."""

    @property
    def is_equal(self) -> bool:
        """Whether ours has the baseline's PSNR, and hardly more."""
        return 0 <= self.ours.psnr_db - self.baseline.psnr_db <= ABOVE_DB


@torch.no_grad()
def compare_clip(
    rows: pd.DataFrame, name: str, weights: Sequence[Path] = (), frames: int = FRAMES
) -> ClipComparison:
    """Code a clip of the measured data again.

    Args:
        rows: the measurements.
        name: the clip's in them.
        weights: checkpoints; none: those of the zoo that the rows name.
        frames: at most so many, the first.

    Raises:
        LatentoptError: clip, weights or configurations are not to be had; the message says which.
    """
    choice, point = choose(rows, name, weights)
    data, measured = clips(str(rows["data"].iloc[0]))
    medium = replace(measured, frames=min(frames, measured.frames or frames))
    path = located(rows, name, data, medium)
    return _compared(choice, medium, path, loaded(point, rows, choice))


def _compared(choice: Choice, medium: Clips, path: Path, model: nn.Module) -> ClipComparison:
    baseline = _coded(medium.coder(parse(BASELINE), model), medium, path)
    codec = _matched(choice.config, medium, path, model, baseline)
    coder = clip_coder(codec) if codec else medium.coder(parse(choice.config), model)
    ours = _coded(coder, medium, path)
    return ClipComparison(choice, baseline, ours, codec.lmbda if codec else None)


def _matched(
    config: str, medium: Clips, path: Path, model: nn.Module, baseline: CodedClip
) -> VideoCodec | None:
    """What codes the clip with the baseline's PSNR, and hardly more; None where nothing does."""
    recipe = medium.extended(parse_recipe(config))
    if recipe.format != OWN or not recipe.effort:  # one key frame a clip, or no lambda to move
        return None
    ladder = ClipLadder({None: lambda: model}, recipe.but(gop=medium.gop))
    with open_clip(path, count=medium.frames) as clip:
        of_each = clip.format.width * clip.format.height
        pixels, target = of_each * len(baseline.frames), Psnr(baseline.psnr_db)
        try:
            return ladder.encode(clip, clip.format.rate, pixels, target).file.codec
        except RateRangeError:
            return None


def _coded(coder: Coder, medium: Clips, path: Path) -> CodedClip:
    """The clip as a codec of the harness codes it, group by group."""
    frames: list[FrameExplanation] = []
    for group in medium.groups([path]):
        coded = coder(group)
        pairs = zip(group, coded.decode(), strict=True)
        quality = [psnr_db(to_uint8(x), to_uint8(x_hat)) for x, x_hat in pairs]
        frames += map(FrameExplanation, _sizes(coded), quality)
    return CodedClip(tuple(frames))


def _sizes(coded: CodedGroup) -> list[Mapping[str, tuple[int, ...]]]:
    """Of each frame, by part, the bytes of its latents' strings."""
    frames = cast(Sequence[Strings], coded.strings)
    by_part = [one if isinstance(one, Mapping) else {KEY_PART: one} for one in frames]
    return [
        {name: tuple(coded_bytes(latent, 0) for latent in part) for name, part in frame.items()}
        for frame in by_part
    ]
