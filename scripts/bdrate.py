"""Measure BD-rate of latentopt configurations: see `python scripts/bdrate.py --help`."""

import sys

from laboratory import use_laboratory_data

from latentopt.bench.command import main

if __name__ == "__main__":
    use_laboratory_data()
    sys.exit(main())
