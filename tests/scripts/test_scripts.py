"""Each script runs on the least it can run on, and what it prints is what it should be."""

import itertools
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import against
import common
import context_rate
import dcvc_check
import demo
import directions
import dithered
import drift
import effort
import encode_split
import exactness
import fit_tails
import fuzz
import lambdas
import laplace_accuracy
import level_lattices
import pandas as pd
import pmf_accuracy
import pytest
import roundtrips
import sampling
import ship_tables
import threads
import timing
import torch
import video_report
import video_timing
import worst_image
from support.dcvc_models import DualPrior, lively
from support.fresh import run_script
from support.models import moving, photo
from torch import Tensor

from latentopt import zoo
from latentopt.adapters import intra
from latentopt.bench.datasets import Dataset
from latentopt.errors import InputError
from latentopt.latents.lattice import LatticeChannel, shipped
from latentopt.media.images import read_image, write_png
from latentopt.zoo.embedded import EMBEDDED
from latentopt.zoo.folder import Folder

CODEC, QUALITY = "tiny-mbt2018-mean", 1
Output = Callable[[], str]


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Output:
    """What was printed since the last call."""
    return lambda: capsys.readouterr().out


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small image whose size needs no padding."""
    path = tmp_path_factory.mktemp("images") / "x.png"
    write_png(path, photo(64, 128))
    return str(path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    for i, frame in enumerate(moving(3, 100, 120)):
        write_png(folder / f"{i}.png", frame)
    return folder


def cells(text: str) -> list[list[str]]:
    """Of all lines of Markdown tables but the heads' second ones."""
    rows = [line.strip("| ").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if "---" not in row[-1]]


def codec(image: str) -> list[str]:
    return ["--codec", CODEC, "--quality", str(QUALITY), "--data", image, "--limit", "1"]


# -- images ----------------------------------------------------------------------------------------


def test_context_rate(image: str, output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_rate, "RULES", ("int", "e8"))
    context_rate.main(["--codec", "tiny-mbt2018", "--quality", "1", "--data", image])
    rows = {name: values for name, *values in cells(output())[1:]}
    assert rows["int"][0] == rows["int"][1] and rows["int"][2:] == ["+0.00 %"] * 2
    own, rounded = (int(size.split()[0]) for size in rows["e8"][:2])
    assert own > 0 and 0.9 < own / rounded < 1.1


def test_directions(image: str, output: Output) -> None:
    directions.main(codec(image))
    table = cells(output())
    rows = [row for row in table if row[0].endswith(", dB")]
    assert [row[0] for row in rows] == [f"{name}, dB" for name in directions.FAMILIES] * 2
    for _, none, *split in rows:
        assert all(float(gain) >= float(none) - 1e-4 for gain in split)  # a finer fit is no worse


def test_effort(image: str, output: Output, tmp_path: Path) -> None:
    effort.main([*codec(image), "--steps", "1", "10", "--out", str(tmp_path)])
    rows = {name: (float(cost), float(ratio)) for name, cost, ratio in cells(output())[1:]}
    assert rows["int"][0] == 0 and rows["10"][0] < rows["1"][0]
    assert all(ratio > 0 for _, ratio in rows.values())
    assert (tmp_path / "effort.png").stat().st_size > 1000


