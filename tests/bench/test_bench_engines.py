"""Rows measured by several processes: those of one, none lost or doubled whatever is killed."""

import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from support.dask import cluster
from support.fresh import started
from support.models import photo

from latentopt.bench.configs import parse_all
from latentopt.bench.datasets import Dataset
from latentopt.bench.provenance import file_hash
from latentopt.bench.store import COLUMNS, csv_line, read_measurements, read_rows
from latentopt.bench.sweep import evaluate
from latentopt.bench.task import Plan, quality_points
from latentopt.engine import LOCAL
from latentopt.errors import InputError
from latentopt.media.images import write_png

__all__ = ["cluster"]

CODEC = "tiny-bmshj2018-factorized"
KEY = ["point", "config", "image"]
TIMES = ["encode_s", "decode_s", "load", "engine"]


def plan_of(folder: Path) -> Plan:
    dataset = Dataset("toy", tuple(sorted(folder.glob("*.png"))))
    return Plan(CODEC, quality_points(CODEC, [1, 2]), parse_all(["baseline"]), dataset)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for seed in range(3):
        write_png(folder / f"{seed}.png", photo(80, 96, seed=seed))
    return folder


@pytest.fixture(scope="module")
def alone(images: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The rows of one process."""
    return evaluate(plan_of(images), tmp_path_factory.mktemp("alone") / "m.csv", progress=False)


def untimed(rows: pd.DataFrame) -> list[list[object]]:
    return rows.sort_values(KEY).drop(columns=[*TIMES, "ms_ssim"]).to_numpy().tolist()


def test_rows_say_where_and_of_what(images: Path, alone: pd.DataFrame) -> None:
    assert set(alone["engine"]) == {LOCAL.label} and (alone["load"] >= 0).all()
    assert dict(zip(alone["image"], alone["sha256"])) == {
        path.name: file_hash(path) for path in images.glob("*.png")
    }


def test_an_image_that_has_changed_is_refused(images: Path, tmp_path: Path) -> None:
    plan, path = plan_of(images), tmp_path / "m.csv"
    few = replace(plan, points=plan.points[:1], configs=plan.configs[:1])
    few = replace(few, dataset=few.dataset.first(1))
    evaluate(few, path, progress=False)
    other = tmp_path / "0.png"
    write_png(other, photo(80, 96, seed=9))
    changed = replace(few, dataset=Dataset("toy", (other,)))
    with pytest.raises(InputError, match=r"holds 0\.png as it was when its SHA-256 began with"):
        evaluate(changed, path, progress=False)


def test_files_of_earlier_versions_can_be_read_and_are_not_added_to(
    images: Path, alone: pd.DataFrame, tmp_path: Path
) -> None:
    path, earlier = tmp_path / "m.csv", COLUMNS[:-3]
    rows = alone[list(earlier)].to_numpy().tolist()
    path.write_text(csv_line(earlier) + "".join(map(csv_line, rows)))
    assert untimed(read_rows(path).assign(sha256="")) == untimed(alone.assign(sha256=""))
    assert {row.engine for row in read_measurements(path)} == {""}
    with pytest.raises(InputError, match=r"other columns .*engine, load, sha256"):
        evaluate(plan_of(images), path, progress=False)


# -- last, as the cluster runs until the module ends -----------------------------------------------


def test_a_cluster_measures_the_same(
    images: Path, alone: pd.DataFrame, cluster: str, tmp_path: Path
) -> None:
    from latentopt.engine.cluster import Dask

    plan = plan_of(images)
    with Dask(cluster, 2) as running:
        rows = evaluate(plan, tmp_path / "m.csv", progress=False, engine=running)
        again = evaluate(plan, tmp_path / "m.csv", progress=False, engine=running)
    assert untimed(rows) == untimed(alone) and again.equals(rows)
    assert set(rows["engine"]) == {"dask:2"} and set(rows["threads"]) == {1}


def measure(images: Path, path: Path, cluster: str) -> None:
    """The client that is killed."""
    from latentopt.engine.cluster import Dask

    with Dask(cluster, 2) as running:
        evaluate(plan_of(images), path, False, running)


def test_a_client_that_is_killed_goes_on_where_it_was(
    images: Path, alone: pd.DataFrame, cluster: str, tmp_path: Path
) -> None:
    from latentopt.engine.cluster import Dask

    path = tmp_path / "m.csv"
    client = started(measure, images, path, cluster)
    while client.is_alive() and (not path.exists() or len(path.read_text().splitlines()) < 3):
        time.sleep(0.02)
    client.kill()
    client.join(30)
    before = path.read_text().rpartition("\n")[0] + "\n"
    with Dask(cluster, 2) as running:
        rows = evaluate(plan_of(images), path, progress=False, engine=running)
    assert path.read_text().startswith(before)  # what was measured is not measured again
    assert untimed(rows) == untimed(alone)
