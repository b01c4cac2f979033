"""Shift step sizes as one byte each: 0, or a sign and a magnitude in eighths of an octave."""

from collections.abc import Sequence

import numpy as np

from latentopt.errors import BitstreamError

DIRECTIONS = {"density": 1, "sign": 1, "split": 6}
"""Names of the shift directions, in the order of their number in the bitstream, and how many step
sizes each has: ``split`` is ``sign`` with one for each of six ranges of spread."""

NO_SHIFT = 0
_SIGN = 0x80
_MAGNITUDES = np.concatenate([[0.0], 2.0 ** ((np.arange(1, 128) - 100) / 8)])  # 2^-12.4 … 2^3.4


def pack_steps(codes: Sequence[int]) -> bytes:
    """The step codes of one latent: a lone one as it stands, else a mask and what is not zero.

    >>> pack_steps([100]).hex(), pack_steps([0, 100, 0, 228, 0, 0]).hex()
    ('64', '0a64e4')
    """
    if len(codes) == 1:
        return bytes(codes)
    mask = sum(1 << k for k, code in enumerate(codes) if code != NO_SHIFT)
    return bytes([mask, *(code for code in codes if code != NO_SHIFT)])


def unpack_steps(string: bytes, count: int) -> tuple[list[int], bytes]:
    """The mirror of :func:`pack_steps`: ``count`` step codes, and what follows them.

    Raises:
        BitstreamError: ``string`` is shorter than that, or was not written so.
    """
    if not string:
        raise BitstreamError("truncated: an empty string where a latent was expected")
    if count == 1:
        return [string[0]], string[1:]
    used = [k for k in range(8) if string[0] >> k & 1]
    codes, rest = [NO_SHIFT] * count, string[1 + len(used) :]
    if (used and used[-1] >= count) or len(string) <= len(used):
        raise BitstreamError("corrupt: the step sizes at the head of a string are not such")
    for k, code in zip(used, string[1:]):
        codes[k] = code
    if NO_SHIFT in string[1 : 1 + len(used)]:
        raise BitstreamError("corrupt: a step size at the head of a string is none")
    return codes, rest


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
