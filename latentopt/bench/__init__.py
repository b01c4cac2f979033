"""Evaluation: data sets, measured bytes and quality, Bjøntegaard differences, tables, plots.

::

    names ─► configs ─┐
    data sets ─► items┼─► task ─► measure ─► store ─► summary, bdrate ─► plots, report
    rate points ──────┘   └───── sweep: what the store lacks ─────┘
"""

from latentopt.extras import need

need("bench", "pandas", "matplotlib", "skimage", "pytorch_msssim")
