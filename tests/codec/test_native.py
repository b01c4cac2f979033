"""Streams of the model's own: they decode where latentopt is not, and cost what was said."""

import io
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import foreign
import pytest
import torch
from compressai.models import (
    Cheng2020Attention,
    FactorizedPrior,
    MeanScaleHyperprior,
    ScaleHyperprior,
)
from compressai.models.sensetime import Elic2022Chandelier, Elic2022Official
from compressai.models.vbr import MeanScaleHyperpriorVbr
from compressai.zoo import models
from support.commands import Refused, pixels, run
from support.models import FAMILIES, moving, photo, tiny, tiny_flow
from support.trees import Inverting, lively
from torch import Tensor, nn

from latentopt import BitstreamError, InputError, UnsupportedModelError, calibrate, wrap, zoo
from latentopt.adapters import MeanScaleAdapter, at_rate, with_step
from latentopt.bitstream import Origin
from latentopt.bitstream.compressai_file import Body, Head, read_count
from latentopt.cli import model as cli_model
from latentopt.cli import native as cli_native
from latentopt.codec.formats import FIXED, NATIVE
from latentopt.codec.native import NativeCodec
from latentopt.codec.native_files import Label, label_of
from latentopt.codec.native_video import NativeVideoCodec
from latentopt.codec.own_coder import OwnCoder
from latentopt.codec.recipe import PRESETS, Recipe, get_preset
from latentopt.codec.synthesis import padded
from latentopt.encoder import Effort, Schedule
from latentopt.media.images import read_image, to_uint8, write_png

CONTEXTUAL = ("cheng2020-anchor", "cheng2020-attn", "checkerboard", "elic", "elic-chandelier")
TWO = Effort(Schedule(2, (1.0, 0.5), (0.3, 0.3), caution=2))
UNSEARCHED = replace(get_preset("fast", NATIVE), effort=None, contextual=None)
UNPICKLED: dict[str, Any] = {
    "cheng2020-attn": (Cheng2020Attention, (8,)),
    "elic": (Elic2022Official, (8, 24, [4, 8, 12])),
    "elic-chandelier": (Elic2022Chandelier, (8, 24, [4, 8, 12])),
}
LABEL = Label("mbt2018-mean", 3)


def native(model: nn.Module, effort: Effort = TWO, **words: Any) -> NativeCodec:
    codec = wrap(model, effort=effort, format=NATIVE, **words)
    assert isinstance(codec, NativeCodec)
    return codec


def size(strings: Any) -> int:
    """Bytes, however nested."""
    if isinstance(strings, dict):
        return size(list(strings.values()))
    return len(strings) if isinstance(strings, bytes) else sum(map(size, strings))


def plain(model: Any, x: Tensor) -> dict[str, Any]:
    with torch.no_grad():
        found: dict[str, Any] = model.compress(x)
    return found


# -- decoders in the field -------------------------------------------------------------------------


class Jobs:
    """What is to be decoded elsewhere, and what it must be decoded to."""

    def __init__(self, folder: Path):
        self.folder, self.jobs, self.expected = folder, list[dict[str, Any]](), list[list[Tensor]]()
        self.names = list[str]()

    def add(self, name: str, expected: list[Tensor], **job: Any) -> None:
        self.names.append(name)
        self.jobs.append(job)
        self.expected.append(expected)

    def check(self) -> None:
        """Run them all in one process, and compare."""
        jobs, results = self.folder / "jobs.pt", self.folder / "results.pt"
        torch.save(self.jobs, jobs)
        subprocess.run([sys.executable, foreign.__file__, jobs, results], check=True, timeout=600)
        for name, found, expected in zip(
            self.names, torch.load(results, weights_only=False), self.expected, strict=True
        ):
            assert not isinstance(found, str), f"{name}: {found}"
            for a, b in zip(found, expected, strict=True):
                assert a.shape == b.shape and torch.allclose(a, b, atol=1e-4), name


def families() -> dict[str, nn.Module]:
    own = {name: tiny(family) for name, family in FAMILIES.items()}
    return {**own, **{name: lively(name) for name in CONTEXTUAL}}


