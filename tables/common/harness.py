"""What tables take of the measuring harness `latentopt.bench`, in one place."""

from latentopt.bench.bdrate import MIN_POINTS, bd_psnr, bd_rate, db_per_doubling
from latentopt.bench.configs import padded, parse, parse_all
from latentopt.bench.datasets import Dataset
from latentopt.bench.evaluate import (
    Plan,
    RatePoint,
    checkpoint_points,
    commit,
    evaluate,
    quality_points,
    weights_hash,
)
from latentopt.bench.media import Clips, Images, Medium
from latentopt.bench.plots import plot_gains, plot_rd
from latentopt.bench.published import RdCurve, paper_gain, published_curve
from latentopt.bench.results import (
    COLUMNS,
    Measurement,
    ResultsFile,
    Settings,
    csv_line,
    drop_partial_line,
    read_measurements,
    read_rows,
)
from latentopt.bench.sequences import per_sequence
from latentopt.bench.summary import (
    BASELINE,
    against_published,
    complete_rows,
    means,
    summarise,
)

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
    "padded",
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
    "summarise",
    "weights_hash",
]
