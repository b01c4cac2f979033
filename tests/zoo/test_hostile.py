"""Checkpoints as people have them, and as nobody should: read, or refused soon and cheaply."""

import json
import pickle
import resource
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from compressai.models import MeanScaleHyperprior
from safetensors.torch import save_file
from support.models import tiny
from torch import Tensor

from latentopt import zoo
from latentopt.errors import WeightsError
from latentopt.zoo.embedded import write_embedded

State = dict[str, Tensor]
TABLE = "gaussian_conditional.scale_table"
CDF = "entropy_bottleneck._quantized_cdf"
LENGTH = "entropy_bottleneck._cdf_length"
QUANTILES = "entropy_bottleneck.quantiles"


@pytest.fixture(scope="module")
def small() -> MeanScaleHyperprior:
    return tiny(MeanScaleHyperprior)


@pytest.fixture
def state(small: MeanScaleHyperprior) -> State:
    return dict(small.state_dict())


def load(path: Path, codec: str = "mbt2018-mean") -> torch.nn.Module:
    return zoo.load(codec, weights=path)


def refused(path: Path, message: str, codec: str = "mbt2018-mean") -> None:
    """WeightsError that names the file, within seconds and 200 MB."""
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match=message) as caught:
        load(path, codec)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert time.monotonic() - start < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


# -- as people have them -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "model.", "net.", "module.module.", "module._orig_mod.", "ema.codec."]
)
@pytest.mark.parametrize("nest", [None, "state_dict", "model", "net"])
def test_wrappers_prefixes_are_taken_away(
    state: State, tmp_path: Path, prefix: str, nest: str | None
) -> None:
    wrapped = {prefix + name: value for name, value in state.items()}
    torch.save({nest: wrapped, "epoch": 3} if nest else wrapped, tmp_path / "w.pt")
    found = load(tmp_path / "w.pt").state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_counters_of_training_tools_are_left_out(state: State, tmp_path: Path) -> None:
    """As thop leaves them in every module, and AveragedModel beside the model."""
    counted = {f"module.{name}": value for name, value in state.items()}
    counted["module.g_a.0.total_ops"] = counted["module.total_params"] = torch.zeros(1)
    torch.save({**counted, "n_averaged": torch.tensor(9)}, tmp_path / "w.pt")
    found = load(tmp_path / "w.pt").state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())


@pytest.mark.parametrize("prefix", ["", "model."])
def test_missing_and_extra_entries_are_named(state: State, tmp_path: Path, prefix: str) -> None:
    """And never is a codec said to look like the one that was asked for."""
    extra = {prefix + name: value for name, value in state.items()}
    for i in range(5):
        extra[f"lpips.{i}"] = torch.zeros(3)
    torch.save(extra, tmp_path / "extra.pt")
    refused(tmp_path / "extra.pt", r"has besides lpips\.0, lpips\.1, lpips\.2 and 2 more")
    del state["h_a.0.bias"], state["g_s.1.beta"]
    torch.save(state, tmp_path / "missing.pt")
    refused(tmp_path / "missing.pt", r"it lacks g_s\.1\.beta, h_a\.0\.bias\)")
    for name in ("extra", "missing"):
        with pytest.raises(WeightsError) as caught:
            load(tmp_path / f"{name}.pt")
        assert "looks like" not in str(caught.value)


