"""Loading codecs by name and from checkpoint files."""

import hashlib
from pathlib import Path

import pytest
import torch
from compressai.models import FactorizedPrior, FactorizedPriorReLU, MeanScaleHyperprior
from safetensors.torch import save_file
from torch import Tensor

from latentopt import zoo
from latentopt.errors import InputError, WeightsError
from latentopt.zoo import checkpoint
from latentopt.zoo.names import URLS

WEIGHTS = Path("..") / "shared" / "weights"


@pytest.fixture(scope="module")
def small() -> MeanScaleHyperprior:
    torch.manual_seed(0)
    model = MeanScaleHyperprior(8, 12).eval()
    model.update()
    return model


def assert_same(a: torch.nn.Module, b: torch.nn.Module) -> None:
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert a.compress(x)["strings"] == b.compress(x)["strings"]


@pytest.mark.parametrize("nest", [None, "state_dict", "network", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_load_accepts_nesting_and_prefixes(
    small: MeanScaleHyperprior, tmp_path: Path, nest: str | None, prefix: str
) -> None:
    state = {prefix + k: v for k, v in small.state_dict().items()}
    torch.save({nest: state, "epoch": 3} if nest else state, tmp_path / "w.pth.tar")
    loaded = zoo.load("mbt2018-mean", weights=tmp_path / "w.pth.tar")
    assert not loaded.training
    assert_same(loaded, small)


def test_load_safetensors(small: MeanScaleHyperprior, tmp_path: Path) -> None:
    state: dict[str, Tensor] = {k: v.clone() for k, v in small.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    assert_same(zoo.load("mbt2018-mean", weights=tmp_path / "w.safetensors"), small)


def test_half_precision_becomes_float32(small: MeanScaleHyperprior, tmp_path: Path) -> None:
    state = {k: v.half() if v.ndim == 4 else v for k, v in small.state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    loaded = zoo.load("mbt2018-mean", weights=tmp_path / "w.pt")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}


def test_stored_tables_are_kept(small: MeanScaleHyperprior, tmp_path: Path) -> None:
    state = dict(small.state_dict())
    marked = state["entropy_bottleneck._quantized_cdf"].clone()
    marked[0, 1] += 1
    torch.save(state | {"entropy_bottleneck._quantized_cdf": marked}, tmp_path / "w.pt")
    loaded = zoo.load("mbt2018-mean", weights=tmp_path / "w.pt")
    assert torch.equal(loaded.entropy_bottleneck._quantized_cdf, marked)


def test_missing_tables_are_built(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(FactorizedPrior(8, 12).state_dict(), tmp_path / "w.pt")
    loaded = zoo.load("bmshj2018-factorized", weights=tmp_path / "w.pt")
    assert loaded.entropy_bottleneck._quantized_cdf.numel() > 0


def test_relu_variant_loads_by_its_hyphenated_name(tmp_path: Path) -> None:
    torch.save(FactorizedPriorReLU(8, 12).state_dict(), tmp_path / "w.pt")
    loaded = zoo.load("bmshj2018-factorized-relu", weights=tmp_path / "w.pt")
    assert isinstance(loaded, FactorizedPriorReLU)
    with pytest.raises(InputError, match="publishes no weights"):
        zoo.load("bmshj2018-factorized-relu", quality=1)


def test_wrong_architecture_is_named(small: MeanScaleHyperprior, tmp_path: Path) -> None:
    torch.save(small.state_dict(), tmp_path / "w.pt")
    for codec in ("bmshj2018-hyperprior", "bmshj2018-factorized", "mbt2018", "cheng2020-attn"):
        with pytest.raises(WeightsError, match=rf"w\.pt: not the weights of {codec}.*mbt2018-mean"):
            zoo.load(codec, weights=tmp_path / "w.pt")


def test_unreadable_checkpoints(small: MeanScaleHyperprior, tmp_path: Path) -> None:
    whole = tmp_path / "whole.pt"
    torch.save(small.state_dict(), whole)
    (tmp_path / "cut.pt").write_bytes(whole.read_bytes()[:5000])
    (tmp_path / "text.pt").write_text("not a checkpoint")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "bad.safetensors").write_bytes(b"12345678")
    torch.save({"a": 1}, tmp_path / "numbers.pt")
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    for name in ("cut.pt", "text.pt", "empty.pt", "bad.safetensors", "numbers.pt", "list.pt"):
        with pytest.raises(WeightsError, match=name):
            zoo.load("mbt2018-mean", weights=tmp_path / name)
    with pytest.raises(WeightsError, match="no such file"):
        zoo.load("mbt2018-mean", weights=tmp_path / "absent.pt")


def test_code_in_a_checkpoint_is_not_run(small: MeanScaleHyperprior, tmp_path: Path) -> None:
    torch.save(small, tmp_path / "pickled.pt")
    with pytest.raises(WeightsError, match="more than tensors"):
        zoo.load("mbt2018-mean", weights=tmp_path / "pickled.pt")


class Intruder:
    """Unpickling one makes a file, which stands for anything worse."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("legacy", [False, True])
def test_malicious_pickles_are_refused(tmp_path: Path, legacy: bool) -> None:
    bad, mark = tmp_path / "bad.pt", tmp_path / "mark"
    state = {"g_a.0.weight": torch.zeros(1), "x": Intruder(mark)}
    torch.save(state, bad, _use_new_zipfile_serialization=not legacy)
    torch.load(bad, weights_only=False)
    assert mark.exists()  # it works, where nothing stops it
    mark.unlink()
    with pytest.raises(WeightsError, match="could run code"):
        zoo.load("tiny-mbt2018-mean", weights=bad)
    assert not mark.exists()


def test_nan_weights_are_refused(small: MeanScaleHyperprior, tmp_path: Path) -> None:
    state = dict(small.state_dict())
    state["g_s.0.bias"] = torch.full_like(state["g_s.0.bias"], float("nan"))
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"g_s\.0\.bias"):
        zoo.load("mbt2018-mean", weights=tmp_path / "w.pt")


def test_bad_arguments() -> None:
    with pytest.raises(InputError, match="did you mean bmshj2018-hyperprior"):
        zoo.load("bmshj2018-hyper", 1)
    with pytest.raises(InputError, match="known: bmshj2018-factorized"):
        zoo.load("jpeg", 1)
    with pytest.raises(InputError, match="valid are 1 to 8"):
        zoo.load("mbt2018-mean", 9)
    with pytest.raises(InputError, match="valid are 1 to 6"):
        zoo.load("cheng2020-anchor", 7)
    with pytest.raises(InputError, match="unknown metric"):
        zoo.load("mbt2018-mean", 1, metric="psnr")
    with pytest.raises(InputError, match="Give a quality"):
        zoo.load("mbt2018-mean")


def published(state: dict[str, Tensor], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that the zoo publishes ``state``; return where its download would be kept."""
    torch.save(state, folder / "w")
    digest = hashlib.sha256((folder / "w").read_bytes()).hexdigest()[:8]
    url = (folder / f"small-1-{digest}.pth.tar").as_uri()
    (folder / "w").rename(folder / f"small-1-{digest}.pth.tar")
    monkeypatch.setitem(URLS["mbt2018-mean"]["mse"], 1, url)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder / "hub"))
    return folder / "hub" / "checkpoints" / f"small-1-{digest}.pth.tar"


def test_published_weights_are_fetched_once(
    small: MeanScaleHyperprior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = published(small.state_dict(), tmp_path, monkeypatch)
    assert_same(zoo.load("mbt2018-mean", 1), small)
    assert [kept] == list(kept.parent.iterdir())
    (tmp_path / kept.name).unlink()
    assert_same(zoo.load("mbt2018-mean", 1), small)

    kept.write_bytes(kept.read_bytes() + b"x")
    with pytest.raises(WeightsError, match="damaged copy"):
        zoo.load("mbt2018-mean", 1)


def test_offline_message_says_which_file_goes_where(
    small: MeanScaleHyperprior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = published(small.state_dict(), tmp_path, monkeypatch)
    source = tmp_path / kept.name
    content = source.read_bytes()
    source.write_bytes(content[:-1])
    with pytest.raises(WeightsError, match="checksum differs"):
        zoo.load("mbt2018-mean", 1)
    source.unlink()
    with pytest.raises(WeightsError) as caught:
        zoo.load("mbt2018-mean", 1)
    for part in (kept.name, str(kept.parent), "--weights FILE", "mbt2018-mean"):
        assert part in str(caught.value)
    assert list(kept.parent.iterdir()) == []


def test_checkpoints_expand(tmp_path: Path) -> None:
    for name in ("b.pt", "a.pth.tar", "c.safetensors", "notes.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in zoo.checkpoints(tmp_path)] == ["a.pth.tar", "b.pt", "c.safetensors"]
    twice = zoo.checkpoints([tmp_path / "b.pt", str(tmp_path / "*.pt"), tmp_path / "c.safetensors"])
    assert [p.name for p in twice] == ["b.pt", "c.safetensors"]
    with pytest.raises(WeightsError, match="names no file"):
        zoo.checkpoints(tmp_path / "*.onnx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="holds no checkpoint"):
        zoo.checkpoints([tmp_path / "empty"])


@pytest.mark.parametrize("widths", [(8, 12), (48, 48), (48, 80)])
def test_every_zoo_class_is_recognised(widths: tuple[int, int]) -> None:
    for codec in zoo.names()[:5]:
        torch.manual_seed(0)
        state = zoo.architecture(codec)(*widths).state_dict()
        assert checkpoint._looks_like(state) == codec


def test_real_weights_keep_their_tables() -> None:
    path = WEIGHTS / "bmshj2018-factorized-q2.pt"
    if not path.is_file():
        pytest.skip("../shared is absent")
    model = zoo.load("bmshj2018-factorized", weights=path)
    stored = torch.load(path, weights_only=True)["entropy_bottleneck._quantized_cdf"]
    assert torch.equal(model.entropy_bottleneck._quantized_cdf, stored)
