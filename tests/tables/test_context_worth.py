"""The table of what a context is worth."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.models import photo

import latentopt
from latentopt import Codec, InputError
from latentopt.bench import datasets
from latentopt.media.images import write_png
from tables.common import data
from tables.common.experiment import Request
from tables.common.harness import Dataset
from tables.common.probes import file_of
from tables.common.subjects import resolve
from tables.latent_shift import context
from tables.latent_shift.context import (
    COLUMNS,
    QUANTITIES,
    File,
    compared,
    network_of,
    worth,
)

X = photo(128, 192)
FACTORIZED, MEAN = "tiny-bmshj2018-factorized", "tiny-mbt2018-mean"


def pair(name: str, quant: str) -> list[Codec]:
    """One with a context, and one without."""
    model = latentopt.zoo.load(name, quality=2)
    return [latentopt.wrap(model, preset="fast", quant=quant, context=on) for on in (True, False)]


@pytest.mark.parametrize(("name", "quant"), [(FACTORIZED, "int"), (MEAN, "int"), (MEAN, "auto")])
@torch.no_grad()
def test_bits_are_of_equal_points(name: str, quant: str) -> None:
    """And they are those of the strings that hold these points."""
    codec, without = pair(name, quant)
    found = compared(codec, without, network_of(codec), X)
    assert tuple(found) == QUANTITIES
    assert found["own"] == found["universal"]
    file, other = File(codec, X), File(without, X)
    coded = 8 * len(file.points.string())
    assert found["universal"] == pytest.approx(coded, abs=64)
    if quant == "int":
        assert found["universal"] <= found["plain"] + 1.001
        plain = file.priced(codec.context_channel.without_context())
        assert found["plain"] == pytest.approx(8 * len(plain.string()), abs=64)
        assert found["found plain"] == pytest.approx(float(other.points.bits().sum()))
        assert found["found universal"] <= found["found plain"] + 1.001
    else:
        assert np.isnan(found["found plain"])
        with pytest.raises(InputError, match="points are none"):
            file.priced(codec.context_channel.without_context())
    assert len(file.points.groups) - found["passes"] in (0, 1)  # quiet channels cross apart
    assert found["cost"] > found["universal"] and found["latents_s"] > 0


@torch.no_grad()
def test_a_network_that_moves_nothing_saves_nothing() -> None:
    codec, without = pair(MEAN, "auto")
    found = compared(codec, without, context._STILL, X)
    assert found["own"] == found["plain"]
    [on, off] = pair(MEAN, "int")
    found = compared(on, off, context._STILL, X)
    assert found["own"] == pytest.approx(found["plain"] + 1)


def test_own_networks_are_fitted_to_crops_of_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_png(tmp_path / "wide.png", photo(400, 600))
    write_png(tmp_path / "high.png", photo(100, 80))
    monkeypatch.setattr(data, "_whole", lambda name: datasets.resolve(str(tmp_path)))
    sizes = [tuple(x.shape) for x in data.photographs(2)]
    assert sorted(sizes) == [(1, 3, 100, 80), (1, 3, 384, 576)]
    monkeypatch.setattr(import_module("latentopt.codec.calibrate"), "_STEPS", 20)
    monkeypatch.setattr(context, "photographs", lambda count: [photo(96, 96)])
    model = latentopt.zoo.load(MEAN, quality=2)
    shipped = network_of(latentopt.wrap(model, preset="default", context=True))
    assert context.own_network(model).digest() != shipped.digest()


def test_a_row_says_what_its_images_say() -> None:
    rows = pd.DataFrame([dict.fromkeys(QUANTITIES, 100.0)] * 4)
    rows["universal"] = [90.0, 80.0, 101.0, 89.0]
    rows["own"] = 85.0
    rows["found universal"] = [99.0, 101.0, 101.0, 100.0]
    rows["cost"], rows["plain rate"] = [98.0, 98.0, 98.0, 102.0], 50.0
    rows["passes"], rows["latents_s"], rows["plain latents_s"] = [10.0, 10.0, 0.0, 20.0], 0.5, 0.4
    rows["decode_s"] = 130.0
    found = worth(rows)
    expected = (-10, -15, 1, 25, 0.25, 50, -2, 25, 10, 10, 1.3)
    assert found == pytest.approx(dict(zip(COLUMNS, expected, strict=True)))
    searched_without = [name for name in COLUMNS if "searched without" in name]
    vectors = worth(rows.assign(**dict.fromkeys(["found plain", "found universal"], np.nan)))
    assert [name for name, value in vectors.items() if np.isnan(value)] == searched_without


def test_one_rate_point_of_each_codec_is_shown(tmp_path: Path) -> None:
    dataset = Dataset("toy", (Path("0.png"), Path("1.png")))
    subjects = resolve(["tiny", "lab"])
    asked = Request("toy", dataset, subjects, tmp_path, tmp_path, run=False)
    [own] = [s for s in subjects if s.label == MEAN]
    one = own.at("q2", f"{MEAN} q2")
    assert [point.name for point in one.points] == ["q2"]
    path = file_of(context.PROBE, one, asked, tmp_path)
    path.parent.mkdir(parents=True)
    values = ",".join(["2"] * len(context.PROBE.quantities))
    lines = [f"{MEAN},q2,1.0,{i}.png,{values},w,c" for i in range(2)]
    path.write_text("\n".join([",".join(context.PROBE.columns), *lines]) + "\n")
    shown = [subject.recorded() for subject in subjects]
    cells = list(context.EXPERIMENT.cells(replace(asked, subjects=shown)))
    by_place = {(c.row, c.column): c for c in cells}
    assert by_place[f"{MEAN} q2: best", "universal"].measured == 0
    assert by_place["lab-mean-2", "own"].note.startswith("needs")
    assert len({c.row for c in cells}) == 2 + 3
    context.EXPERIMENT.plot(cells, asked, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000
    with pytest.raises(InputError, match="other codecs"):
        list(context.EXPERIMENT.cells(replace(asked, subjects=resolve(["tiny-mbt2018"]))))
