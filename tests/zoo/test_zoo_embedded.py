"""The codecs that ship with latentopt: their files, their names, and every one that is here."""

from pathlib import Path

import pytest
import torch
from compressai.models import CompressionModel, MeanScaleHyperprior
from compressai.models.base import get_scale_table
from safetensors.torch import load_file
from support.models import photo
from torch.nn.functional import avg_pool2d

import latentopt
from latentopt import zoo
from latentopt.bench import command
from latentopt.bench.configs import parse_all
from latentopt.bench.datasets import Dataset
from latentopt.bench.store import read_rows
from latentopt.bench.task import Plan, quality_points
from latentopt.errors import InputError, WeightsError
from latentopt.media.images import write_png
from latentopt.zoo import embedded
from latentopt.zoo.embedded import CODECS, EMBEDDED, write_embedded
from latentopt.zoo.names import OWN, SAMPLED

SHIPPED = [(name, quality) for name in CODECS for quality in EMBEDDED.qualities(name)]
LADDERS = [name for name in CODECS if zoo.family(name) in SAMPLED]  # in test_variational.py
IMAGE_CODECS = [
    name for name in CODECS if not zoo.is_video(name) and zoo.family(name) not in (*SAMPLED, *OWN)
]
"""Of CompressAI's architectures; the others: test_zoo_video.py, test_zoo_one_hot.py."""
WIDTHS = {"cheng2020-attn": (8,)}
TABLES = ("_quantized_cdf", "_offset", "_cdf_length")


def small(codec: str, seed: int = 0) -> CompressionModel:
    torch.manual_seed(seed)
    return zoo.architecture(codec)(*WIDTHS.get(zoo.family(codec), (8, 12))).eval()


def written(model: CompressionModel, path: Path, codec: str = "tiny-mbt2018-mean") -> Path:
    write_embedded(model, path, {"architecture": CODECS[codec], "lambda": "0.01"})
    return path


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the package's."""
    folder = tmp_path / "weights"
    monkeypatch.setitem(EMBEDDED.__dict__, "path", folder)
    return folder


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", IMAGE_CODECS)
def test_written_codecs_load_and_code(codec: str, shelf: Path) -> None:
    model = small(codec)
    file = written(model, shelf / f"{codec}-2.safetensors", codec)
    loaded = zoo.load(codec, quality=2)
    assert type(loaded) is type(model) and not loaded.training
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}

    before, after, stored = model.state_dict(), loaded.state_dict(), load_file(file)
    assert before.keys() == after.keys() == {name.split("#")[0] for name in stored}
    for name, value in before.items():
        exact = "entropy_bottleneck" in name or "gaussian" in name or value.ndim < 2
        exact |= name.endswith(".mask")
        narrow = not exact and not name.startswith(("g_a.", "g_s."))
        if narrow:
            error = (after[name] - value).flatten(1).abs().amax(dim=1)
            assert (error <= value.flatten(1).abs().amax(dim=1) / 250).all(), name
        else:
            assert torch.equal(after[name], value if exact else value.half().float()), name
        derived = name.startswith("gaussian_conditional") and name.endswith(TABLES)
        assert (stored[name].numel() == 0) == derived or value.numel() == 0
        assert (stored[name].dtype == torch.float16) == (not exact and not narrow), name
        assert (stored[name].dtype == torch.int8) == narrow, name

    out = loaded.compress(photo(64, 64))
    assert loaded.decompress(out["strings"], out["shape"])["x_hat"].isfinite().all()


def test_files_are_the_same_for_the_same_content(tmp_path: Path) -> None:
    model = small("tiny-mbt2018-mean")
    metadata = {"architecture": "mbt2018-mean", "quality": "1", "lambda": "0.01", "commit": "é"}
    files = [tmp_path / name for name in ("a.safetensors", "b.safetensors", "c.safetensors")]
    write_embedded(model, files[0], metadata)
    write_embedded(model.to(memory_format=torch.channels_last), files[1], metadata)
    again = zoo.load("tiny-mbt2018-mean", weights=files[0])
    write_embedded(again, files[2], dict(reversed(metadata.items())))
    assert len({file.read_bytes() for file in files}) == 1


