"""Blocks of documents that are made of rows: `<!-- figures: NAME -->` … `<!-- /figures -->`."""

import re
from collections.abc import Callable, Mapping

from latentopt.errors import InputError
from tables.figures import compat, dither, gains, paper, probed, video, worst, zoo

BLOCKS: Mapping[str, Callable[[], str]] = {
    **compat.BLOCKS,
    **dither.BLOCKS,
    **gains.BLOCKS,
    **paper.BLOCKS,
    **probed.BLOCKS,
    **video.BLOCKS,
    **worst.BLOCKS,
    **zoo.BLOCKS,
}
"""Name of each block, and what makes its text."""

_BLOCK = re.compile(r"<!-- figures: ([\w-]+) -->\n.*?<!-- /figures -->", re.DOTALL)


def renewed(text: str) -> str:
    """A document with the text of its blocks made anew.

    Raises:
        InputError: there is no block of a name.
    """
    return _BLOCK.sub(_made, text)


def _made(found: re.Match[str]) -> str:
    name = found[1]
    if name not in BLOCKS:
        raise InputError(f"no block {name!r}; known: {', '.join(BLOCKS)}")
    return f"<!-- figures: {name} -->\n{BLOCKS[name]()}\n<!-- /figures -->"