def test_models_that_never_heard_of_latentopt_decode_all(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    for name, model in families().items():
        codec, x = native(model), photo(64, 64, batch=2)
        out = codec.compress(x)
        where = (
            foreign.Built(*UNPICKLED[name], state=model.state_dict())
            if name in UNPICKLED
            else model
        )
        jobs.add(name, [codec(x)["x_hat"]], kind="strings", model=where, **out)
    _add_files(jobs, tmp_path)
    _add_clips(jobs, tmp_path)
    jobs.check()


def _add_files(jobs: Jobs, folder: Path) -> None:
    for family in (FactorizedPrior, MeanScaleHyperprior):
        codec, path = native(tiny(family)), folder / f"{family.__name__}.bin"
        codec.label = LABEL
        assert codec.save(path, photo(75, 130)) == path.stat().st_size
        x_hat = codec.load(path)
        assert x_hat.shape == (1, 3, 75, 130)
        jobs.add(path.name, [x_hat], kind="file", model=tiny(family), path=str(path))


def _add_clips(jobs: Jobs, folder: Path) -> None:
    model, frames, path = foreign.flow(), moving(2, 75, 120), folder / "clip.bin"
    codec = wrap(model, recipe=UNSEARCHED)  # at its widths a search takes minutes
    assert isinstance(codec, NativeVideoCodec)
    strings, shapes = codec.compress(frames)
    decoded = codec.decompress(strings, shapes)
    for ours, x_hat in zip(codec(frames)["x_hat"], decoded, strict=True):
        assert torch.allclose(ours, x_hat[..., :75, :120].clamp(0, 1), atol=1e-4)
    jobs.add("clip", decoded, kind="clip", strings=strings, shapes=shapes)
    codec.label = Label("ssf2020", 1)
    written, count = codec.save(path, frames)
    assert (written, count) == (path.stat().st_size, 2)
    jobs.add("clip file", list(codec.load(path)), kind="clip file", path=str(path))


def test_a_searched_clip_decodes_to_what_was_searched() -> None:
    model: Any = tiny_flow()
    codec, frames = wrap(model, effort=TWO, format=NATIVE), moving(3, 75, 120, batch=2)
    assert isinstance(codec, NativeVideoCodec)
    strings, shapes = codec.compress(frames)
    with torch.no_grad():
        decoded = model.decompress(strings, shapes)
        rounded, _ = model.compress([padded(x, 128) for x in frames])
    for ours, x_hat in zip(codec(frames)["x_hat"], decoded, strict=True):
        assert torch.allclose(ours, x_hat[..., :75, :120].clamp(0, 1), atol=1e-4)
    assert strings != rounded


class Own(Inverting):
    """InvCompress's own coder: that of mbt2018, but for the names of its transforms."""

    def compress(self, x: Tensor) -> dict[str, Any]:
        y = self.g_a_func(x)
        z = self.h_a(y)
        z_strings = self.entropy_bottleneck.compress(z)
        params = self._params(z_strings, z.shape[-2:])
        padded = nn.functional.pad(y, (2, 2, 2, 2))
        string = self._compress_ar(padded, params, *y.shape[-2:], 5, 2)
        return {"strings": [[string], z_strings], "shape": z.shape[-2:]}

    def decompress(self, strings: Any, shape: Any) -> dict[str, Tensor]:
        params = self._params(strings[1], shape)
        height, width = params.shape[-2:]
        y_hat = torch.zeros(1, self.M, height + 4, width + 4)
        self._decompress_ar(strings[0][0], y_hat, params, height, width, 5, 2)
        return {"x_hat": self.g_s_func(y_hat[..., 2:-2, 2:-2]).clamp_(0, 1)}

    def _params(self, strings: Any, shape: Any) -> Tensor:
        found: Tensor = self.h_s(self.entropy_bottleneck.decompress(strings, shape))
        return found


def test_invcompress_decodes_its_own() -> None:
    model: Any = Own().eval()
    model.update()
    codec, x = native(model), photo(64, 64)
    out = codec.compress(x)
    with torch.no_grad():
        assert torch.allclose(model.decompress(**out)["x_hat"], codec(x)["x_hat"], atol=1e-4)


# -- laws of one codec -----------------------------------------------------------------------------


def test_the_model_stays_as_it_was(tiny_mean: nn.Module) -> None:
    before = {name: value.clone() for name, value in tiny_mean.state_dict().items()}
    codec, x = native(tiny_mean), photo(64, 64)
    codec.compress(x)
    own = set(vars(codec.model))
    assert codec.compress(x) == codec.compress(x)
    assert all(torch.equal(value, before[n]) for n, value in tiny_mean.state_dict().items())
    assert set(vars(codec.model)) == own
    assert plain(codec.model, x) == plain(tiny_mean, x)


def test_a_search_costs_no_more_than_plain_rounding(tiny_mean: nn.Module) -> None:
    """Rate and distortion, for an effort that compares: the estimate is that of strings."""
    x = photo(128, 128)
    for lmbda in (1e-4, 0.05):
        codec = native(tiny_mean, lmbda=lmbda)
        costs = [_cost(codec, x, out) for out in (codec.compress(x), plain(codec.model, x))]
        assert costs[0] <= costs[1] + 64


def _cost(codec: NativeCodec, x: Tensor, out: dict[str, Any]) -> float:
    y_hat = OwnCoder(codec.assembly.adapter).decoded(**out)
    with torch.no_grad():
        error = float((codec.reconstruct(y_hat).clamp(0, 1) - x).square().sum())
    return 8 * size(out["strings"]) + codec.trade * error


@pytest.mark.parametrize("gain", [8.0, 3000.0], ids=["in the tables", "beyond them"])
@pytest.mark.parametrize("family", [FactorizedPrior, ScaleHyperprior])
def test_strings_are_as_long_as_said(family: type[nn.Module], gain: float) -> None:
    """Prices are those of CompressAI's coder, escapes included."""
    codec, x = native(tiny(family, gain=gain)), photo(128, 128)
    bits = sum(latent[0].latent.bits().sum() for latent in codec.encode(x).values())
    strings = codec.compress(x)["strings"]
    assert abs(8 * size(strings) - bits) < 64 * len(strings) + 0.001 * bits


def test_an_image_that_decodes_to_something_else_is_coded_plainly(
    tiny_mean: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = OwnCoder.decoded

    def misled(coder: OwnCoder, *args: Any) -> Tensor:
        y_hat = own(coder, *args)
        y_hat[1] += 1
        return y_hat

    codec, x = native(tiny_mean), photo(64, 128, batch=2)
    searched = codec.compress(x)["strings"]
    monkeypatch.setattr(OwnCoder, "decoded", misled)
    strings, rounded = codec.compress(x)["strings"], plain(tiny_mean, x)["strings"]
    assert [kind[0] for kind in strings] == [kind[0] for kind in searched]
    assert [kind[1] for kind in strings] == [kind[1] for kind in rounded]
    assert searched != rounded


def test_a_step_is_a_model_of_its_own(tiny_mean: nn.Module) -> None:
    model: Any = with_step(tiny_mean, 2.0)
    codec, x = native(model), photo(64, 64)
    with torch.no_grad():
        decoded = model.decompress(**codec.compress(x))["x_hat"].clamp(0, 1)
    assert torch.allclose(decoded, codec(x)["x_hat"], atol=1e-4)


def test_lambda_moves_the_rate(tiny_mean: nn.Module) -> None:
    x, effort = photo(128, 128), replace(TWO, schedule=Schedule(6, (1.0, 0.3), (0.3, 0.3)))
    sizes = [size(native(tiny_mean, effort, lmbda=v).compress(x)["strings"]) for v in (1e-4, 0.1)]
    assert sizes[0] < 0.95 * sizes[1]


def test_compressai_evaluates_it(tiny_mean: nn.Module) -> None:
    from compressai.utils.eval_model.__main__ import inference  # it has all of torchvision

    codec, x = native(tiny_mean), photo(192, 192)
    result = inference(codec, x[0])
    assert result["bpp"] == pytest.approx(8 * size(codec.compress(x)["strings"]) / 192**2)


# -- what is refused -------------------------------------------------------------------------------

WORDS: dict[str, Any] = {
    "quant": "hex",
    "shift": True,
    "direction": "sign",
    "scales": True,
    "adaptive": True,
    "postfilter": True,
    "pmf": "paper",
    "portable": True,
    "gop": 8,
}


@pytest.mark.parametrize("word", WORDS)
def test_words_of_our_own_format_are_refused_by_name(tiny_mean: nn.Module, word: str) -> None:
    said = re.escape(f"{word}={WORDS[word]!r} is not for format='compressai', ")
    with pytest.raises(InputError, match=f"^{said}"):
        wrap(tiny_mean, preset="fast", format=NATIVE, **{word: WORDS[word]})


def test_what_the_decoder_lacks_is_refused(tiny_mean: nn.Module, tmp_path: Path) -> None:
    codec, x = native(tiny_mean), photo(64, 64)
    (tmp_path / "photo.bin").write_bytes(b"of whatever kind")
    with pytest.raises(InputError, match="offsets"):
        calibrate(codec, [x])
    with pytest.raises(InputError, match="explain"):
        codec.explain(tmp_path / "photo.bin")
    with pytest.raises(InputError, match="decompress"):
        codec.decode([b""], (64, 64))


def test_recipes_of_a_format_have_all_that_it_fixes() -> None:
    for name in ("fast", "default", "slow", "best"):
        for recipe in (made := get_preset(name, NATIVE), made.contextual):
            assert recipe and recipe.effort
            assert all(getattr(recipe, word) == v for word, v in FIXED[NATIVE].items())
        assert made.contextual.effort.schedule.caution == 1.5
    with pytest.raises(InputError, match="'paper': choose fast, default, slow, best"):
        get_preset("paper", NATIVE)
    with pytest.raises(InputError, match="nothing of this recipe is left"):
        PRESETS["paper"].but(format=NATIVE)
    with pytest.raises(InputError, match="unknown format 'bpg'"):
        Recipe().but(format="bpg")


def test_a_recipe_says_its_format_itself(tiny_mean: nn.Module) -> None:
    recipe = get_preset("fast")
    with pytest.raises(InputError, match="exclude each other"):
        wrap(tiny_mean, recipe=recipe, format=NATIVE)
    assert isinstance(wrap(tiny_mean, recipe=recipe.but(format=NATIVE)), NativeCodec)


def test_models_whose_coder_cannot_be_fed_are_refused(tiny_mean: nn.Module) -> None:
    def named(model: nn.Module, portable: bool) -> MeanScaleAdapter:
        return MeanScaleAdapter(model, portable, analysis=lambda m, x: m.g_a(x))

    with pytest.raises(UnsupportedModelError, match="format 'compressai'"):
        wrap(tiny_mean, format=NATIVE, adapter=named)


# -- files -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled() -> NativeCodec:
    codec = native(tiny(MeanScaleHyperprior))
    codec.label = LABEL
    return codec


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda data: data[:-3], "ends early"),
        (lambda data: data + b"?", "more in the file"),
        (lambda data: b"\xf0" + data[1:], "model 240"),
        (lambda data: b"\x00" + data[1:], "bmshj2018-factorized quality 3"),
        (lambda data: data[:10] + b"\x0a" + data[11:], "8 bits"),
    ],
)
def test_other_files_are_told(
    labelled: NativeCodec, tmp_path: Path, harm: Callable[[bytes], bytes], says: str
) -> None:
    path = tmp_path / "photo.bin"
    labelled.save(path, photo(64, 64))
    with pytest.raises(BitstreamError, match=says):
        labelled.load_bytes(harm(path.read_bytes()))