def test_the_stored_scale_table_is_used(tmp_path: Path) -> None:
    model, table = small("tiny-mbt2018-mean"), get_scale_table(0.2, 30, 8)
    model.update(scale_table=table)
    loaded = zoo.load("tiny-mbt2018-mean", weights=written(model, tmp_path / "w.safetensors"))
    assert torch.equal(loaded.gaussian_conditional.scale_table, table)
    assert loaded.gaussian_conditional._quantized_cdf.shape[0] == 8


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    model, path = small("tiny-mbt2018-mean"), tmp_path / "w.safetensors"
    before = written(model, path).read_bytes()
    with pytest.raises(InputError, match="architecture None is none of"):
        write_embedded(model, path, {"quality": "1"})
    with pytest.raises(InputError, match="cannot make the folder"):
        written(model, path / "w.safetensors")
    for value in (1e5, float("nan")):
        model.g_s[0].weight.data[0, 0, 0, 0] = value
        with pytest.raises(WeightsError, match=r"g_s\.0\.weight"):
            written(model, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


# -- names ---------------------------------------------------------------------------------------


def test_names_are_known_everywhere(shelf: Path, tmp_path: Path) -> None:
    assert set(CODECS) < set(zoo.names())
    for codec, family in CODECS.items():
        assert zoo.canonical(codec.upper().replace("-", "_")) == codec
        assert zoo.family(codec) == family
        assert zoo.architecture(codec) is zoo.architecture(family)
        assert zoo.qualities(codec) == ()
    for quality in (3, 1, 10):
        written(small("tiny-mbt2018-mean"), shelf / f"tiny-mbt2018-mean-{quality}.safetensors")
    (shelf / "notes.txt").touch()
    assert zoo.qualities("tiny-mbt2018-mean") == (1, 3, 10)
    assert zoo.qualities("tiny-mbt2018-mean", "ms-ssim") == zoo.qualities("tiny-mbt2018") == ()
    assert embedded.path("tiny-mbt2018-mean", 3) == shelf / "tiny-mbt2018-mean-3.safetensors"
    recorded = {"architecture": "mbt2018-mean", "lambda": "0.01"}
    assert embedded.metadata("tiny-mbt2018-mean", 3) == recorded


def test_missing_weights_are_named(shelf: Path) -> None:
    file = shelf / "tiny-mbt2018-mean-1.safetensors"
    with pytest.raises(WeightsError, match=f"{file}: no such file"):
        zoo.load("tiny-mbt2018-mean", 1)
    written(small("tiny-mbt2018-mean"), file)
    with pytest.raises(InputError, match=r"no quality 7: there are 1$"):
        zoo.load("tiny-mbt2018-mean", 7)
    with pytest.raises(InputError, match="one kind of weights"):
        zoo.load("tiny-mbt2018-mean", 1, metric="ms-ssim")
    assert zoo.load("tiny-mbt2018-mean").origin.quality == 1, "of one quality it need not be said"
    other = shelf / "tiny-mbt2018-mean-2.safetensors"
    written(small("tiny-mbt2018-mean"), other)
    with pytest.raises(InputError, match=r"Give a quality \(1, 2\), or a checkpoint"):
        zoo.load("tiny-mbt2018-mean")
    other.unlink()
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=f"{file}: unreadable"):
        zoo.load("tiny-mbt2018-mean", 1)
    with pytest.raises(WeightsError, match=f"{file}: unreadable"):
        embedded.metadata("tiny-mbt2018-mean", 1)


def test_weights_may_be_given_with_an_embedded_name(tmp_path: Path) -> None:
    torch.save(small("mbt2018-mean").state_dict(), tmp_path / "w.pt")
    assert type(zoo.load("tiny-mbt2018-mean", weights=tmp_path / "w.pt")) is MeanScaleHyperprior
    with pytest.raises(WeightsError, match="not the weights of mbt2018 "):
        zoo.load("tiny-mbt2018", weights=tmp_path / "w.pt")


# -- bdrate --------------------------------------------------------------------------------------


def test_bdrate_uses_all_embedded_qualities(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--codec", "tiny-mbt2018-mean", "--configs", "baseline", "--quiet"]
    write_png(tmp_path / "x.png", photo(64, 64))
    argv += ["--data", str(tmp_path / "x.png"), "--out", str(tmp_path / "out")]
    assert command.main(argv) == 2
    assert "no weights of tiny-mbt2018-mean for mse" in capsys.readouterr().err
    for quality in (1, 3):
        model = small("tiny-mbt2018-mean", seed=quality)
        written(model, shelf / f"tiny-mbt2018-mean-{quality}.safetensors")
    assert command.main(argv) == 0
    rows = read_rows(tmp_path / "out" / "measurements.csv")
    assert list(rows["point"]) == ["q1", "q3"] and set(rows["codec"]) == {"tiny-mbt2018-mean"}


def test_the_published_curve_is_the_architectures() -> None:
    kodak = Dataset("kodak", tuple(Path(f"{i}.png") for i in range(24)))
    points = quality_points("tiny-cheng2020-attn", [1])
    plan = Plan("tiny-cheng2020-attn", points, parse_all(["baseline"]), kodak)
    curve = command._published(plan)
    assert curve is not None and curve.codec == "cheng2020-attn"


# -- what is shipped -----------------------------------------------------------------------------


def test_the_package_stays_small() -> None:
    sizes = {path.name: path.stat().st_size for path in EMBEDDED.path.glob("*")}
    ladders = sum(size for name, size in sizes.items() if name.startswith(tuple(LADDERS)))
    maps = sum(size for name, size in sizes.items() if name.startswith("tiny-ohm"))
    wider = sum(size for name, size in sizes.items() if name.startswith("small-"))
    assert sum(sizes.values()) - ladders - maps - wider <= 41e6
    assert ladders <= 8e6 and maps <= 3e6 and wider <= 37e6
    assert set(sizes) == {EMBEDDED.file(*codec).name for codec in SHIPPED}


@pytest.mark.parametrize(("name", "quality"), [one for one in SHIPPED if one[0] in IMAGE_CODECS])
def test_a_shipped_codec(name: str, quality: int) -> None:
    recorded = embedded.metadata(name, quality)
    assert recorded["architecture"] == CODECS[name] and recorded["quality"] == str(quality)
    model = zoo.load(name, quality)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    x = avg_pool2d(photo(256, 512), 4)  # (1, 3, 64, 128), little noise
    codec = latentopt.wrap(model, quant="int")
    out = codec.compress(x)
    x_hat = codec.decompress(out["strings"], out["shape"])["x_hat"].clamp(0, 1)
    assert 10 * torch.log10(1 / (x_hat - x).square().mean()) > 18  # dB: it has learned to
    assert sum(len(string) for part in out["strings"] for string in part) < x.numel() / 2
