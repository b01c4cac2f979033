"""Tables and figures of "Exploiting Latent Properties to Optimize Neural Codecs" (2501.01231).

Each file says what is run, what was published and where, and how measurements become its cells.
"""

PAPER = "arXiv 2501.01231"