def test_files_need_a_name_that_compressai_knows(tmp_path: Path) -> None:
    codec, x, path = native(tiny(MeanScaleHyperprior)), photo(64, 64), tmp_path / "photo.bin"
    with pytest.raises(InputError, match=r"codec\.label"):
        codec.save(path, x)
    for label, says in [(Label("tiny-mbt2018-mean", 3), "no number"), (Label("mbt2018", 17), "17")]:
        codec.label = label
        with pytest.raises(InputError, match=says):
            codec.save(path, x)
    assert not path.exists()


def test_the_layout_holds_one_shape(tmp_path: Path) -> None:
    codec = native(lively("plain"))
    codec.label = LABEL
    with pytest.raises(InputError, match="one latent shape"):
        codec.save(tmp_path / "photo.bin", photo(64, 64))


# -- the command line ------------------------------------------------------------------------------


def test_the_command_writes_and_reads_such_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photograph, coded, decoded = (tmp_path / name for name in ("x.png", "x.bin", "y.png"))
    write_png(photograph, photo(75, 130))
    model = ["--codec", "tiny-mbt2018-mean", "--quality", 3, "--format", NATIVE]
    assert run("encode", photograph, "-o", coded, *model, "--preset", "fast") == 0
    assert "decode it with the weights of tiny-mbt2018-mean" in capsys.readouterr().err
    assert run("decode", coded, "-o", decoded, *model) == 0
    codec = native(zoo.load("tiny-mbt2018-mean", 3))
    assert torch.equal(pixels(decoded), to_uint8(codec.load(coded)))
    assert Label.of(Head.read(io.BytesIO(coded.read_bytes()))) == LABEL


