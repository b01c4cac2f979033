"""Figures of "Universally Quantized Neural Compression" (2006.09952).

`codecs` has the models of its Figures 5 and 6, and how they are trained.
"""

PAPER = "arXiv 2006.09952"
