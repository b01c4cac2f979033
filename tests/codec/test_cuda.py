"""On a GPU: wrapped codecs work there, and their streams decode elsewhere to the same latents."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.models import moving, photo, tiny_flow
from torch import Tensor

import latentopt
from latentopt import cli, zoo
from latentopt.bench.configs import parse_all
from latentopt.bench.datasets import Dataset
from latentopt.bench.sweep import evaluate
from latentopt.bench.task import Plan, quality_points
from latentopt.media.images import read_image, write_png
from tables.latent_shift import figure4c, table3, table4, table5

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

CODECS = ("tiny-bmshj2018-factorized", "tiny-mbt2018-mean", "tiny-mbt2018", "tiny-cheng2020-attn")
MEAN = "tiny-mbt2018-mean"
KINDS: dict[str, dict[str, Any]] = {
    "oct+shift": dict(quant="oct", shift=True),
    "auto+scales": dict(quant="auto", shift=False, scales=True),
    "default": dict(preset="default"),
    "not portable": dict(quant="hex", shift=True, portable=False),
}


def psnr_db(a: Tensor, b: Tensor) -> float:
    return float(-10 * (a.cpu() - b.cpu()).square().mean().log10())


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CODECS)
def test_streams_decode_on_gpu_and_cpu(name: str, kind: str) -> None:
    model = zoo.load(name, 2)
    here = latentopt.wrap(model, **KINDS[kind])
    there = latentopt.wrap(model.cuda(), **KINDS[kind])
    x = photo(130, 200, batch=2)
    out = there.compress(x.cuda())
    decoded = there.decompress(out["strings"], out["shape"])["x_hat"]
    assert decoded.is_cuda and decoded.shape == x.shape
    assert torch.allclose(there(x.cuda())["x_hat"], decoded, atol=1e-3)
    before = here.compress(x)
    sizes = [sum(len(s) for latent in o["strings"] for s in latent) for o in (before, out)]
    assert abs(sizes[1] / sizes[0] - 1) < 0.01  # as on the CPU, but for a few choices
    if kind == "not portable":
        return
    for strings in zip(*out["strings"]):
        latents = [
            [c.latent.hat for c in codec.decode(strings, (130, 200))] for codec in (here, there)
        ]
        assert all(np.array_equal(a, b) for a, b in zip(*latents, strict=True))
    on_cpu = here.decompress(out["strings"], out["shape"])["x_hat"]
    assert psnr_db(on_cpu, decoded) > 60
    assert abs(psnr_db(x, on_cpu) - psnr_db(x, here.decompress(**before)["x_hat"])) < 0.1


def test_moving_a_wrapped_codec(tmp_path: Path) -> None:
    codec = latentopt.wrap(zoo.load(MEAN, 1), preset="fast")
    x = photo(96, 128)
    codec.save(tmp_path / "cpu.lo", x)
    on_cpu = codec.load(tmp_path / "cpu.lo")
    codec.cuda()
    assert psnr_db(codec.load(tmp_path / "cpu.lo"), on_cpu) > 60
    codec.save(tmp_path / "cuda.lo", x.cuda())
    on_cuda = codec.load(tmp_path / "cuda.lo")
    codec.cpu()
    assert psnr_db(codec.load(tmp_path / "cuda.lo"), on_cuda) > 60
    assert "bits" in str(codec.explain(tmp_path / "cuda.lo"))


def test_command_line(tmp_path: Path) -> None:
    write_png(tmp_path / "x.png", photo(100, 140))
    codec = ["--codec", "tiny-mbt2018", "--quality", "1"]
    file, decoded = str(tmp_path / "x.lo"), [str(tmp_path / f"{d}.png") for d in ("cuda", "cpu")]
    argv = ["encode", str(tmp_path / "x.png"), "-o", file, *codec, "--preset", "fast"]
    assert cli.main([*argv, "--device", "cuda"]) == 0
    for path, device in zip(decoded, ("cuda", "cpu")):
        assert cli.main(["decode", file, "-o", path, *codec, "--device", device]) == 0
    a, b = map(read_image, decoded)
    assert (a - b).abs().max() < 1.5 / 255  # a sample may round the other way


def test_harness(tmp_path: Path) -> None:
    write_png(tmp_path / "x.png", photo(161, 176))
    dataset = Dataset("toy", (tmp_path / "x.png",))
    points = quality_points(MEAN, [1])
    plan = Plan(MEAN, points, parse_all(["baseline", "int", "best"]), dataset, device="cuda")
    rows = evaluate(plan, tmp_path / "rows.csv", progress=False).set_index("config")
    assert set(rows["device"]) == {"cuda"}
    assert rows.loc["best", "bytes"] < rows.loc["baseline", "bytes"]
    assert abs(rows.loc["int", "psnr_db"] - rows.loc["baseline", "psnr_db"]) < 0.01


def test_calibration() -> None:
    codec = latentopt.wrap(zoo.load(MEAN, 1).cuda(), "oct", False)
    latentopt.calibrate(codec, [photo(96, 128).cuda()])
    x = photo(96, 128, seed=1).cuda()
    out = codec.compress(x)
    assert codec.decompress(out["strings"], out["shape"])["x_hat"].is_cuda


@pytest.mark.parametrize("kind", ["oct+shift", "default"])
def test_video(kind: str) -> None:
    model = tiny_flow()
    here = latentopt.wrap(model, **KINDS[kind])
    there = latentopt.wrap(model.cuda(), **KINDS[kind])
    strings, shapes = there.compress([x.cuda() for x in moving(3)])
    decoded = there.decompress(strings, shapes)
    again = here.decompress(strings, shapes)
    assert all(psnr_db(a, b) > 60 for a, b in zip(decoded, again, strict=True))


@pytest.mark.parametrize("module", [table3, table5, figure4c])
def test_probes_agree_with_those_of_the_cpu(module: Any) -> None:
    _agree(module.prepare)


def test_table4_agrees() -> None:
    _agree(lambda model: table4.prepare(model, seeds=10))


def _agree(prepare: Any) -> None:
    x, tf32 = photo(128, 192), torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False  # as tables/__main__.py has it
    try:
        with torch.no_grad():
            model = zoo.load(MEAN, 2)
            cpu = prepare(model)(x)
            gpu = prepare(model.cuda())(x.cuda())
    finally:
        torch.backends.cudnn.allow_tf32 = tf32
    assert gpu == pytest.approx(cpu, rel=1e-3, abs=1e-3)
