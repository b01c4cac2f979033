"""The same codec under other instruction sets: what it wrote decodes, with the same tables."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.models import FAMILIES, photo, tiny

import latentopt
from latentopt.adapters import with_step
from latentopt.adapters.scales import STANDARD_SCALES
from latentopt.latents.lattice import channel

ENVIRONMENT = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX AVX2 FMA3",
    "OPENBLAS_CORETYPE": "Nehalem",
}
"""PyTorch and NumPy without vectors, oneDNN without AVX512, another kernel of BLAS: each changes a
library of its own, so one process can have them all."""
# Finer and coarser tables; each family has one of the two, as all follow from the same formulas.
STEPS = dict(zip(FAMILIES, (0.7, 1.4, 0.7, 1.4), strict=True))
FACTORIZED, MEAN = "bmshj2018-factorized", "mbt2018-mean"
WORDS: dict[str, tuple[str, float, dict[str, Any]]] = {
    **{f"{f} at {s}": (f, s, {"quant": "oct"}) for f, s in STEPS.items()},
    "factorized, d4 with scales": (FACTORIZED, 1.0, {"quant": "d4", "scales": True}),
    "factorized, auto with scales": (FACTORIZED, 1.0, {"quant": "auto", "scales": True}),
    "factorized, paper": (FACTORIZED, 1.0, {"quant": "oct", "pmf": "paper"}),
    "mean, fast": (MEAN, 1.0, {"preset": "fast"}),
    "factorized with a context": (FACTORIZED, 1.0, {"quant": "int", "context": True}),
    "mean with a context": (MEAN, 1.0, {"quant": "int", "context": True}),
}


def weights(folder: Path, family: str) -> Path:
    return folder / f"{family}.pt"


def codec_of(folder: Path, name: str) -> latentopt.Codec:
    """With weights that travel, as a checkpoint's do; PyTorch's own tables differ in last bits."""
    family, step, words = WORDS[name]
    model = tiny(FAMILIES[family])
    model.load_state_dict(torch.load(weights(folder, family)))
    return latentopt.wrap(with_step(model, step), **words)


def read_all(folder: str) -> dict[str, str]:
    """In another process: of each file what went wrong, else the table hash."""
    found = {}
    for name in WORDS:
        codec = codec_of(Path(folder), name)
        try:
            codec.load(Path(folder) / f"{name}.lo")
            found[name] = codec.identity.table_hash.hex()
        except latentopt.LatentoptError as error:
            found[name] = str(error)
    return found


def write_all(folder: Path) -> dict[str, str]:
    """Weights and files for the other process, and the table hashes here."""
    hashes = {}
    for family, kind in FAMILIES.items():
        torch.save(tiny(kind).state_dict(), weights(folder, family))
    with pytest.MonkeyPatch.context() as always:  # contexts are used, whether they pay or not
        always.setattr(channel, "cheapest", lambda latents: latents[-1])
        for name in WORDS:
            codec = codec_of(folder, name)
            codec.save(folder / f"{name}.lo", photo(64, 80))
            hashes[name] = codec.identity.table_hash.hex()
    return hashes


def test_files_decode_in_another_environment(tmp_path: Path) -> None:
    """All in one test: the processes of pytest-xdist would each start one of their own."""
    hashes = write_all(tmp_path)
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", __file__, str(tmp_path)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == hashes


# -- tables of scales ------------------------------------------------------------------------------


def test_the_standard_table_is_compressais() -> None:
    """Up to last bits, which are the machine's; and those that checkpoints have."""
    from compressai.models.base import get_scale_table

    computed = get_scale_table().double()
    torch.testing.assert_close(torch.from_numpy(STANDARD_SCALES), computed, rtol=1e-6, atol=0)


@pytest.mark.parametrize("family", ["bmshj2018-hyperprior", "mbt2018-mean", "mbt2018"])
def test_a_step_keeps_the_table_that_the_model_has(family: str) -> None:
    model: Any = tiny(FAMILIES[family])
    stored = model.gaussian_conditional.scale_table * (1 + 1e-6)  # as another machine computed it
    model.update(stored, force=True)
    stepped: Any = with_step(model, 1.4)
    assert torch.equal(stepped.gaussian_conditional.scale_table, stored)
    never: Any = FAMILIES[family](8, 12)
    stepped = with_step(never, 1.4)
    assert stepped.gaussian_conditional.scale_table.double().tolist() == STANDARD_SCALES.tolist()


if __name__ == "__main__":
    print(json.dumps(read_all(sys.argv[1])))
