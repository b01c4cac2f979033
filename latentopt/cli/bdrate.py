"""`latentopt bdrate`: measure configurations of a codec on a data set and summarise them."""

import argparse

from latentopt.bench import options
from latentopt.bench.options import add_arguments

__all__ = ["EPILOG", "add_arguments", "run"]

EPILOG = """example:
  latentopt bdrate --codec tiny-mbt2018-mean --data kodak --configs baseline,oct,oct+shift"""


def run(args: argparse.Namespace) -> int:
    options.check(args)
    from latentopt.bench import command

    return command.run(args)
