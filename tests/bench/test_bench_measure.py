"""The harness: tasks and their rows, resuming, and the command line."""

import csv
import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from compressai.models import JointAutoregressiveHierarchicalPriors, MeanScaleHyperprior
from PIL import Image
from torch import Tensor

from latentopt.bench import command
from latentopt.bench import measure as harness
from latentopt.bench.codecs import BaselineCodec, Compressed, Decompressed
from latentopt.bench.configs import parse_all
from latentopt.bench.datasets import Dataset
from latentopt.bench.provenance import commit, weights_hash
from latentopt.bench.published import published_curve
from latentopt.bench.store import COLUMNS, read_rows
from latentopt.bench.sweep import evaluate
from latentopt.bench.task import Plan, RatePoint, checkpoint_points, quality_points
from latentopt.errors import BitstreamError, InputError
from latentopt.media.images import read_image
from latentopt.media.quality import ms_ssim, psnr_db

WEIGHTS = Path("..") / "shared" / "weights"
KODAK = Path("..") / "shared" / "data" / "kodak"


def seeded_model(seed: int) -> MeanScaleHyperprior:
    torch.manual_seed(seed)
    model = MeanScaleHyperprior(8, 12).eval()
    model.update()
    return model


@pytest.fixture
def images(tmp_path: Path) -> Dataset:
    """Three noise images, two of them of one size, none a multiple of 64."""
    generator = np.random.default_rng(0)
    for name, shape in (("a", (50, 70, 3)), ("b", (64, 30, 3)), ("c", (50, 70, 3))):
        pixels = generator.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return Dataset("noise", tuple(sorted(tmp_path.glob("*.png"))))


@pytest.fixture
def plan(images: Dataset) -> Plan:
    points = [RatePoint(f"m{seed}", lambda seed=seed: seeded_model(seed)) for seed in (0, 1)]
    return Plan("mbt2018-mean", points, parse_all(["baseline"]), images)


def test_rows_are_what_the_codec_writes(plan: Plan, tmp_path: Path) -> None:
    rows = evaluate(plan, tmp_path / "out" / "m.csv", progress=False)
    assert tuple(rows.columns) == COLUMNS and len(rows) == 6
    row = rows[(rows["point"] == "m1") & (rows["image"] == "b.png")].iloc[0]
    codec = BaselineCodec(seeded_model(1))
    x = read_image(plan.dataset.paths[1])
    out = codec.compress(x)
    x_hat = codec.decompress(**out)["x_hat"].clamp(0, 1)
    assert (row["width"], row["height"]) == (30, 64)
    assert row["bytes"] == sum(len(s[0]) for s in out["strings"])
    assert row["bpp"] == pytest.approx(8 * row["bytes"] / (30 * 64))
    mse = ((x * 255).round() - (x_hat * 255).round()).double().square().mean().item()
    assert row["psnr_db"] == pytest.approx(10 * math.log10(255**2 / mse))
    assert math.isnan(row["ms_ssim"])
    assert row["encode_s"] > 0 and row["decode_s"] > 0
    assert row["weights"] == weights_hash(seeded_model(1)) != weights_hash(seeded_model(0))


def test_a_task_is_data_and_measured_alone(images: Dataset, tmp_path: Path) -> None:
    points = quality_points("tiny-mbt2018-mean", [1, 2])
    plan = Plan("tiny-mbt2018-mean", points, parse_all(["baseline", "oct"]), images, batch_size=2)
    tasks = [task for point in points for task in plan.tasks(point, done=())]
    assert len(tasks) == 2 * 2 * 2 and sum(len(task.items) for task in tasks) == 12
    assert pickle.loads(pickle.dumps(tasks)) == tasks
    rows = [row for task in reversed(tasks[-3:]) for row in harness.measure(task)]
    alone = [(row.point, row.config, row.image, row.bytes, row.psnr_db) for row in rows]
    whole = evaluate(plan, tmp_path / "m.csv", progress=False)
    columns = ["point", "config", "image", "bytes", "psnr_db"]
    assert set(alone) < set(whole[columns].itertuples(index=False, name=None))
    done = [tasks[0].cell.key(item) for item in plan.items[:1]]
    left = [item.name for task in plan.tasks(points[0], done) for item in task.items]
    assert left == ["b.png", "c.png", "a.png", "c.png", "b.png"]


