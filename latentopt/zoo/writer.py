"""The model that wrote a file: by the name in its header, else by the hash of its weights."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from latentopt import zoo
from latentopt.adapters import adapter_class, with_step
from latentopt.atomic import at_home, write_whole
from latentopt.bitstream import Origin
from latentopt.codec.assembly import weights_hash
from latentopt.errors import InputError, LatentoptError, WeightsError
from latentopt.zoo import catalog
from latentopt.zoo.embedded import EMBEDDED
from latentopt.zoo.shipped_hashes import embedded


def writer_of(origin: Origin | None, hash_: bytes, step: float | None = None) -> nn.Module:
    """The model that wrote a file.

    Args:
        origin: what the file's header says of it; None: nothing, as in version 1.
        hash_: of its weights, (4,), from the header.
        step: instead of the header's.

    Raises:
        WeightsError: no codec that is embedded, downloaded or registered here has such weights;
            the message names the hash, and says how to register some.
    """
    if step is None and (known := embedded(hash_)):
        return _load(known)  # whatever name and step a header claims
    step = step or (origin.step if origin else 1.0)
    if origin and origin.quality is not None:
        with suppress(InputError):  # a name, or a quality, that is not known here
            model = _load(replace(origin, step=step))
            if hash_of(model) == hash_ or step != origin.step:
                return model
    found = find(hash_, step, origin.codec if origin and origin.quality is None else None)
    if found is None:
        raise WeightsError(_unknown(origin, hash_))
    return _load(found)


def hash_of(model: nn.Module) -> bytes:
    """What the header of a file that the model codes says of its weights, (4,)."""
    return weights_hash(adapter_class(model)(model, True))


def find(hash_: bytes, step: float = 1.0, family: str | None = None) -> Origin | None:
    """The codec here, of an architecture where that is given, with weights of that hash."""
    if step == 1 and (found := embedded(hash_)):
        return found
    memory = _Memory.read(_memory_path())
    for origin, path in _candidates(embedded_too=step != 1):
        if family in (None, _family(origin.codec)):
            with suppress(LatentoptError):  # one damaged file shall not hide the others
                if memory.hash_of(replace(origin, step=step), path) == hash_:
                    return replace(origin, step=step)
    return None


def _load(origin: Origin) -> nn.Module:
    model = zoo.load(origin.codec, origin.quality, metric=origin.metric)
    return with_step(model, origin.step)


def _candidates(embedded_too: bool) -> Iterator[tuple[Origin, Path]]:
    """Codecs whose weights are on this machine, with their files."""
    elsewhere = {"downloadable"} if embedded_too else {"downloadable", EMBEDDED.kind}
    for name in catalog.names():
        source = catalog.source_of(name)
        for metric in catalog.METRICS:
            for quality in source.qualities(name, metric):
                if source.status(name, quality, metric) not in elsewhere:
                    with suppress(WeightsError):
                        path = source.checkpoint(name, quality, metric)
                        yield Origin(name, quality, metric), path


def _family(codec: str) -> str | None:
    with suppress(WeightsError):
        return catalog.family(codec)
    return None


def _unknown(origin: Origin | None, hash_: bytes) -> str:
    says = f"the file says {origin}, and" if origin else "the file does not name its codec, and"
    family = origin.codec if origin and origin.quality is None else "ARCHITECTURE"
    dcvc = "" if origin else ", of DCVC's also with --dcvc-repo"
    named = "it" if origin else "one of CompressAI's"
    return (
        f"{says} its weights have the hash {hash_.hex()}, as no embedded, downloaded or registered "
        f"codec does: name yours with --codec and --weights{dcvc}; or give {named} a name once and "
        f"for all: latentopt zoo add NAME CHECKPOINT --codec {family}"
    )


# -- hashes of files, which take a second each, remembered -----------------------------------------


def _memory_path() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return at_home(cache) / "latentopt" / "weights-hashes.json"


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{8}", value) is not None


@dataclass
class _Memory:
    """Hashes by the file's path, size and time, and the step."""

    path: Path
    known: dict[str, str]

    @staticmethod
    def read(path: Path) -> "_Memory":
        """What is remembered; nothing where the file is missing or damaged."""
        with suppress(OSError, ValueError):
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict) and all(map(_is_hash, content.values())):
                return _Memory(path, content)
        return _Memory(path, {})

    def hash_of(self, origin: Origin, file: Path) -> bytes:
        """Of a codec whose weights are in the file."""
        status = file.stat()
        key = f"{file} {status.st_size} {status.st_mtime_ns} {origin.step!r} {origin.quality}"
        if key not in self.known:
            self.known[key] = hash_of(_load(origin)).hex()
            self._write()
        return bytes.fromhex(self.known[key])

    def _write(self) -> None:
        with suppress(OSError, InputError):  # only time is lost
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, json.dumps(self.known, indent=1).encode())
