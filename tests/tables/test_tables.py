"""The runner of the paper's tables and figures, on toy data."""

import doctest
import json
import shutil
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import torch
from conftest import SHARED
from support.fresh import workers_from_the_server
from support.models import photo

from latentopt.lattices import LATTICES
from latentopt.media.images import write_png
from tables import __main__ as command
from tables import experiment_of, files
from tables.common import data, places, report, subjects, tangent
from tables.common.experiment import Cell, Experiment, Request
from tables.common.harness import COLUMNS, Dataset, read_rows
from tables.common.keep import keep
from tables.common.subjects import Subject, resolve
from tables.latent_shift import (
    figure2,
    figure4,
    figure7,
    table1,
    table2,
    table3,
    table4,
    table5,
    table6,
)
from tables.latent_shift.figure4c import PROBE, Figure4c, correlation

CODEC = "tiny-bmshj2018-factorized"
MEAN = "tiny-mbt2018-mean"
FILE = f"{places.TABLES}/toy/{CODEC}.csv"
ANOTHER_RUN = f"{places.CODED}/lattices/toy/{CODEC}.csv"


def toy(folder: Path) -> Request:
    """Two small images, one embedded codec, nothing measured yet."""
    paths = []
    for seed in range(2):
        paths.append(folder / f"{seed}.png")
        write_png(paths[-1], photo(60, 128, seed=seed))
    dataset = Dataset("toy", tuple(paths))
    rows, committed = folder / "rows", folder / "committed"
    committed.mkdir()
    return Request("toy", dataset, resolve([CODEC]), rows, committed, seeds=3, progress=False)


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    return toy(tmp_path)