def test_unnamed_weights_are_coded_to_a_target(tmp_path: Path) -> None:
    photograph, weights, coded = (tmp_path / name for name in ("x.png", "own.pt", "x.bin"))
    write_png(photograph, photo(128, 128))
    own = zoo.load("tiny-mbt2018-mean", 3)
    torch.save(own.state_dict(), weights)
    most = int(
        0.98 * len(wrap(own, preset="fast", format=NATIVE).save_bytes(read_image(photograph)))
    )
    model = ["--codec", "mbt2018-mean", "--weights", weights, "--format", NATIVE]
    argv = ["encode", photograph, "-o", coded, *model, "--preset", "fast"]
    assert run(*argv, "--max-bytes", most) == 0
    assert 0.99 * most - 8 <= coded.stat().st_size <= most
    with coded.open("rb") as file:
        assert Label.of(Head.read(file)) == Label("mbt2018-mean", 1)


def test_the_command_refuses_what_such_files_cannot_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photograph, coded, refused = tmp_path / "x.png", tmp_path / "x.bin", Refused(tmp_path, capsys)
    write_png(photograph, photo(64, 64))
    model = ["--codec", "tiny-mbt2018-mean", "--quality", 3, "--format", NATIVE]
    refused("--step 2", "encode", photograph, "-o", coded, *model, "--step", 2)
    said, model = "--quant hex is not for --format compressai", [*model, "--quant", "hex"]
    refused(said, "encode", photograph, "-o", coded, *model)
    assert tuple(FIXED) == cli_native.FORMATS


