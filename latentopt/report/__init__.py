"""A harness result as one HTML page that needs nothing else: see `latentopt report --help`."""

from latentopt.report.page import report

__all__ = ["report"]
