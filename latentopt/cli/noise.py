"""Warnings of the libraries underneath, which tell a user of the command nothing to act on."""

import warnings

_NOISY = r"(torch|compressai|torchquad|autoray|PIL)\b"


def quiet() -> None:
    """Show none of them from now on."""
    warnings.filterwarnings("ignore", module=_NOISY)
