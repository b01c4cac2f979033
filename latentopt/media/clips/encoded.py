"""Compressed video by way of PyAV: read `.mp4`, `.mkv` and their kin, write H.264 and FFV1.

FFmpeg delivers planes; the colours are ours (color.py), so that all files go one way.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from latentopt.errors import InputError
from latentopt.extras import need
from latentopt.media.clips.clip import DEFAULT_RATE, Format, Frames
from latentopt.media.clips.color import BT709, Colours, rgb_to_yuv420, yuv_to_rgb
from latentopt.media.clips.truncated import refuse_truncated

need("video", "av")

import av  # noqa: E402
from av.error import FFmpegError  # noqa: E402
from av.video.plane import VideoPlane  # noqa: E402
from av.video.stream import VideoStream  # noqa: E402

# ISO/IEC 23091-2 codes, as FFmpeg's AVCOL_SPC_*. 2: not said.
_WEIGHTS = {
    1: (BT709.red, BT709.blue),
    2: (BT709.red, BT709.blue),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
_HALF_CHROMA, _WHOLE_CHROMA = "yuv420p", "yuv444p"
_LIMITED, _FULL = 1, 2  # AVCOL_RANGE_*
_LARGEST = (1 << 31) - 1
_PLANAR = {f"yuv{j}{chroma}p" for j in ("", "j") for chroma in (420, 422, 444)}  # 8 bits


@dataclass(frozen=True)
class VideoFile:
    """The first video stream of a file."""

    path: Path
    format: Format
    count: int | None

    def frames(self, start: int) -> Frames:
        with closing(_decoded(self.path)) as frames:
            for frame in islice(frames, start, None):
                yield _to_rgb(frame, self.path)


def open_container(path: Path) -> VideoFile:
    """Any file that FFmpeg reads as video; its first frame is decoded to see that it can be."""
    refuse_truncated(path)
    with closing(_decoded(path)) as frames:
        first = next(frames, None)
    if first is None:
        raise InputError(f"{path}: holds no video frame")
    height, width = _to_rgb(first, path).shape[-2:]
    with _opened(path) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        return VideoFile(path, Format(width, height, rate), stream.frames or None)


@dataclass(frozen=True)
class Encoder:
    """How a suffix is written."""

    container: str
    codec: str
    options: dict[str, str] = field(default_factory=dict)
    if_odd: dict[str, str] | None = None
    """Options more where sides are odd and chroma of half the resolution needs even ones: then
    it has the whole resolution. None: it needs none."""

    @contextmanager
    def writer(self, path: Path, format: Format) -> Iterator[Callable[[Tensor], None]]:
        """Gives what appends a frame, (1, 3, H, W) in [0, 1]."""
        if max(format.rate.numerator, format.rate.denominator) > _LARGEST:
            raise InputError(
                f"{format.rate} frames per second: FFmpeg has 31 bits for each number; "
                "write .y4m or a folder of PNG"
            )
        with _system_errors(), av.open(path, "w", format=self.container) as container:
            layout, options = self._layout(format)
            stream = cast(
                VideoStream, container.add_stream(self.codec, rate=format.rate, options=options)
            )
            stream.width, stream.height, stream.pix_fmt = format.width, format.height, layout
            stream.codec_context.colorspace = 1
            stream.codec_context.color_range = _LIMITED
            written = 0

            def put(x: Tensor) -> None:
                nonlocal written
                frame = _to_frame(x, layout)
                frame.pts, frame.time_base = written, 1 / format.rate
                container.mux(stream.encode(frame))
                written += 1

            yield put
            container.mux(stream.encode())

    def _layout(self, format: Format) -> tuple[str, dict[str, str]]:
        """Of the samples, and all options."""
        if self.if_odd is None or format.width % 2 == format.height % 2 == 0:
            return _HALF_CHROMA, self.options
        return _WHOLE_CHROMA, {**self.options, **self.if_odd}


# Level 1 has no slices, with which FFmpeg before 7.1.1 loses the last chroma of odd widths.
_LOSSLESS = Encoder("matroska", "ffv1", {"level": "1"})
# x264 takes chroma of whole resolution to matter less, and quantizes it twice as coarsely.
_VISUALLY_LOSSLESS = Encoder(
    "mp4", "libx264", {"crf": "12", "preset": "medium"}, {"x264-params": "chroma-qp-offset=-6"}
)
ENCODERS = {".mkv": _LOSSLESS, ".mp4": _VISUALLY_LOSSLESS}


@contextmanager
def _system_errors() -> Iterator[None]:
    """FFmpeg's failures to write as the system's: those who call need not know FFmpeg's."""
    try:
        yield
    except FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error


def _decoded(path: Path) -> Generator[av.VideoFrame, None, None]:
    try:
        with _opened(path) as container:
            if not container.streams.video:
                raise InputError(f"{path}: holds no video, only other streams")
            yield from container.decode(container.streams.video[0])
    except FFmpegError as error:
        raise InputError(
            f"{path}: cannot be decoded ({error.strerror}): no video, damaged or truncated; "
            "replace the file"
        ) from error


def _opened(path: Path) -> av.container.InputContainer:
    return av.open(path, metadata_errors="replace")  # titles in old encodings are no obstacle


def _to_rgb(frame: av.VideoFrame, path: Path) -> Tensor:
    """(1, 3, H, W) in [0, 1], upright."""
    if any(component.is_alpha for component in frame.format.components):
        raise InputError(f"{path}: has an alpha channel ({frame.format.name}); flatten it first")
    if frame.format.is_rgb or frame.format.has_palette:
        pixels = torch.from_numpy(frame.to_ndarray(format="rgb24"))  # (H, W, 3)
        x = pixels.permute(2, 0, 1).unsqueeze(0).float() / 255
    else:
        x = _from_planes(frame, path)
    # Recorded by a camera held sideways; PyAV tells since version 14.1.
    return torch.rot90(x, round(getattr(frame, "rotation", 0) / 90), (-2, -1))


def _from_planes(frame: av.VideoFrame, path: Path) -> Tensor:
    if frame.colorspace not in _WEIGHTS:
        raise InputError(
            f"{path}: has a colour matrix that is not supported (code {frame.colorspace}); "
            "convert it to BT.709"
        )
    planar = frame if frame.format.name in _PLANAR else frame.reformat(format="yuv420p")
    red, blue = _WEIGHTS[frame.colorspace]
    full_range = planar.format.name.startswith("yuvj") or planar.color_range == _FULL
    y, u, v = (torch.from_numpy(_samples(plane).copy())[None, None] for plane in planar.planes)
    return yuv_to_rgb(y, u, v, Colours(red, blue, full_range)).clamp_(0, 1)


def _to_frame(x: Tensor, layout: str) -> av.VideoFrame:
    """With chroma of half the resolution, whatever the layout has."""
    height, width = x.shape[-2:]
    frame = av.VideoFrame(width, height, layout)
    for plane, samples in zip(frame.planes, rgb_to_yuv420(x)):
        values = samples[0, 0].numpy()
        if values.shape != (plane.height, plane.width):
            values = values.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
        _samples(plane)[:] = values
    return frame


def _samples(plane: VideoPlane) -> np.ndarray:
    """The plane's own memory, (height, width) uint8, without the padding of its lines."""
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, : plane.width]
