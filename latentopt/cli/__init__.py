"""The `latentopt` command."""

from latentopt.cli.main import main

__all__ = ["main"]
