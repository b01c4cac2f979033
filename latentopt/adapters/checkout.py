"""Codecs of the DCVC family from a checkout of Microsoft's repository that the user has.

Their code is no package: each family's folder holds a top-level package ``src`` of its own. So a
class is imported with that folder on ``sys.path``, and ``src`` is forgotten afterwards: then one
process can load several families. None of their code is part of latentopt.
"""

import importlib
import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import nn

from latentopt.errors import InputError, WeightsError

_PACKAGE = "src"
_DERIVED = "gaussian_conditional.scale_table"  # in checkpoints of DCVC-TCM, not in its class


@dataclass(frozen=True)
class _Public:
    """Where a family's class is."""

    module: str
    name: str
    folder: str = ""
    """The family's, where that is not what it is called here."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Of the class, as its checkpoints have them, where it has no defaults."""


FAMILIES = {
    "DCVC": _Public("src.models.DCVC_net", "DCVC_net"),
    "DCVC-HEM": _Public("src.models.image_model", "IntraNoAR"),
    "DCVC-HEM-P": _Public("src.models.video_model", "DMC", "DCVC-HEM"),
    "DCVC-DC": _Public("src.models.image_model", "IntraNoAR"),
    "DCVC-DC-P": _Public("src.models.video_model", "DMC", "DCVC-DC"),
    "DCVC-FM": _Public("src.models.image_model", "DMCI"),
    "DCVC-FM-P": _Public("src.models.video_model", "DMC", "DCVC-FM"),
    "DCVC-TCM": _Public("src.models.priors", "IntraNoAR", options={"N": 192}),
    "DCVC-RT": _Public("src.models.image_model", "DMCI"),
    "DCVC-RT-P": _Public("src.models.video_model", "DMC", "DCVC-RT"),
    "DCVC-TCM-P": _Public("src.models.video_net_dmc", "DMC", "DCVC-TCM"),
    **{
        f"EVC-{size}": _Public("src.models.image_model", f"EVC_{size}", "EVC")
        for size in ("LL", "LM", "LS", "ML", "MM", "SL", "SS")
    },
    **{
        f"SCALE-EVC-{size}": _Public(
            "src.models.scalable_encoder_model", f"Scale_EVC_{size}", "EVC"
        )
        for size in ("SL", "SS")
    },
}
_FOLDERS = {public.folder or family for family, public in FAMILIES.items()}


def load_dcvc(
    repo: str | os.PathLike[str],
    family: str,
    checkpoint: str | os.PathLike[str] | None = None,
    **options: object,
) -> nn.Module:
    """A codec of the DCVC family, in eval mode.

    Args:
        repo: the checkout: the repository's root, its ``DCVC-family``, or the family's folder.
        family: ``"DCVC"`` (``DCVC_net``, predicted frames), ``"DCVC-TCM"``, ``"DCVC-HEM"`` or
            ``"DCVC-DC"`` (``IntraNoAR``), ``"DCVC-FM"`` or ``"DCVC-RT"`` (``DMCI``), with ``-P``
            behind it one of -TCM, -HEM, -DC, -FM or -RT (``DMC``, predicted frames), or one of
            EVC's sizes, ``"EVC-LL"`` to ``"SCALE-EVC-SS"``.
        checkpoint: file with its weights; without one they are random.
        options: for the class, such as ``N``.

    Raises:
        InputError: there is no such family, folder or class, or it cannot be imported.
        WeightsError: the checkpoint is missing, unreadable, or of another architecture.
    """
    if family not in FAMILIES:
        raise InputError(f"unknown family {family!r}: choose {', '.join(FAMILIES)}")
    public = FAMILIES[family]
    here = _folder(Path(repo), family, public)
    with _importing(here) as folder, redirect_stdout(io.StringIO()):  # some say how they will run
        try:
            make = getattr(importlib.import_module(public.module), public.name)
            model = make(**{**public.options, **options})
        except (ImportError, AttributeError, TypeError) as error:
            where = f"{public.name} from {public.module} in {folder}"
            raise InputError(f"cannot make {where}: {error}") from error
    if checkpoint is not None:
        _load(model, Path(checkpoint).expanduser())
    return model.eval()


def _folder(repo: Path, family: str, public: _Public) -> Path:
    """The folder that holds the family's package."""
    file = Path(*public.module.split(".")).with_suffix(".py")
    own = public.folder or family
    candidates = [repo / "DCVC-family" / own, repo / own]
    if repo.resolve().name not in _FOLDERS - {own}:  # else a class of the same name
        candidates.append(repo)
    for folder in candidates:
        if (folder / file).is_file():
            return folder.resolve()
    raise InputError(
        f"no {family} in {repo}: expected {file} in one of {', '.join(map(str, candidates))}; "
        "clone https://github.com/microsoft/DCVC and give its path"
    )


@contextmanager
def _importing(folder: Path) -> Iterator[Path]:
    """Within it, ``src`` is the package in ``folder``."""
    others = _forget()
    sys.path.insert(0, str(folder))
    try:
        yield folder
    finally:
        sys.path.remove(str(folder))
        _forget()
        sys.modules.update(others)


def _forget() -> dict[str, Any]:
    """Remove the package and its modules from those imported; returns them."""
    names = [name for name in sys.modules if name.split(".")[0] == _PACKAGE]
    return {name: sys.modules.pop(name) for name in names}


def _load(model: nn.Module, path: Path) -> None:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # whatever unpickling meets
        raise WeightsError(f"{path} is no checkpoint: {error}") from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path} is no checkpoint: it holds a {type(state).__name__}")
    for key in ("state_dict", "net"):  # where training scripts put it
        state = state.get(key, state)
    state = {name.removeprefix("module."): value for name, value in state.items()}
    state.pop(_DERIVED, None)
    try:
        with redirect_stdout(io.StringIO()):  # EVC's prints what it lacks, and goes on
            model.load_state_dict(state)
    except (RuntimeError, KeyError) as error:
        why = shorten(str(error), 300, placeholder=" …")  # it lists all tensors
        raise WeightsError(f"{path} is not of {type(model).__name__}: {why}") from error
    own = model.state_dict()
    wrong = [name for name, t in own.items() if name not in state or not t.equal(state[name].to(t))]
    if wrong:
        lacks = shorten(", ".join(wrong), 300, placeholder=" …")
        raise WeightsError(f"{path} is not of {type(model).__name__}: it lacks {lacks}")
