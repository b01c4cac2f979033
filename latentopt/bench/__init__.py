"""Evaluation: data sets, measured bytes and quality, Bjøntegaard differences, tables, plots."""