def by_place(experiment: Experiment, request: Request) -> dict[tuple[str, str], Cell]:
    return {(c.row, c.column): c for c in experiment.cells(request)}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows that table 1 measures of hex, which several tests start from."""
    folder = tmp_path_factory.mktemp("measured")
    by_place(table1.EXPERIMENT, replace(toy(folder), configs=("hex",)))
    return folder / "rows"


@pytest.fixture
def hex_only(request_: Request, measured: Path) -> Request:
    """Of which all rows are there."""
    shutil.copytree(measured, request_.rows)
    return replace(request_, configs=("hex",))


def test_table1_measures_resumes_and_reuses_what_is_committed(request_: Request) -> None:
    asked = replace(request_, configs=("hex",))
    cells = by_place(table1.EXPERIMENT, asked)
    assert -20 < cells[CODEC, "hex"].measured < 20
    assert cells[CODEC, "oct"].note == "not measured"
    file = asked.rows / FILE
    rows = file.read_text()
    assert len(rows.splitlines()) == 1 + 4 * 2 * 2  # qualities, configurations, images
    assert by_place(table1.EXPERIMENT, asked) == cells and file.read_text() == rows

    write(asked.committed / ANOTHER_RUN, rows)
    write(asked.committed / f"{places.CODED}/lattices/other/{CODEC}.csv", "not,measurements\n1,2\n")
    elsewhere = replace(asked, rows=asked.rows.parent / "again", run=False)
    again = by_place(table1.EXPERIMENT, elsewhere)
    assert again[CODEC, "hex"] == cells[CODEC, "hex"]
    assert read_rows(elsewhere.rows / FILE).equals(read_rows(file))


def test_without_weights_the_committed_rows_are_shown(hex_only: Request) -> None:
    asked = hex_only
    cells = by_place(table1.EXPERIMENT, asked)
    keep(asked.rows, asked.committed)
    there = replace(asked, subjects=[s.recorded() for s in asked.subjects])
    again = by_place(table1.EXPERIMENT, replace(there, rows=asked.rows / "none"))
    assert again[CODEC, "hex"] == cells[CODEC, "hex"]
    toy = data.recorded("toy", asked.committed)
    assert toy.names == asked.dataset.names
    assert by_place(table1.EXPERIMENT, replace(there, dataset=toy)) == again


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_rows_of_other_weights_or_settings_are_not_reused(hex_only: Request) -> None:
    asked = hex_only
    rows = pd.read_csv(asked.rows / FILE)
    rows.loc[rows["point"] == "q1", "weights"] = "0" * 12
    rows.loc[rows["point"] == "q2", "threads"] = 7
    write(asked.committed / ANOTHER_RUN, rows.to_csv(index=False, na_rep="nan"))
    elsewhere = replace(asked, rows=asked.rows.parent / "again", run=False)
    by_place(table1.EXPERIMENT, elsewhere)
    assert set(read_rows(elsewhere.rows / FILE)["point"]) == {"q3", "q4"}


def test_what_was_measured_is_kept_once(hex_only: Request) -> None:
    asked = hex_only
    probe, times = "probes/lattices/toy/a.csv", f"{places.TIMES}/toy/{CODEC}.csv"
    write(asked.rows / probe, "codec\na\n")
    write(asked.rows / "probes/lattices/toy/b.csv", "codec\n")  # nothing measured yet
    write(asked.rows / times, (asked.rows / FILE).read_text())
    kept = {asked.committed / name for name in (FILE, probe, times)}
    assert set(keep(asked.rows, asked.committed)) == kept
    assert all(
        path.read_text() == (asked.rows / path.relative_to(asked.committed)).read_text()
        for path in kept
    )
    assert keep(asked.rows, asked.committed) == []
    write(asked.rows / probe, "codec\nb\n")  # of another process
    assert keep(asked.rows, asked.committed) == [asked.committed / probe]
    assert (asked.committed / probe).read_text() == "codec\na\nb\n"


def test_rows_of_another_run_are_not_kept_twice(hex_only: Request) -> None:
    asked = hex_only
    whole = (asked.rows / FILE).read_text().splitlines(keepends=True)
    write(asked.committed / ANOTHER_RUN, "".join(whole[:6]))
    assert keep(asked.rows, asked.committed) == [asked.committed / FILE]
    assert (asked.committed / FILE).read_text() == "".join([whole[0], *whole[6:]])


def test_processes_share_the_work(
    request_: Request,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    workers_from_the_server(monkeypatch)
    monkeypatch.setattr(figure2, "measure", partial(figure2.measure, 24_000))
    argv = ["table1", "figure2", "table5", "--data", str(tmp_path), "--codecs", CODEC, "--quiet"]
    argv += ["--configs", "hex", "--limit", "2", "--out", str(tmp_path / "out")]
    argv += ["--committed", str(tmp_path / "none")]
    together, alone = tmp_path / "together", tmp_path / "alone"
    assert command.main([*argv, "--rows", str(together), "--jobs", "2"]) == 0
    assert set(read_rows(next(together.rglob("tables/**/*.csv")))["engine"]) == {"processes:2"}
    assert command.main([*argv, "--rows", str(alone)]) == 0
    for path in alone.rglob("*.csv"):
        name = path.relative_to(alone)
        lines = [[_untimed(line) for line in (d / name).open()] for d in (alone, together)]
        assert sorted(lines[0]) == sorted(lines[1]) and len(lines[0]) > 8
    capsys.readouterr()
    assert command.main(["table6", *argv[3:], "--rows", str(tmp_path), "--jobs", "2"]) == 2
    assert "table6 is about time" in capsys.readouterr().err


def _untimed(line: str) -> str:
    """A row of measurements without its seconds, engine and load; others as they are."""
    cells = line.split(",")
    return ",".join(cells[:12] + cells[14:-2] if len(cells) == len(COLUMNS) else cells)


def test_codecs_without_weights_say_so(request_: Request) -> None:
    absent = replace(request_, data="kodak", subjects=resolve(["zoo"]))
    cells = by_place(table1.EXPERIMENT, absent)
    assert cells["invcompress", "hex"].note == "needs invcompress weights"
    assert cells["invcompress", "hex"].published == -0.21
    labels = [s.label for s in absent.subjects]
    assert labels[:2] == ["bmshj2018-factorized", "mbt2018-mean"]
    text = report.grid(list(cells.values()))
    assert "| invcompress | needs invcompress weights (−0.21) | (−0.55) |" in text


def test_table4_orders_the_directions(request_: Request) -> None:
    one = replace(request_, dataset=request_.dataset.first(1))
    cells = by_place(table4.EXPERIMENT, one)
    row = f"{CODEC}, best of 3"
    assert cells[row, "random"].measured < cells[row, "latent shift"].measured
    more = by_place(table4.EXPERIMENT, replace(one, seeds=1))
    assert {row for row, _ in more} == {row, f"{CODEC}, best of 1"}
    assert {place: more[place] for place in cells} == cells


def test_figure4_has_a_gain_at_each_quality(request_: Request) -> None:
    asked = replace(request_, configs=("hex", "shift"))
    cells = by_place(figure4.EXPERIMENT, asked)
    assert len({row for row, _ in cells}) == 4
    bpp = [c.measured for (_, column), c in cells.items() if column == "bpp"]
    assert bpp == sorted(bpp)
    assert all(-30 < c.measured < 10 for (_, name), c in cells.items() if name in asked.configs)
    assert cells[f"{CODEC} q1", "join"].note == "not measured"
    figure4.EXPERIMENT.plot(list(cells.values()), asked, asked.rows / "plot.png")
    assert (asked.rows / "plot.png").stat().st_size > 1000


def test_gain_at_a_quality_is_by_the_slope_of_the_curve() -> None:
    rate = {"point": ["a", "b", "c"], "bpp": [0.1, 0.2, 0.4], "psnr_db": [28.0, 31.0, 34.0]}
    base = pd.DataFrame({**rate, "config": "baseline"})
    better = base.assign(config="hex", psnr_db=base["psnr_db"] + 0.3, bpp=base["bpp"] * 0.99)
    rows = pd.concat([base, better]).assign(
        codec="c", step=1.0, image="x", bytes=1, ms_ssim=1.0, encode_s=1.0, decode_s=1.0
    )
    gains, note = figure4.gains_at_points(rows, "hex")
    assert gains.to_numpy() == pytest.approx(100 * (0.99 * 2**-0.1 - 1))  # 3 dB per doubling
    assert note == "" and figure4.gains_at_points(rows, "oct")[1] == "not measured"
    more = pd.concat([rows, rows[rows["config"] == "baseline"].assign(image="y")])
    assert figure4.gains_at_points(more, "hex")[1] == "1 of 2 images"
    part = rows[(rows["config"] == "baseline") | (rows["point"] != "b")]
    assert figure4.gains_at_points(part, "hex")[1] == "not measured"


@pytest.mark.parametrize("experiment", [table5.EXPERIMENT, Figure4c()])
def test_probes_resume(experiment: Experiment, request_: Request) -> None:
    cells = list(experiment.cells(request_))
    assert all(c.measured == c.measured for c in cells if CODEC in c.row)
    [file] = request_.rows.rglob("*.csv")
    before = file.read_text()
    file.write_text(before + CODEC)  # a run that was killed while it wrote
    again = list(experiment.cells(replace(request_, run=False)))
    assert [c.measured for c in again] == [c.measured for c in cells]
    assert file.read_text() == before
    plot = request_.rows.parent / "plot.png"
    experiment.plot(cells, request_, plot)
    assert plot.stat().st_size > 1000


def test_table3_true_gradients_are_the_limit(request_: Request) -> None:
    one = request_.dataset.first(1)
    asked = replace(request_, dataset=one, subjects=resolve([MEAN, CODEC]))
    cells = by_place(table3.EXPERIMENT, asked)
    assert {row.split(":")[0] for row, _ in cells} == {MEAN}  # the other has no side latent
    for column in ("side BD-rate", "main BD-rate"):
        true, own = (cells[f"{MEAN}: {row}", column].measured for row in table3.ROWS)
        assert true < own < 0.5
    assert cells[f"{MEAN}: true gradients", "main BD-PSNR"].measured > 0.1


def test_table6_counts_operations(request_: Request) -> None:
    asked = replace(request_, configs=("hex", "shift"))
    cells = by_place(table6.EXPERIMENT, asked)
    macs = {row: cells[f"{CODEC}: {row}", "encode MACs"].measured for row in ("hex", "base")}
    assert macs["hex"] == macs["base"] > 1  # lattices need no network
    assert cells[f"{CODEC}: shift, secant", "encode MACs"].measured > 2 * macs["base"]
    assert cells[f"{CODEC}: base", "encode ratio"].measured == 1


def test_figure7_is_table5_by_quality(request_: Request) -> None:
    one = replace(request_, dataset=request_.dataset.first(1), subjects=resolve([MEAN, CODEC]))
    cells = by_place(figure7.EXPERIMENT, one)
    assert {row for row, _ in cells} == {f"{MEAN} q{q}" for q in (1, 2, 3, 4)}
    same = replace(one, subjects=resolve([MEAN]), run=False)
    integral = by_place(table5.EXPERIMENT, same)[f"{MEAN}: oct", "BD-PSNR"].measured
    gains = [cells[f"{MEAN} q{q}", "oct PSNR"].measured for q in (1, 2, 3, 4)]
    assert min(gains) < integral < max(gains)
    plot = one.rows.parent / "plot.png"
    figure7.EXPERIMENT.plot(list(cells.values()), one, plot)
    assert plot.stat().st_size > 1000


def test_figure2_gains_are_those_of_the_second_moments() -> None:
    found = figure2.measure(72_000)
    uniform = found[found["source"] == "uniform"].set_index(["lattice", "rate"])["snr_db"]
    plain = uniform["int"].iloc[0]
    for name, lattice in LATTICES.items():
        gain = -10 * torch.tensor(12 * lattice.second_moment).log10()
        assert abs(uniform[name].iloc[0] - plain - float(gain)) < 0.05


def test_correlation_has_a_sign() -> None:
    a = torch.randn(100, generator=torch.Generator().manual_seed(0))
    assert abs(correlation(a, -2 * a) + 1) < 1e-6
    assert set(PROBE.quantities) == {"correlation", "gain_db"}


def test_clic_is_what_was_held_out() -> None:
    whole = Dataset("clic2020", tuple(Path(f"{i:02}.png") for i in range(28)))
    assert [p.stem for p in data.held_out(whole).paths] == ["00", "07", "14", "21"]


def test_table2_starts_from_what_is_committed(shared: Path, tmp_path: Path) -> None:
    clips = data.resolve_clips("video")
    assert set(clips.names) == {"basketballpass_416x240", "coastguard_cif", "foreman_cif"}
    codec = resolve(["tiny-ssf2020"], video=True)
    request = Request("video", clips, codec, tmp_path, places.MEASURED, run=False)
    cells = by_place(table2.EXPERIMENT, request)
    assert {column for _, column in cells} == set(table2.ALL)
    assert cells["tiny-ssf2020: average curve", "default"].measured < -9


def test_names_of_groups_and_codecs() -> None:
    assert [s.label for s in resolve(["tiny"])][:1] == [CODEC]
    assert all(isinstance(s, Subject) and s.points for s in resolve([CODEC, MEAN]))
    assert resolve(["mbt2018"])[0].recorded().lacking == subjects.NEEDS_ZOO
    assert places.slug("a, b…c") == "a-b-c"


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    folders = ["--rows", str(tmp_path / "rows"), "--out", str(out), "--report"]
    assert command.main(["table1", "figure3", "--data", "sample", "--codecs", CODEC, *folders]) == 0
    assert {p.name for p in out.iterdir()} >= {"table1-sample.md", "table1-sample.csv"}
    text = (out / "table1-sample.md").read_text()
    assert "python -m tables table1 --data sample" in text and "thread(s)" in text
    assert command.main(["table1", "--data", "nowhere", *folders]) == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("name", files())
def test_every_experiment_says_what_it_is(name: str) -> None:
    experiment = experiment_of(name)
    assert experiment.name == name and experiment.title
    assert any(where in experiment.source for where in ("arXiv", "CVPR", "thesis"))


def test_published_values_are_those_of_the_paper() -> None:
    if not SHARED.is_dir():
        pytest.skip("../shared is absent")
    paper = json.loads((SHARED / "reference/paper_tables.json").read_text())
    for codec, row in paper["table1_bd_rate_percent"].items():
        if codec != "columns":
            kodak, clic = (table1.PUBLISHED[d][codec] for d in ("kodak", "clic"))
            assert [*kodak, *clic] == row
    for key, ours in (
        ("table3_mbt2018_mean_kodak", table3.PUBLISHED),
        ("table4_bd_psnr_db", table4.PUBLISHED),
    ):
        assert {row: list(v) for row, v in ours.items()} == _rows(paper[key])
    lattices = table5.PUBLISHED["mbt2018-mean"]
    assert {n: list(v.values()) for n, v in lattices.items()} == _rows(
        paper["table5_mbt2018_mean_kodak"]
    )
    seconds = _rows(paper["table6_seconds"])
    assert {c: list(v) for c, v in table6.PUBLISHED.items()}.items() <= seconds.items()


def _rows(table: dict[str, list[float]]) -> dict[str, list[float]]:
    return {row: values for row, values in table.items() if row != "columns"}


@pytest.mark.parametrize("module", [report, places, tangent, import_module("tables.common.probes")])
def test_examples(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0 == found.failed
