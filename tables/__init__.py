"""The paper's tables and figures, one small file each, run by `python -m tables NAME`.

*The paper* is "Exploiting Latent Properties to Optimize Neural Codecs" (arXiv 2501.01231). Each
file says what is run, what was published and where, and how measurements become its cells.
"""
