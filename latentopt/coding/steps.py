"""Shift step sizes as one byte each: 0, or a sign and a magnitude in eighths of an octave."""

import numpy as np

DIRECTIONS = ["density", "sign"]
"""Names of the shift directions, in the order of their number in the bitstream."""

NO_SHIFT = 0
_SIGN = 0x80
_MAGNITUDES = np.concatenate([[0.0], 2.0 ** ((np.arange(1, 128) - 100) / 8)])  # 2^-12.4 … 2^3.4


def decode_step(code: int) -> float:
    """Step size of a byte.

    >>> decode_step(100), decode_step(228), decode_step(0)
    (1.0, -1.0, 0.0)
    """
    magnitude = float(_MAGNITUDES[code & 0x7F])
    return -magnitude if code & _SIGN else magnitude


def encode_step(step: float) -> int:
    """Byte of the nearest magnitude (in log scale, within 4.4 %); 0 for what is below the smallest.

    >>> round(decode_step(encode_step(-0.1)), 4)
    -0.0964
    """
    if not abs(step) >= _MAGNITUDES[1] / np.sqrt(2):
        return NO_SHIFT
    index = int(np.clip(np.rint(8 * np.log2(abs(step))) + 100, 1, 127))
    return index | (_SIGN if step < 0 else 0)