def test_batches_measure_the_same_bytes(plan: Plan, tmp_path: Path) -> None:
    single = evaluate(plan, tmp_path / "1.csv", progress=False)
    batched = evaluate(replace(plan, batch_size=2), tmp_path / "2.csv", progress=False)
    key = ["point", "image", "bytes"]
    merged = single.merge(batched, on=key, suffixes=("", "_2"))
    assert len(merged) == 6
    assert merged["psnr_db"].to_numpy() == pytest.approx(merged["psnr_db_2"].to_numpy(), abs=0.01)


def count_codings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Record the shape of everything that is compressed, warm-ups left out."""
    coded: list[tuple[int, ...]] = []
    compress = BaselineCodec.compress

    def counting(self: BaselineCodec, x: Tensor) -> Compressed:
        coded.append(tuple(x.shape))
        return compress(self, x)

    monkeypatch.setattr(BaselineCodec, "compress", counting)
    monkeypatch.setattr(harness, "_warm_up", lambda *_: None)
    return coded


def test_resuming_redoes_only_what_is_missing(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.csv"
    whole = evaluate(plan, path, progress=False)
    lines = path.read_bytes().splitlines(keepends=True)
    coded = count_codings(monkeypatch)
    for cut, missing in ((lines, 0), ([*lines[:-1], lines[-1][:-9]], 1), (lines[:3], 4)):
        path.write_bytes(b"".join(cut))
        coded.clear()
        again = evaluate(plan, path, progress=False)
        assert len(coded) == missing
        key = ["point", "image", "bytes"]
        assert sorted(again[key].values.tolist()) == sorted(whole[key].values.tolist())
    path.write_bytes(lines[0][:20])  # killed while writing the header
    assert len(evaluate(plan, path, progress=False)) == 6


def test_resuming_with_other_settings_is_refused(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    evaluate(plan, path, progress=False)
    before = path.read_bytes()
    other = replace(plan, points=[RatePoint("m0", lambda: seeded_model(5)), plan.points[1]])
    with pytest.raises(InputError, match=r"m\.csv holds mbt2018-mean m0 measured with weights"):
        evaluate(other, path, progress=False)
    with pytest.raises(InputError, match=r"cannot resume.*batch_size 1 there, 2 here"):
        evaluate(replace(plan, batch_size=2), path, progress=False)
    renamed = replace(plan, dataset=replace(plan.dataset, name="other"))
    with pytest.raises(InputError, match="data 'noise' there, 'other' here"):
        evaluate(renamed, path, progress=False)
    assert path.read_bytes() == before
    path.write_bytes(before.replace(b"psnr_db", b"psnr", 1))
    with pytest.raises(InputError, match=r"other columns.*psnr"):
        evaluate(plan, path, progress=False)
    path.write_bytes(before.replace(b"cpu", b"c,pu", 1))
    with pytest.raises(InputError, match="line 2: damaged row"):
        evaluate(plan, path, progress=False)


def test_only_this_plans_rows_are_returned(plan: Plan, tmp_path: Path) -> None:
    evaluate(plan, tmp_path / "m.csv", progress=False)
    first = replace(plan, points=plan.points[:1], dataset=plan.dataset.first(2))
    assert len(evaluate(first, tmp_path / "m.csv", progress=False)) == 2


def test_codec_that_loses_pixels_is_caught(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def uncropped(self: BaselineCodec, strings: list[list[bytes]], shape: tuple) -> Decompressed:
        return self._model.decompress(strings, shape[0])

    monkeypatch.setattr(BaselineCodec, "decompress", uncropped)
    with pytest.raises(BitstreamError, match=r"a\.png: decoded to shape"):
        evaluate(plan, tmp_path / "m.csv", progress=False)


def test_bad_plans(plan: Plan) -> None:
    for change in ({"points": []}, {"steps": [0.0]}, {"steps": [math.nan]}, {"batch_size": 0}):
        with pytest.raises(InputError):
            replace(plan, **change)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no GPU"):
            replace(plan, device="cuda")


def test_metrics_against_definitions() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (3, 176, 161), generator=generator, dtype=torch.uint8)
    assert psnr_db(x, x) == math.inf
    assert ms_ssim(x, x) == pytest.approx(1.0, abs=1e-6)
    assert math.isnan(ms_ssim(x[:, :160], x[:, :160]))
    assert 0 <= ms_ssim(x, 255 - x) < 0.5


def test_command_on_real_codec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not WEIGHTS.is_dir():
        pytest.skip("../shared is absent")
    with Image.open(KODAK / "kodim20.png") as image:
        image.crop((200, 100, 392, 292)).save(tmp_path / "crop.png")
    argv = ["--codec", "mbt2018-mean", "--weights", str(WEIGHTS / "lab-mean-*.pt")]
    argv += ["--data", str(tmp_path / "crop.png"), "--configs", "baseline", "--quiet"]
    assert command.main([*argv, "--out", str(tmp_path / "out")]) == 0
    assert "lab-mean-4" in capsys.readouterr().out
    rows = read_rows(tmp_path / "out" / "measurements.csv")
    assert rows["bpp"].is_monotonic_increasing and rows["psnr_db"].is_monotonic_increasing
    assert rows["ms_ssim"].between(0.8, 1.0).all()
    made = {p.name for p in (tmp_path / "out").iterdir()}
    assert made == {"measurements.csv", "summary.md", "summary.csv", "means.csv", "rd.png"}


def test_real_codec_codes_kodim20_as_known(tmp_path: Path) -> None:
    """Zoo weights on a whole Kodak image: the smooth kodim20 costs less than the mean image."""
    if not WEIGHTS.is_dir():
        pytest.skip("../shared is absent")
    points = checkpoint_points("bmshj2018-factorized", [WEIGHTS / "bmshj2018-factorized-q2.pt"])
    image = Dataset("one", (KODAK / "kodim20.png",))
    plan = Plan("bmshj2018-factorized", points, parse_all(["baseline"]), image)
    (row,) = evaluate(plan, tmp_path / "m.csv", progress=False).to_dict("records")
    curve = published_curve("bmshj2018-factorized")
    assert row["point"] == "bmshj2018-factorized-q2"
    assert row["bpp"] < curve.bpp[1] and row["psnr_db"] > curve.psnr_db[1]
    assert row["psnr_db"] < curve.psnr_db[3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--codec", "jpegxl"], "unknown codec"),
        (["--codec", "mbt2018-mean", "--configs", "octo"], "configuration 'octo'"),
        (["--codec", "mbt2018-mean", "--qualities", "1,x"], "--qualities '1,x'"),
        (["--codec", "mbt2018-mean", "--qualities", "1", "--weights", "w"], "exclude each other"),
        (["--codec", "mbt2018-mean", "--steps", "-1"], "step -1"),
        (["--codec", "mbt2018-mean", "--limit", "0"], "at least 1"),
        (["--codec", "mbt2018-mean", "--threads", "0"], "--threads 0"),
        (["--codec", "mbt2018-mean", "--data", "nowhere"], "names no file"),
        (["--codec", "bmshj2018-factorized-relu"], "give --weights"),
    ],
)
def test_user_errors_are_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = [] if "--data" in options else ["--data", "sample"]
    assert command.main([*options, *data]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_csv_survives_odd_file_names(images: Dataset, plan: Plan, tmp_path: Path) -> None:
    odd = tmp_path / 'a, "b".png'
    images.paths[0].rename(odd)
    one = replace(plan, points=plan.points[:1], dataset=Dataset("odd", (odd,)))
    evaluate(one, tmp_path / "m.csv", progress=False)
    with open(tmp_path / "m.csv", newline="") as file:
        assert next(iter(csv.DictReader(file)))["image"] == odd.name
    assert len(evaluate(one, tmp_path / "m.csv", progress=False)) == 1


def test_the_baseline_of_a_codec_without_an_adapter() -> None:
    model = JointAutoregressiveHierarchicalPriors(8, 12).eval()
    model.update()
    baseline = BaselineCodec(model)
    x = torch.rand(1, 3, 50, 70)
    out = baseline.compress(x)
    assert baseline.decompress(out["strings"], out["shape"])["x_hat"].shape == x.shape


def test_commit_outside_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latentopt.bench.provenance._git", lambda *_: "")
    monkeypatch.delenv("LATENTOPT_COMMIT", raising=False)
    assert commit() == ""
    monkeypatch.setenv("LATENTOPT_COMMIT", "0123abc")
    assert commit() == "0123abc"
