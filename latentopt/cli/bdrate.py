"""`latentopt bdrate`: measure configurations of a codec on a data set and summarise them."""

from latentopt.bench.command import add_arguments, run

__all__ = ["EPILOG", "add_arguments", "run"]

EPILOG = """example:
  latentopt bdrate --codec tiny-mbt2018-mean --data kodak --configs baseline,oct,oct+shift"""
