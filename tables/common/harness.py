"""What tables take of the measuring harness `latentopt.bench`, in one place."""

from latentopt.bench.bdrate import MIN_POINTS, bd_psnr, bd_rate, db_per_doubling
from latentopt.bench.configs import parse, parse_all
from latentopt.bench.datasets import Dataset
from latentopt.bench.items import Clips, Images, Medium
from latentopt.bench.measure import stepped
from latentopt.bench.plots import plot_gains, plot_rd
from latentopt.bench.provenance import commit, weights_hash
from latentopt.bench.published import RdCurve, paper_gain, published_curve
from latentopt.bench.sequences import per_sequence
from latentopt.bench.store import (
    COLUMNS,
    Measurement,
    ResultsFile,
    Settings,
    csv_line,
    drop_partial_line,
    read_measurements,
    read_rows,
)
from latentopt.bench.summary import BASELINE, against_published, complete_rows, means, summarise
from latentopt.bench.sweep import evaluate
from latentopt.bench.task import Plan, RatePoint, checkpoint_points, quality_points

__all__ = [
    "BASELINE",
    "COLUMNS",
    "MIN_POINTS",
    "Clips",
    "Dataset",
    "Images",
    "Measurement",
    "Medium",
    "Plan",
    "RatePoint",
    "RdCurve",
    "ResultsFile",
    "Settings",
    "against_published",
    "bd_psnr",
    "bd_rate",
    "checkpoint_points",
    "commit",
    "complete_rows",
    "csv_line",
    "db_per_doubling",
    "drop_partial_line",
    "evaluate",
    "means",
    "paper_gain",
    "parse",
    "parse_all",
    "per_sequence",
    "plot_gains",
    "plot_rd",
    "published_curve",
    "quality_points",
    "read_measurements",
    "read_rows",
    "stepped",
    "summarise",
    "weights_hash",
]
