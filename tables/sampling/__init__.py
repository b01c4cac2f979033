"""Tables and figures of "Compression without Quantization" (Flamich 2019).

`codecs` has its models, and how they are trained; `common` what the tables share.
"""

PAPER = "Flamich, Compression without Quantization (thesis, 2019)"