def test_entries_of_other_shapes_are_named(state: State, tmp_path: Path) -> None:
    torch.save(state | {"h_s.0.bias": torch.zeros(5)}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", r"h_s\.0\.bias")


# -- as nobody should ----------------------------------------------------------------------------


def circle() -> dict[str, object]:
    content: dict[str, object] = {}
    content["state_dict"] = content
    return content


@pytest.mark.parametrize(
    "content",
    [
        circle(),
        {1: torch.zeros(1)},
        {("a",): torch.zeros(1), "b": torch.zeros(1)},
        {"a": {"b": torch.zeros(1)}},
        {},
        {"state_dict": {}},
        torch.zeros(3),
        7,
    ],
    ids=["circle", "integers", "tuples", "nested", "empty", "empty nest", "tensor", "number"],
)
def test_what_is_no_state_dict(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "no state dict of tensors")


@pytest.mark.parametrize(
    "value, message",
    [
        (torch.zeros(4).to_sparse(), "save plain numbers"),
        (torch.zeros(4, dtype=torch.complex64), "save plain numbers"),
        (torch.quantize_per_tensor(torch.zeros(4), 0.1, 0, torch.qint8), "save plain numbers"),
        (torch.zeros(1).expand(1 << 40), "far more than the file has"),
        (torch.zeros(1, dtype=torch.half).expand(1 << 20, 1 << 20), "far more than the file has"),
    ],
    ids=["sparse", "complex", "quantized", "expanded", "expanded half"],
)
def test_tensors_that_are_no_numbers(
    state: State, tmp_path: Path, value: Tensor, message: str
) -> None:
    torch.save(state | {"g_a.0.weight": value}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", message)


def test_a_packed_archive_is_refused(tmp_path: Path) -> None:
    """A zip that PyTorch would unpack: 100 kB that become 100 MB."""
    torch.save({"g_a.0.weight": torch.zeros(25_000_000)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "w.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member))
    assert (tmp_path / "w.pt").stat().st_size < 200_000
    refused(tmp_path / "w.pt", "would unpack to")


def header(shape: object, end: int = 4, kind: str = "F32") -> bytes:
    entry = {"dtype": kind, "shape": shape, "data_offsets": [0, end]}
    text = json.dumps({"g_a.0.weight": entry}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


@pytest.mark.parametrize(
    "data",
    [
        header([-1]),
        header([1.5]),
        header([1 << 40]),
        header([1 << 40, 1 << 40]),
        header([1 << 40, 0], 0),
        header("x"),
        header(None),
        header([4], 4, "F8_E4M3"),
        header([1], 4, "NONE"),
        b"\xff" * 8 + b"{}",
        struct.pack("<Q", 200_002) + b'{"a":' + b"[" * 100_000 + b"]" * 99_996 + b"}",
    ],
)
def test_headers_that_lie(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(data)
    refused(tmp_path / "w.safetensors", r"unreadable|not the weights")


def embedded(small: MeanScaleHyperprior, path: Path, change: Callable[[State], None]) -> Path:
    """The small codec as embedded ones are stored, in eight bits, with a change."""
    from safetensors.torch import load_file

    write_embedded(small, path, {"architecture": "mbt2018-mean", "lambda": "0.01"})
    stored = load_file(path)
    change(stored)
    save_file(stored, path, {"architecture": "mbt2018-mean"})
    return path


@pytest.mark.parametrize(
    "scale",
    [torch.ones(3), torch.ones(2, 2), torch.tensor(1.0), torch.ones(12, dtype=torch.int64)],
)
def test_scales_of_the_wrong_shape(
    small: MeanScaleHyperprior, tmp_path: Path, scale: Tensor
) -> None:
    def change(state: State) -> None:
        name = next(name for name in state if name.endswith("#scale"))
        state[name] = scale

    refused(embedded(small, tmp_path / "w.safetensors", change), "as many scales as it has slices")


@pytest.mark.parametrize(
    "shape", [[-1, 1, 5, 5], [1 << 40, 1 << 20, 5, 5], [0, 8, 5, 5], [5, 5], [8.5, 8, 5, 5], [[8]]]
)
def test_shapes_that_masks_do_not_repeat_to(
    state: State, tmp_path: Path, shape: list[object]
) -> None:
    state["context_prediction.mask"] = torch.ones(1, 1, 5, 5)
    torch.save(state | {"context_prediction.mask#shape": torch.tensor(shape)}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", r"does not repeat to a shape of")


@pytest.mark.parametrize(
    "table",
    [
        torch.zeros(64),
        torch.full((64,), float("nan")),
        torch.linspace(-1, 5, 64),
        torch.linspace(5, 1, 64),
        torch.logspace(-1, 9, 64),
        torch.tensor([0.1, float("inf")]),
        torch.linspace(0.1, 256, 100_000),
        torch.ones(8, 8),
        torch.tensor(3.0),
    ],
    ids=["zeros", "nan", "negative", "falling", "huge", "inf", "long", "square", "number"],
)
def test_scale_tables_that_are_none(state: State, tmp_path: Path, table: Tensor) -> None:
    torch.save(state | {TABLE: table}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "its scale table is none")


@pytest.mark.parametrize("value", [1e9, -1e9, float("nan")])
def test_quantiles_that_would_make_endless_tables(
    state: State, tmp_path: Path, value: float
) -> None:
    quantiles = state[QUANTILES].clone()
    quantiles[3, 0, 2] = value
    bare = {k: v.new_empty(0) if v.dtype == torch.int32 else v for k, v in state.items()}
    torch.save(bare | {QUANTILES: quantiles}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", r"entropy_bottleneck\.quantiles")


def test_tables_that_are_no_counts(state: State, tmp_path: Path) -> None:
    """CompressAI's coder trusts them, and would read beyond their ends."""
    falling, wrong = state[CDF].clone(), state[LENGTH].clone()
    falling[2, 1], wrong[0] = 70_000, 1 << 20
    for change in ({CDF: falling}, {LENGTH: wrong}, {CDF: state[CDF][:3]}, {LENGTH: wrong * 0}):
        torch.save(state | change, tmp_path / "w.pt")
        refused(tmp_path / "w.pt", "no cumulative counts|not the weights")


@pytest.mark.parametrize("lmbda", ["abc", "nan", "inf", "-inf", "1e300", "0", "-1", "1e-300"])
def test_lambdas_that_are_none(
    small: MeanScaleHyperprior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lmbda: str
) -> None:
    monkeypatch.setenv("LATENTOPT_HOME", str(tmp_path))
    torch.save(small.state_dict(), tmp_path / "w.pt")
    kept = zoo.add("mine", tmp_path / "w.pt", "mbt2018-mean")
    assert zoo.load("mine", 1).lmbda is None
    state = {name: value.clone() for name, value in small.state_dict().items()}
    save_file(state, kept, {"architecture": "mbt2018-mean", "lambda": lmbda})
    with pytest.raises(WeightsError, match=r"mine-1\.safetensors: its metadata say a lambda of"):
        zoo.load("mine", 1)


def test_pickles_that_are_no_archives(tmp_path: Path) -> None:
    for data in (pickle.dumps({"a": 1}), b"\x80\x02" + b"(" * 10_000, b"PK\x03\x04" + bytes(100)):
        (tmp_path / "w.pt").write_bytes(data)
        refused(tmp_path / "w.pt", r"unreadable|more than tensors|no state dict")


def test_devices_and_folders_are_no_checkpoints(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/zero"), Path("/dev/null")):
        refused(path, "not a regular file")