# -- what is not to be trusted ---------------------------------------------------------------------


@pytest.mark.parametrize("edit", ["in place", "update"])
def test_scales_that_a_model_has_stay_when_its_tables_are_made_anew(edit: str) -> None:
    model: Any = tiny(MeanScaleHyperprior)
    own = torch.linspace(0.2, 40, 32)
    model.gaussian_conditional.update_scale_table(own, force=True)
    codec = native(model)
    if edit == "update":
        codec.update(force=True)
    else:
        with torch.no_grad():
            next(codec.model.parameters()).add_(0.0)
    out = codec.compress(photo(64, 96))
    decoded = model.decompress(out["strings"], out["shape"])["x_hat"].clamp(0, 1)
    torch.testing.assert_close(decoded, codec.decompress(out["strings"], out["shape"])["x_hat"])


def test_corrupt_files_are_refused_before_they_are_decoded() -> None:
    codec = native(zoo.load("tiny-mbt2018-mean", 3))
    data = codec.save_bytes(photo(64, 64))
    head, body = data[:11], Body.read(io.BytesIO(data[11:]))
    y, z = body.strings
    for shape, strings in (
        ((3, 9), (y, z)),
        ((0, 0), (y, z)),
        ((3000, 3000), (y, z)),
        ((2**32 - 1, 2**32 - 1), (y, z)),
        (body.shape, (y,)),
        (body.shape, (y, z, z)),
        (body.shape, (b"", z)),
        (body.shape, (y[:-1], z)),
    ):
        with pytest.raises(BitstreamError):
            codec.load_bytes(head + Body(shape, strings).to_bytes())
    cut = codec.load_bytes(head + Body(body.shape, (y[:8], z)).to_bytes())
    assert cut.shape == (1, 3, 64, 64)  # whatever it shows: the layout has no checksum


@pytest.fixture(scope="module")
def clip() -> tuple[NativeVideoCodec, bytes]:
    """A codec of one key frame and one other, and such a file."""
    codec = wrap(tiny_flow(), recipe=UNSEARCHED)
    assert isinstance(codec, NativeVideoCodec)
    codec.label = Label("ssf2020", 1)
    return codec, codec.save_bytes(moving(2, 75, 120))


def test_a_clip_is_decoded_to_what_its_file_says(clip: tuple[NativeVideoCodec, bytes]) -> None:
    codec, data = clip
    shown = codec(moving(2, 75, 120))["x_hat"]
    for x, own in zip(codec.load_bytes(data), shown, strict=True):
        assert x.shape == own.shape == (1, 3, 75, 120)
    assert data[:2] == bytes([list(models).index("ssf2020"), 0])


def _bodies(data: bytes) -> tuple[bytes, list[Body]]:
    """What comes before the frames, and the key frame's body, the motion's and the residual's."""
    file = io.BytesIO(data)
    Head.read(file)
    read_count(file)
    start = file.tell()
    return data[:start], [Body.read(file) for _ in range(3)]


