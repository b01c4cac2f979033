"""Bitstreams: the entropy coder, step sizes, and the formats of image and video files."""

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder, integer_bits
from latentopt.bitstream.headers import Identity, Settings
from latentopt.bitstream.image_file import Container
from latentopt.bitstream.steps import DIRECTIONS, NO_SHIFT, decode_step, encode_step
from latentopt.bitstream.video_file import (
    KEY,
    PREDICTED,
    Header,
    end_record,
    frame_record,
    frame_records,
)

__all__ = [
    "DIRECTIONS",
    "KEY",
    "NO_SHIFT",
    "PREDICTED",
    "Container",
    "Header",
    "Identity",
    "Settings",
    "SymbolDecoder",
    "SymbolEncoder",
    "decode_step",
    "encode_step",
    "end_record",
    "frame_record",
    "frame_records",
    "integer_bits",
]
