"""Figures of "Three Gaps for Quantisation in Learned Image Compression" (Pan et al., CVPR-W 2021).

The codecs are curves of `tables.universal.codecs`, trained from the same weights with one or
another thing in rounding's place; `trained.course` trains them, and measures on the way.
"""

PAPER = "Pan et al., CVPR-W 2021"
