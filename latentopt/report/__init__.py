"""A harness result as one HTML page that needs nothing else: see `latentopt report --help`."""

import latentopt.bench  # noqa: F401 (first: it says which extra is missing)
from latentopt.report.page import report

__all__ = ["report"]
