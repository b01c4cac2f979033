"""Measure BD-rate of latentopt configurations: see `python scripts/bdrate.py --help`."""

import sys

from latentopt.bench.command import main

if __name__ == "__main__":
    sys.exit(main())
