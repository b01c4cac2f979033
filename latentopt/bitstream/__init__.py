"""Bitstreams: step sizes, the formats of image and video files; and in `ans` the entropy coder,
which is not imported here, so that the header of a file can be read without PyTorch."""

from latentopt.bitstream.headers import Identity, Settings
from latentopt.bitstream.image_file import Container
from latentopt.bitstream.origin import Origin
from latentopt.bitstream.steps import DIRECTIONS, NO_SHIFT, decode_step, encode_step
from latentopt.bitstream.video_file import (
    KEY,
    PREDICTED,
    Header,
    count_frames,
    end_record,
    frame_record,
    frame_records,
    read_header,
)

__all__ = [
    "DIRECTIONS",
    "KEY",
    "NO_SHIFT",
    "PREDICTED",
    "Container",
    "Header",
    "Identity",
    "Origin",
    "Settings",
    "count_frames",
    "decode_step",
    "encode_step",
    "end_record",
    "frame_record",
    "frame_records",
    "read_header",
]
