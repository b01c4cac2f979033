"""A harness result as one HTML page that needs nothing else: see `latentopt report --help`."""

from latentopt.extras import need

need("bench", "pandas", "matplotlib")

from latentopt.report.page import report  # noqa: E402

__all__ = ["report"]
