"""Video in and out: clips as RGB frames, one at a time, whatever file they come from or go to."""

from latentopt.media.clips.clip import Clip, Format
from latentopt.media.clips.color import BT709, Colours, rgb_to_yuv420, yuv420_to_rgb
from latentopt.media.clips.suffixes import READABLE, WRITABLE, open_clip, write_clip

__all__ = [
    "BT709",
    "READABLE",
    "WRITABLE",
    "Clip",
    "Colours",
    "Format",
    "open_clip",
    "rgb_to_yuv420",
    "write_clip",
    "yuv420_to_rgb",
]
