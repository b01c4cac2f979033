"""What can be refused before PyTorch is imported, which takes seconds, is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from compressai.models import FactorizedPrior, JointAutoregressiveHierarchicalPriors
from compressai.zoo import models
from support.models import photo

from latentopt.bench import clipsets, datasets, items, options
from latentopt.bitstream.compressai_file import NUMBERED, Body, Head
from latentopt.cli import outputs, recipe
from latentopt.cli.arguments import max_pixels
from latentopt.codec.image import Codec
from latentopt.codec.recipe import NATIVE_PRESETS
from latentopt.media.clips import WRITABLE
from latentopt.media.images import write_png
from latentopt.zoo import catalog, variable
from latentopt.zoo.architectures import ARCHITECTURES
from latentopt.zoo.names import CONTEXTUAL, FACTORIZED, VARIABLE

_SCRIPT = """
import contextlib, io, json, sys
sys.modules["torch"] = None
from latentopt.cli.main import main
for line in sys.argv[1:]:
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(line.split())
    print(json.dumps([code, said.getvalue()]))
"""

REFUSED = {
    "encode x.png --spread 0.3 --preset default": "--spread excludes a preset's search, --scales",
    "encode x.png --spread 0.3 --context": "use the preset plain in place",
    "encode x.png --spread 0.3 --quant e8": "samples are on no lattice",
    "encode x.png --spread 0.3 --lmbda 1": "--lmbda is for a search",
    "encode x.png --spread 0.3 --dither 1": "--dither and --spread exclude each other",
    "gaps --codec tiny-ssf2020": "gaps are of image codecs",
    "gaps --codec tiny-mbt2018 --limit 0": "--limit 0: must be at least 1",
    "encode x.png --codec tiny-ohm --quant oct": "--quant is for codecs with something to choose",
    "encode x.png --codec tiny-ohm --preset best": "--preset is for codecs with something",
    "encode x.png --codec tiny-ohm --shift secant": "--shift is for codecs with something",
    "encode x.png --codec tiny-ohm --spread 1": "--spread is for codecs with something",
    "encode x.png --codec tiny-ohm --match psnr": "--match is for codecs with something",
    "encode x.png --codec tiny-ohm --versus-plain": "--versus-plain is for codecs with something",
    "encode x.png --codec tiny-ohm --step 2": "--step 2: tiny-ohm sends its maps as",
    "encode x.png --codec tiny-pln --preset plain": "--preset is for points of a lattice",
    "encode x.png --codec tiny-pln --shift secant": "--shift is for points of a lattice",
    "finetune --data . -o x.pt": "weights are written in .safetensors",
    "finetune --data . -o new.safetensors --also all": "choose of hyper-synthesis, density",
    "finetune --data . -o new.safetensors --codec tiny-ssf2020": "only image codecs of one rate",
    "finetune --data . -o new.safetensors --rounds 0": "not a whole number above 0",
    "encode x.png --quality 9": "has no quality 9: there are 1, 2, 3, 4",
    "encode x.png --codec mbt2018-mean --weights absent.pt": "absent.pt: no such file",
    "encode x.png --codec mbt2018-mean --weights x.png --quality 2": "not allowed with",
    "encode x.png --codec mbt2018-mean-vbr --weights x.png": "say which with --quality",
    "encode x.png -o y.png": "encode writes coded files",
    "encode x.png --format compressai --quant oct": "--quant oct is not for --format compressai",
    "encode x.png --format compressai --gop 2": "--gop 2 is not for --format compressai",
    "encode x.png --format compressai --preset paper": "use fast, default, slow, best",
    "encode x.png --format compressai --step 2": "know of no step",
    "encode x.png --format compressai --postfilter": "--postfilter is not for --format compressai",
    "encode x.png --format compressai --shift secant": "--shift secant is not for --format",
    "encode x.png --format compressai --progressive": "--progressive is not for --format",
    "encode x.png --progressive --context": "--progressive excludes --context: its channels",
    "encode x.png --dither 1 --scales": "--dither excludes a preset's search, --scales, "
    "--adaptive, --context and --pmf paper: leave them out",
    "encode x.png --codec tiny-ohm --format compressai": "--format compressai: tiny-ohm sends its",
    "encode x.png --codec tiny-bmshj2018-factorized --adaptive": "--adaptive is for codecs with a "
    "side latent, and tiny-bmshj2018-factorized has none",
    "encode x.png --prepacked": "--prepacked is for codecs with a context model, and "
    "tiny-mbt2018-mean has none",
    "encode x.png --target-kbps 300": "--target-kbps is for clips: give --max-bytes",
    "encode x.png -o k3.lo --gop 4": "--gop is for video codecs, and tiny-mbt2018-mean is not one",
    "encode x.png --size 50x40": "--size is for video codecs, and tiny-mbt2018-mean is not one",
    "encode x.png wide.png -o k5.lo": "-o k5.lo: several inputs need a folder",
    "decode x.png wide.png -o y.png": "-o y.png: several inputs need a folder",
    "encode clip.y4m --postfilter": "--postfilter is for image codecs, and tiny-ssf2020 is not one",
    "encode clip.y4m --progressive": "--progressive is for image codecs",
    "decode x.png -o y.png": "x.png: not a latentopt file: it is a PNG image",
    "info x.png": "x.png: not a latentopt file: it is a PNG image",
    "explain clip.y4m": "clip.y4m: not a latentopt file: it is a Y4M clip",
    "truncate x.png -o y.lo": "x.png: not a latentopt file: it is a PNG image",
    "encode empty.png": "empty.png: is empty; take a whole copy",
    "finetune --data . -o new.safetensors --codec tiny-ohm": "tiny-ohm: only codecs whose decoder",
    "finetune --data . -o new.safetensors --codec tiny-pln": "tiny-pln: only codecs whose decoder",
    "encode x.png --format compressai --versus-plain": "--versus-plain is for latentopt's own",
    "encode x.png --dither 0 --format compressai": "--dither 0 is not for --format compressai",
    "encode x.png --dither 1 --preset fast": "use the preset plain",
    "encode x.png --dither 1 --context": "use the preset plain",
    "encode x.png --dither 1 --pmf paper": "use the preset plain",
    "encode x.png --dithered main": "give a seed",
    "encode x.png --mean": "--mean goes with --dither",
    "encode x.png --dither 1 --alpha 99": "is not from 0 to 64",
    "encode x.png --dither 1 --alpha 4": "--alpha is for integers: give --quant int",
    "encode x.png --dither 1 --quant int --alpha 4 --sigma 1": "exclude each other",
    "encode x.png --dither 1 --quant int --sigma 99": "0.1 to 16",
    "encode x.png --keep-step": "--keep-step is for a target",
    "encode x.png --codec tiny-mbt2018 --target-kbps 100": "--target-kbps is for clips",
    "truncate x.png -o y.lo --maps 0": "'0' is not a whole number above 0",
    "truncate x.png -o y.lo --bytes 2q": "'2q' is not a number of bytes",
    "encode clip.y4m --target-kbps 100 --keep-step": "--keep-step is for images",
    "encode clip.y4m --target-kbps 100 --max-bytes 9k": "not allowed with",
    "encode x.png --max-bytes 9k --step 2": "a target chooses the step",
    "encode x.png --max-pixels 9": "50x40 is more than",
    "encode clip.y4m --codec tiny-mbt2018-mean": "clip.y4m: is a clip",
    "encode notes.txt": "notes.txt: not a readable image",
    "encode -": "standard input: is empty",
    "decode notes.txt -o y.png": "notes.txt: not a latentopt file",
    "decode - -o y.png": "standard input: not a latentopt file",
    "compare x.png notes.txt": "notes.txt: not a readable image",
    "compare x.png wide.png": "wide.png: is 60x40, and x.png is 50x40",
    "bdrate --codec nope": "unknown codec 'nope'",
    "bdrate --codec mbt2018-mean --limit 0": "--limit 0: must be at least 1",
    "bdrate --codec mbt2018-mean --qualities 9": "no quality 9",
    "bdrate --codec mbt2018-mean --steps a": "--steps 'a': expected numbers",
    "report .": "holds no measurements.csv",
    "zoo remove nope": "no codec 'nope' is registered",
}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    write_png(tmp_path / "x.png", photo(40, 50))
    write_png(tmp_path / "wide.png", photo(40, 60))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "clip.y4m").write_text("YUV4MPEG2 but no clip")
    (tmp_path / "empty.png").touch()
    return tmp_path


def test_refusals_need_no_model(here: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *REFUSED],
        cwd=here,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    for (line, message), answer in zip(REFUSED.items(), found.stdout.splitlines(), strict=True):
        code, said = json.loads(answer)
        assert (code, said.count("\n")) == (2, 1), line
        assert message in said, line


def test_what_a_file_for_compressai_says_needs_no_model(tmp_path: Path) -> None:
    """Its name in every version of CompressAI, whichever is installed."""
    files = {name: tmp_path / f"{name}.bin" for name in NUMBERED}
    for number, file in enumerate(files.values()):
        head = Head(number, 0, 3, 64, 64).to_bytes()
        file.write_bytes(head + Body((1, 1), (b"12345678",)).to_bytes())
    script = _SCRIPT.replace("redirect_stderr", "redirect_stdout")
    lines = [f"info {file}" for file in files.values()]
    found = subprocess.run(
        [sys.executable, "-c", script, *lines], capture_output=True, text=True, check=True
    )
    for name, answer in zip(files, found.stdout.splitlines(), strict=True):
        code, said = json.loads(answer)
        assert code == 0 and f"{name}\n" in said, said
    assert list(models)[: len(NUMBERED)] == list(NUMBERED)


def test_what_stands_for_the_library_is_what_it_has() -> None:
    assert outputs.CLIPS == WRITABLE
    assert tuple(NATIVE_PRESETS) == recipe.NATIVE_PRESETS
    assert datasets.names() == options.IMAGE_SETS and clipsets.names() == options.CLIP_SETS
    assert items.Clips().gop == options.DEFAULT_GOP
    assert tuple(variable.VARIABLE) == VARIABLE
    alone = [name for name, kind in ARCHITECTURES.items() if issubclass(kind, FactorizedPrior)]
    assert tuple(alone) == FACTORIZED
    joint = JointAutoregressiveHierarchicalPriors
    contextual = [name for name, kind in ARCHITECTURES.items() if issubclass(kind, joint)]
    assert set(contextual) == set(CONTEXTUAL)
    assert all(catalog.is_variable(name) for name in VARIABLE)


def test_the_limit_of_pixels_is_the_codecs(tiny_mean: Codec) -> None:
    import argparse

    import latentopt

    assert max_pixels(argparse.Namespace(max_pixels=None)) == latentopt.wrap(tiny_mean).max_pixels
