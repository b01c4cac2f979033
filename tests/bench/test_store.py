"""The measurements file: one writer, each row once, and all damage named by its line."""

import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from latentopt.bench.bdrate import bd_rate
from latentopt.bench.markdown import report
from latentopt.bench.store import (
    COLUMNS,
    Measurement,
    ResultsFile,
    Settings,
    csv_line,
    read_measurements,
    read_rows,
)
from latentopt.bench.summary import left_out, means, summarise
from latentopt.errors import InputError, LatentoptWarning, RateRangeError

SETTINGS = Settings("photos", "cpu", 1, 1, "0.1.0")


def row(image: str = "a.png", **more: object) -> Measurement:
    known = Measurement(
        **{"codec": "mbt2018-mean", "point": "q1", "step": 1.0, "config": "baseline"},
        **{"data": "photos", "image": image, "width": 64, "height": 64, "bytes": 100},
        **{"bpp": 0.2, "psnr_db": 30.0, "ms_ssim": 0.9, "encode_s": 0.1, "decode_s": 0.1},
        **{"batch_size": 1, "device": "cpu", "threads": 1, "weights": "0", "latentopt": "0.1.0"},
    )
    return replace(known, **more)


def text(*rows: Measurement) -> str:
    return "".join([csv_line(COLUMNS), *(csv_line(vars(one).values()) for one in rows)])


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [row("a.png"), row('b,"\n.png', bpp=0.1 + 0.2, bytes=1 << 53)]
    with ResultsFile(tmp_path / "new" / "m.csv", SETTINGS) as file:
        for one in rows:
            file.append(one)
    assert list(read_measurements(tmp_path / "new" / "m.csv")) == rows
    assert read_rows(tmp_path / "new" / "m.csv").to_dict("records") == [vars(one) for one in rows]


# -- two writers ---------------------------------------------------------------------------------


WRITER = """
    import sys, time
    from pathlib import Path
    from latentopt.bench.store import ResultsFile, Settings
    with ResultsFile(Path(sys.argv[1]), Settings("photos", "cpu", 1, 1, "0.1.0")):
        print("open", flush=True)
        time.sleep(60)
"""


def test_a_second_writer_is_refused_and_the_first_can_end_in_any_way(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    argv = [sys.executable, "-c", textwrap.dedent(WRITER), str(path)]
    other = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "open\n"
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"m\.csv is being written by another process.*--out"):
        ResultsFile(path, SETTINGS)
    assert path.read_bytes() == before
    other.kill()
    other.communicate(timeout=30)
    with ResultsFile(path, SETTINGS) as file:
        file.append(row())
    with ResultsFile(path, SETTINGS) as file:  # which let go of it, too
        assert row().key in file


def test_refused_files_are_let_go(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(text(row(threads=4)))
    for _ in range(2):
        with pytest.raises(InputError, match="cannot resume"):
            ResultsFile(tmp_path / "m.csv", SETTINGS)
    with pytest.raises(InputError, match=r"cannot write .*m\.csv/x/m\.csv"):
        ResultsFile(tmp_path / "m.csv" / "x" / "m.csv", SETTINGS)


@pytest.mark.parametrize("content", [b"precious", b"codec,point\nx,q1", b"\xff\n\xfe"])
def test_of_another_file_no_line_is_dropped(content: bytes, tmp_path: Path) -> None:
    """Half a line is of a run that died in files that begin as ours do."""
    path = tmp_path / "m.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"move the file away|delete that line"):
        ResultsFile(path, SETTINGS)
    assert path.read_bytes() == content
    path.write_text(text()[:20])
    with ResultsFile(path, SETTINGS) as file:
        file.append(row())
    assert list(read_measurements(path)) == [row()]


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(text())
    with (
        open("/dev/full", "ab", buffering=0) as full,
        pytest.raises(InputError, match=r"cannot write .*m\.csv: No space left"),
        ResultsFile(tmp_path / "m.csv", SETTINGS) as file,
    ):
        file._file.close()
        file._file = full
        file.append(row())
    assert row().key not in file


# -- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage, message",
    [
        (b"\xff\xfe,1\n", r"line 3: not UTF-8 from its byte 0 on"),
        (b"mbt2018-mean,q1,1.0,caf\xe9\n", r"line 3: not UTF-8 from its byte 23 on"),
        (b"x" * 140_000 + b"\n", r"line 3: longer than any row"),
        (b'"' + (b"y" * 60_000 + b"\n") * 4 + b'"\n', r"line 5: damaged row \(field larger"),
        (b"too,few\n", r"line 3: damaged row \(zip"),
        (b"\x00\n", r"line 3: damaged row"),
    ],
    ids=["binary", "latin-1", "long", "huge field", "few", "nul"],
)
def test_damage_is_named_by_its_line(tmp_path: Path, damage: bytes, message: str) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(text(row()).encode() + damage)
    for read in (read_rows, lambda path: ResultsFile(path, SETTINGS)):
        with pytest.raises(InputError, match=rf"m\.csv, {message}"):
            read(path)


