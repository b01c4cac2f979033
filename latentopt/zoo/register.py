"""Give checkpoints names of their own, kept in the user's data folder."""

import os
from pathlib import Path

from latentopt.errors import InputError
from latentopt.zoo import catalog, folder
from latentopt.zoo.embedded import EMBEDDED
from latentopt.zoo.folder import Folder
from latentopt.zoo.hub import Published
from latentopt.zoo.names import spelling


def add(
    name: str,
    checkpoint: str | Path,
    codec: str | None = None,
    quality: int | None = None,
    replace: bool = False,
) -> Path:
    """Keep a checkpoint's weights under a name; returns the file they are kept in.

    The checkpoint is loaded as ``codec``, one of CompressAI's names, and what was loaded is
    written in float32, so the original is not needed any more. What a .safetensors checkpoint says
    of itself need not be said: architecture and quality. The lambda that it was trained for stays
    known. A checkpoint that says no quality is of quality 1.

    Raises:
        InputError: the name or quality is taken, or is none; nothing says the architecture.
        WeightsError: the checkpoint is missing, unsafe, damaged, or of another architecture.
    """
    source = Path(os.path.expanduser(checkpoint))
    said = folder.recorded(source) if codec is None or source.exists() else {}
    codec = codec or said.get("architecture")
    if codec is None:
        raise InputError(f"{source}: name its architecture (--codec), such as mbt2018-mean")
    if quality is None:
        quality = int(word) if (word := said.get("quality", "")).isdecimal() else 1
    name = check(name, codec, quality, replace)
    family, home = catalog.family(codec), catalog.registered()
    from latentopt.zoo.checkpoint import load_checkpoint  # imports PyTorch, which takes seconds

    model = load_checkpoint(source, family)
    metadata = {"architecture": family, "quality": str(quality), "source": source.name}
    metadata |= {k: v for k, v in said.items() if k == "lambda"}
    target = home.file(name, quality)
    folder.write(target, model.state_dict(), metadata)
    return target


def check(name: str, codec: str, quality: int = 1, replace: bool = False) -> str:
    """The spelling of a name that :func:`add` would give to a codec's weights.

    Raises:
        InputError: the name or quality is taken, or is none.
    """
    name = _own(name)
    if quality < 1:
        raise InputError(f"quality {quality}: must be at least 1")
    _check_free(catalog.registered(), name, quality, catalog.family(codec), replace)
    return name


def remove(name: str) -> list[Path]:
    """Forget a registered codec, all its qualities; returns the files that were deleted."""
    name, home = _own(name), catalog.registered()
    files = [home.file(name, quality) for quality in home.qualities(name)]
    if not files:
        known = ", ".join(home.names()) or "none"
        raise InputError(f"no codec {name!r} is registered; registered: {known}")
    for file in files:
        try:
            file.unlink()
        except OSError as error:
            raise InputError(f"cannot delete {file}: {error.strerror}") from error
    return files


def _own(name: str) -> str:
    """The spelling of a name that a user's codec may have; InputError for any other."""
    spelled = spelling(name)
    if not folder.is_name(spelled):
        raise InputError(
            f"{name!r} is no codec name: use letters, digits, '-', '_' and '.', "
            "a letter or digit first"
        )
    if spelled in Published().names() or spelled in EMBEDDED.names():
        raise InputError(f"{spelled} is a built-in codec; use another name")
    return spelled


def _check_free(home: Folder, name: str, quality: int, family: str, replace: bool) -> None:
    there = home.qualities(name)
    if quality in there and not replace:
        raise InputError(
            f"{name} has a quality {quality} already: use another quality, or replace it (--force)"
        )
    for other in (q for q in there if q != quality):
        present = home.metadata(name, other).get("architecture")
        if present != family:
            raise InputError(f"{name} is a {present} codec: use another name, or remove it first")