def test_exactness(image: str, output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = zoo.find(CODEC, QUALITY)
    monkeypatch.setattr(exactness, "CHECKPOINTS", {weights: "mbt2018-mean"})
    exactness.main(["--data", image])
    text = output()
    assert re.search(r"portable=False: .* x_hat 0\.0e\+00, 8-bit samples that differ: 0\n", text)
    extra = [float(n) for n in re.findall(r"which is (-?[\d.]+) bytes at most", text)]
    assert len(extra) == 6 and max(extra) < 16


def test_fit_tails(image: str, output: Output) -> None:
    fit_tails.main(["--weights", str(zoo.find(CODEC, QUALITY)), "--data", image])
    means = [float(line.split("%")[0]) for line in output().splitlines()]
    *best, shipped = means
    assert len(best) == 10 and best == sorted(best) and best[0] <= shipped < 5


def test_lambdas(output: Output) -> None:
    lambdas.main([f"{CODEC} 1", f"{CODEC} 4"])
    (_, low, _), (_, high, trained) = cells(output())[1:]
    assert 0 < float(low) < float(high) and float(trained) == zoo.lmbda(CODEC, 4)


def test_timing(image: str, output: Output) -> None:
    weights = str(zoo.find(CODEC, QUALITY))
    options = ["--weights", weights, "--configs", "int", "--threads", "1"]
    timing.main(["--data", image, *options])
    rows = [line.split() for line in output().splitlines()]
    assert rows[-2][0::2] == ["CompressAI", "1.000", "1.000"]
    assert rows[-1][0] == "int" and all(float(n) > 0 for n in rows[-1][1:])


def test_timing_of_a_preset_and_a_codec_of_the_zoo(image: str, output: Output) -> None:
    options = ["--codec", CODEC, "--quality", str(QUALITY), "--configs", "fast", "--threads", "1"]
    timing.main(["--data", image, *options])
    name, encode, ratio, *_ = output().splitlines()[-1].split()
    assert name == "fast" and float(encode) > 0 and float(ratio) > 1  # it searches


def test_encode_split(image: str, output: Output) -> None:
    which = ["--codec", CODEC, "--quality", str(QUALITY)]
    encode_split.main(["--data", image, *which, "--presets", "default", "--repeats", "1"])
    *parts, whole = cells(output())
    names = [name for name, *_ in parts]
    assert {"analysis", "gradients through the synthesis", "strings", "the rest"} <= set(names)
    seconds = [float(row[2]) for row in parts if row[2][0].isdigit()]
    assert sum(seconds) == pytest.approx(float(whole[2]), abs=0.001 * len(parts))
    assert not hasattr(LatticeChannel.send, "__wrapped__")


def test_timing_of_random_weights_has_work_for_the_coders(image: str) -> None:
    x = photo(64, 64)
    model = timing.random_model("cheng2020-attn", x)
    assert sum(len(s[0]) for s in model.compress(x)["strings"]) > 500


def test_roundtrips(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", run_script)
    monkeypatch.setattr(roundtrips, "RANDOM", {"mbt2018": roundtrips.RANDOM["mbt2018"]})
    monkeypatch.setattr(roundtrips, "EMBEDDED", ())
    assert roundtrips.main(["--count", "2"]) == 0
    assert output() == "2 combinations, 0 not identical\n"


def test_dithered(
    image: str, output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dithered, "LATTICES", ("int", "e8"))
    dithered.main(codec(image))
    rows = [[float(n) for n in row[2:]] for row in cells(output())[1:]]
    assert len(rows) == 4 and all(rows[i][0] < rows[i + 1][0] for i in (0, 2))  # noise has a rate
    monkeypatch.setattr(dithered, "RANDOM", {"mean": dithered.RANDOM["mean"]})
    monkeypatch.setattr(dithered, "EMBEDDED", ())
    folder = tmp_path / "rows"
    assert dithered.main(["--trips", "6", "--piece", "2/2", "--rows", str(folder)]) == 0
    assert output() == "3 combinations, 0 not identical\n"
    kept = pd.read_csv(folder / "mean.csv")
    assert len(kept) == 3 and kept["same"].all()
    pieces = [dithered.Trips.asked(6, piece).cases for piece in ("1/2", "2/2")]
    assert pieces[0] + pieces[1] == dithered.Trips(6).cases
    assert list(kept["seed"]) == [case.seed for case in pieces[1]]


def test_sampling(image: str, output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SPREADS", (0.5,))
    sampling.main([*codec(image), "--samplers", "layered,uniform"])
    rounding, layered, uniform = (
        [float(n or "nan") for n in row[2:]] for row in cells(output())[1:]
    )
    assert rounding[0] < uniform[0] < layered[0] and layered[1] < layered[2]  # KL is the least
    monkeypatch.setattr(sampling, "SIGMAS", (0.6,))
    monkeypatch.setattr(sampling, "COUNTS", dict.fromkeys(sampling.SAMPLERS, 200))
    sampling.main(["--coders"])
    assert len(cells(output())) == 1 + len(sampling.SAMPLERS)
    sampling.exponents()
    assert "astar: rank" in output()


def test_fuzz(output: Output) -> None:
    fuzz.main(["--count", "48"])
    counts = [line.split()[:2] for line in output().splitlines()[:-1]]
    assert {kind for _, kind in counts} == set(fuzz.KINDS)
    assert sum(int(n) for n, _ in counts) == 48


def test_against(image: str, output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(against.__file__).parents[1]
    monkeypatch.chdir(root)
    monkeypatch.setattr(against, "CONFIGS", {"oct": {"quant": "oct", "shift": False}})
    against.main(["--other", str(root), "--images", image, "--quality", "1"])
    assert re.match(r"oct +encode \d.*; 0 of 1 streams differ\n$", output())


@torch.no_grad()
def test_dcvc_check_of_drawn_symbols() -> None:
    """Bytes of symbols drawn from a codec's own densities are what these densities say."""
    model = lively(DualPrior)
    adapter = intra()(model, True)
    [z] = adapter.deeper(adapter.analysis(photo(256, 256)))
    features = adapter.features(z.round().double().numpy().ravel(), z.shape[1:])

    def formula(points: Tensor, scales: Tensor) -> Tensor:
        wide = scales.clamp(min=float(adapter.main_density.scales[0]))
        ends = [torch.special.ndtr((half - points.abs()) / wide) for half in (0.5, -0.5)]
        return -(ends[0] - ends[1]).log2().sum()

    ours, estimated = dcvc_check.drawn(adapter, features, formula)
    assert estimated > 1000 and 0.99 < ours / estimated < 1.05
    assert "2 estimated, -50.00 %  ROUND TRIP DIFFERS" in str(
        dcvc_check.Row("DCVC", "image", 1, 2, False)
    )


def test_what_is_refused_ends_a_script_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        common.run(lambda: video_report.main(["tiny-mbt2018-men", "clip"]))
    assert stopped.value.code == 2
    assert re.fullmatch(r"error: [^\n]+\n", capsys.readouterr().err)


# -- tables ----------------------------------------------------------------------------------------


def test_laplace_accuracy(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: laplace_accuracy.LATTICES[name] for name in ("int", "hex", "d4")}
    monkeypatch.setattr(laplace_accuracy, "LATTICES", few)
    laplace_accuracy.main(["--samples", "100000", "--spreads", "0.35", "0.7"])
    (heads, narrow, wide) = cells(output())
    assert heads == ["spread", "hex", "d4"] and len(narrow) == 3
    assert narrow[1].endswith("(joint)") and float(narrow[1].split()[0]) > float(wide[1].split()[0])
    assert len(wide) == 2  # too wide for d4 to be sampled


def test_level_lattices(output: Output) -> None:
    level_lattices.main(["--samples", "4800", "--spreads", "0.15", "10"])
    table = cells(output())
    assert [row[0] for row in table[1:3]] == ["0.15", "10"] and len(table) == 6
    wide = dict(zip(table[0], table[2]))
    assert float(wide["e8"]) < float(wide["hex"]) < 0  # where rates are high, lattices gain


def test_pmf_accuracy(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pmf_accuracy, "SCALES", (0.5,))
    monkeypatch.setattr(pmf_accuracy, "_BATCH", 1 << 17)
    pmf_accuracy.main(["--samples", "0", "--kl-samples", "0"])
    lines = output().splitlines()
    assert all(float(line.split()[-1]) < 1e-8 for line in lines[:2])  # masses of all joint levels
    rows = [line.split() for line in lines[3:5]]
    assert [row[0] for row in rows] == ["hex", "oct"]
    for _, _, mass, error, in_noise in rows:
        assert abs(float(mass)) < 1e-8 and float(error) < 0.01 and float(in_noise) < 6


def test_ship_tables(tmp_path: Path, output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "counts"
    shutil.copytree(shipped.FOLDER, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for module in (shipped, ship_tables):
        monkeypatch.setattr(module, "FOLDER", folder)
    one = Folder(EMBEDDED.path, "embedded", {})
    monkeypatch.setattr(Folder, "names", lambda self: ("tiny-bmshj2018-factorized",))
    monkeypatch.setattr(ship_tables, "EMBEDDED", one)
    ship_tables.main([])
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert output().startswith("10 files, ") and len(after) == 10  # 2 for all, 2 for each quality
    assert after.items() < before.items()  # those of the other codecs go, what stays is the same


# -- reports and clips -----------------------------------------------------------------------------


def test_demo(tmp_path: Path, image: str, output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes are forked, and see what is put in place here."""
    codec = "tiny-bmshj2018-factorized"
    monkeypatch.setattr(demo, "OUT", tmp_path)
    monkeypatch.setattr(demo, "PARTS", (demo.Part(codec, ("baseline", "oct"), 1),))
    monkeypatch.setattr(demo, "SMALLEST", ("x.png",))
    monkeypatch.setattr(demo, "resolve", lambda name: Dataset(name, (Path(image),)))
    demo.main()
    shown = output()
    assert f"| {codec} | oct | 1 |" in shown and (tmp_path / codec / "rd.png").is_file()
    size = (tmp_path / "x.lo").stat().st_size
    assert f"x.png: {size} bytes" in shown
    assert read_image(tmp_path / "x.png").shape == (1, 3, 64, 128)


def measurements(path: Path) -> Path:
    """What scripts/bdrate.py writes, of one codec at two qualities."""
    rows = [
        {"codec": CODEC, "point": f"q{q}", "step": 1.0, "image": name, "config": config}
        | {"width": 64, "height": 64, "bytes": bytes_ * q, "bpp": bytes_ * q / 512}
        | {"psnr_db": 28.0 + q, "ms_ssim": 0.9, "encode_s": 0.1, "decode_s": 0.1}
        for q in (1, 2)
        for name in ("a.png", "b.png")
        for config, bytes_ in (("baseline", 100), ("hex", 98 if name == "a.png" else 103))
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_worst_image(tmp_path: Path, output: Output) -> None:
    csv = measurements(tmp_path / "measurements.csv")
    worst_image.main([str(csv), "--lambdas", "q1=0.0001,q2=0.0001"])
    [_, (config, worst, change, mean, worse)] = cells(output())
    assert (config, worst, worse) == ("hex", "b.png, q2", "2 of 4")
    assert 0 < float(change) < 3 and float(mean) < float(change)


def test_video_report(clip: Path, output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_report.zoo, "qualities", lambda codec: (1,))
    video_report.main(["tiny-ssf2020", str(clip)])
    [[name, *_, rd]] = cells(output())[1:]
    bpp, psnr_db = map(float, rd.split("/"))
    assert name == "tiny-ssf2020 1" and 0 < bpp < 2 and 15 < psnr_db < 50


def test_drift(clip: Path, output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", run_script)
    drift.main([str(clip), "--quality", "1", "--frames", "4"])
    assert re.match(r"4 frames, 1 thread\(s\): largest difference 0; PSNR \d\d", output())


def test_threads(image: str, output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_TURNS", 1)
    monkeypatch.setattr(threads, "_KINDS", [(CODEC, "plain"), ("tiny-ssf2020", "plain")])
    threads.main(["--threads", "3", "--repeats", "3", "--size", "64", "64", "--data", image])
    [_, *rows] = cells(output())
    assert [row[0] for row in rows] == [CODEC, "tiny-ssf2020"]
    for _, _, alone, together, ratio in rows:
        assert float(together) / float(alone) == pytest.approx(float(ratio), rel=0.1)


def test_threads_that_make_other_strings_are_told() -> None:
    counter = itertools.count()
    with pytest.raises(InputError, match="1 threads make other strings"):
        threads.rates(lambda: bytes(next(counter)), 2, 2)


def test_video_timing(clip: Path, output: Output) -> None:
    video_timing.main(["--data", str(clip), "--limit", "1", "--configs", "int"])
    [_, compressai, own] = cells(output())
    assert compressai[0] == "CompressAI" and compressai[2::3] == ["1.000", "1.000"]
    assert own[0] == "int" and float(own[2]) > 0 and float(own[5]) > 0