@pytest.mark.parametrize("value", [10**400, -1, 1 << 54])
@pytest.mark.parametrize("name", ["width", "bytes", "threads", "batch_size"])
def test_absurd_numbers_are_named_by_their_line(tmp_path: Path, name: str, value: int) -> None:
    (tmp_path / "m.csv").write_text(text(row(), row("b.png", **{name: value})))
    with pytest.raises(InputError, match=rf"line 3: damaged row \({name} is "):
        read_rows(tmp_path / "m.csv")


def test_rows_that_repeat_are_named_by_their_lines(tmp_path: Path) -> None:
    """As two writers without a lock left them; a doubled and a missing row cancelled in counts."""
    (tmp_path / "m.csv").write_text(text(row("a.png"), row("b.png"), row("a.png", bytes=99)))
    with pytest.raises(InputError, match=r"line 4: damaged row \(it measures again what line 2"):
        read_rows(tmp_path / "m.csv")


# -- means over the same images --------------------------------------------------------------------


def frame(configs: dict[str, float], images: dict[str, float]) -> pd.DataFrame:
    """Four rate points; a configuration spends a factor of the rate, images differ in PSNR."""
    return pd.DataFrame(
        vars(row(image, point=f"q{p}", config=config, bpp=factor * 0.1 * 2**p, psnr_db=db + 3 * p))
        for p in range(4)
        for config, factor in configs.items()
        for image, db in images.items()
    )


def test_a_doubled_and_a_missing_row_do_not_cancel() -> None:
    rows = frame({"baseline": 1.0, "oct": 0.9}, {"a.png": 25.0, "b.png": 35.0, "c.png": 30.0})
    of_a, of_q0 = rows["image"] == "a.png", rows["point"] == "q0"
    missing = rows[of_a & of_q0 & (rows["config"] == "oct")].index
    doubled = rows[of_a & of_q0 & (rows["config"] == "baseline")]
    broken = pd.concat([rows.drop(missing), doubled], ignore_index=True)
    assert left_out(broken) == ("a.png",) and left_out(rows) == ()
    (line,) = summarise(broken).to_dict("records")
    assert line["images"] == 2
    assert line["bd_rate_pchip_percent"] == pytest.approx(-10, abs=1e-9)
    assert set(means(broken)["images"]) == {2}
    assert "1 of 3 images were not measured everywhere: left out (a.png)" in report(broken, "t")


# -- cubics --------------------------------------------------------------------------------------

BPP, DB = [0.1, 0.2, 0.4, 0.8], [28.0, 31.0, 34.0, 37.0]
DENTED = [28.0, 31.0, 30.5, 37.0]
SATURATING = [2000, 3000, 4000, 5000], [96.6, 99.51, 99.916, 99.977]


def test_a_cubic_that_falls_is_said_to_mean_nothing(recwarn: pytest.WarningsRecorder) -> None:
    bd_rate(BPP, DB, [0.9 * r for r in BPP], DB, "cubic")
    assert not recwarn.list
    with pytest.warns(LatentoptWarning, match=r"28\.00 to 37\.00 dB.*means nothing; use pchip"):
        bd_rate(BPP, DB, BPP, DENTED, "cubic")
    with pytest.warns(LatentoptWarning, match="means nothing"):
        bd_rate(*SATURATING, [1.01 * r for r in SATURATING[0]], SATURATING[1], "cubic")


def test_no_error_recommends_a_cubic() -> None:
    with pytest.raises(RateRangeError) as caught:
        bd_rate(BPP, DENTED, BPP, DB)
    assert "cubic" not in str(caught.value) and "drop or measure again" in str(caught.value)


def test_a_table_has_no_figure_that_means_nothing() -> None:
    rows = frame({"baseline": 1.0, "oct": 0.9}, {"a.png": 25.0})
    for p, db in enumerate(SATURATING[1]):
        rows.loc[rows["point"] == f"q{p}", "psnr_db"] = db
    (line,) = summarise(rows).to_dict("records")
    assert line["bd_rate_pchip_percent"] == pytest.approx(-10, abs=1e-6)
    assert pd.isna(line["bd_rate_cubic_percent"]) and "means nothing" in line["reason"]