@pytest.mark.parametrize("part", [0, 1, 2], ids=["key frame", "motion", "residual"])
def test_corrupt_clips_are_refused_before_they_are_decoded(
    clip: tuple[NativeVideoCodec, bytes], part: int
) -> None:
    codec, data = clip
    head, bodies = _bodies(data)
    y, z = bodies[part].strings
    for shape, strings in (
        ((3, 9), (y, z)),
        ((0, 0), (y, z)),
        ((2**32 - 1, 2**32 - 1), (y, z)),
        (bodies[part].shape, (y,)),
        (bodies[part].shape, (y, z, z)),
        (bodies[part].shape, (b"", z)),
        (bodies[part].shape, (y[:-1], z)),
    ):
        harmed = [*bodies[:part], Body(shape, strings), *bodies[part + 1 :]]
        with pytest.raises(BitstreamError):
            list(codec.load_bytes(head + b"".join(body.to_bytes() for body in harmed)))
    cut = [*bodies[:part], Body(bodies[part].shape, (y[:8], z)), *bodies[part + 1 :]]
    frames = list(codec.load_bytes(head + b"".join(body.to_bytes() for body in cut)))
    assert [x.shape for x in frames] == [(1, 3, 75, 120)] * 2  # whatever they show


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda data: data[:-3], "ends early"),
        (lambda data: data + b"?", "more in the file"),
        (lambda data: data[:11] + bytes(4), "no frames"),
        (lambda data: data[:11] + b"\xff\xff\xff\xff" + data[15:], "ends early"),
        (lambda data: data[:2] + b"\xff" + data[3:], "pixels"),
        (lambda data: b"\x00" + data[1:], "name the model of the file"),
    ],
)
def test_other_clips_are_told(
    clip: tuple[NativeVideoCodec, bytes], harm: Callable[[bytes], bytes], says: str
) -> None:
    codec, data = clip
    with pytest.raises(BitstreamError, match=says):
        list(codec.load_bytes(harm(data)))


def test_strings_of_frames_are_checked(clip: tuple[NativeVideoCodec, bytes]) -> None:
    codec, _ = clip
    strings, shapes = codec.compress(moving(2, 75, 120))
    for wrong in (
        (strings, shapes[:1]),
        (strings[1:], shapes[1:]),
        ([strings[0], strings[0]], [shapes[0], shapes[0]]),
        (strings, [shapes[0], {"motion": shapes[0]}]),
        (strings, [(5000, 5000), shapes[1]]),
        ([[[b"1234"], [b"12345678"]]], shapes[:1]),
    ):
        with pytest.raises(BitstreamError):
            codec.decompress(*wrong)


# -- names of models -------------------------------------------------------------------------------


def test_a_label_is_what_the_origin_says_and_stays() -> None:
    codec = native(zoo.load("tiny-mbt2018-mean", 3))
    assert codec.label == LABEL
    codec.half()
    assert codec.origin is None and codec.label == LABEL
    for origin in (Origin("my-codec", 3), Origin("mbt2018-mean"), Origin("mbt2018", 3, step=2.0)):
        assert label_of(origin) is None
    assert label_of(Origin("mbt2018", 2, "ms-ssim")) == Label("mbt2018", 2, "ms-ssim")


def test_the_metric_of_a_file_chooses_the_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    own = zoo.load

    def load(codec: str, quality: int, weights: None, metric: str) -> nn.Module:
        asked.append(metric)
        return own("tiny-mbt2018-mean", quality)

    monkeypatch.setattr(zoo, "load", load)
    photograph, coded, decoded = (tmp_path / name for name in ("x.png", "x.bin", "y.png"))
    write_png(photograph, photo(64, 64))
    model = ["--codec", "mbt2018-mean", "--quality", 3, "--format", NATIVE]
    metric = ["--metric", "ms-ssim"]
    assert run("encode", photograph, "-o", coded, *model, *metric, "--preset", "fast") == 0
    with coded.open("rb") as file:
        assert Label.of(Head.read(file)) == replace(LABEL, metric="ms-ssim")
    assert run("decode", coded, "-o", decoded, "--format", NATIVE) == 0
    assert run("decode", coded, "-o", decoded, *model, *metric) == 0
    capsys.readouterr()
    assert asked == ["ms-ssim"] * 3
    refused, mse = Refused(tmp_path, capsys), ["--metric", "mse"]
    refused("name the model of the file", "decode", coded, "-o", tmp_path / "z.png", *model, *mse)
    assert cli_model.METRICS == zoo.METRICS


def test_variable_rates_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="no coder that format 'compressai' can run"):
        native(at_rate(MeanScaleHyperpriorVbr(8, 12).eval(), 3))
