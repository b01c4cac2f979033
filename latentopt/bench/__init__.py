"""Evaluation: data sets, measured bytes and quality, Bjøntegaard differences, tables, plots.

::

    rate points ──┐                                               ┌─► markdown
    configs ──────┼─► plan ─► task ─► measure ─► store ─► summary ┼─► plots
    data sets ────┘    └────────── sweep ─────────┘               └─► report
"""

from latentopt.extras import need

need("bench", "pandas", "matplotlib", "skimage", "pytorch_msssim")
