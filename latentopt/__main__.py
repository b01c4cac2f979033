"""`python -m latentopt`: the same as the `latentopt` command."""

import sys

from latentopt.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
