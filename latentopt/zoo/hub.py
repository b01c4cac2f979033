"""The weights that CompressAI publishes: which there are, and their copies on this machine."""

import hashlib
import os
import re
import sys
from pathlib import Path

from latentopt.atomic import at_home
from latentopt.errors import InputError, WeightsError
from latentopt.zoo.names import URLS, VIDEO

_LARGEST = 1 << 30  # bytes of a checkpoint; the largest published one has 250 MB
_LAMBDAS = (0.0018, 0.0035, 0.0067, 0.0130, 0.0250, 0.0483, 0.0932, 0.1800)


class Published:
    """CompressAI's model zoo, a source of codecs whose files are kept in torch.hub's folder."""

    def names(self) -> tuple[str, ...]:
        """In CompressAI's order, with those that it publishes no weights of."""
        return tuple(URLS)

    def family(self, name: str) -> str:
        """The architecture is the name."""
        return name

    def qualities(self, name: str, metric: str = "mse") -> tuple[int, ...]:
        """Qualities with published weights, lowest rate first."""
        return tuple(sorted(_urls(name, metric)))

    def status(self, name: str, quality: int, metric: str = "mse") -> str:
        """Whether the file is here; whether it is whole is for `checkpoint` to say."""
        here = _kept(_url(name, quality, metric)).is_file()
        return "cached" if here else "downloadable"

    def lmbda(self, name: str, quality: int, metric: str = "mse") -> float | None:
        """As CompressAI's documentation lists them: for image codecs trained for squared error."""
        return _LAMBDAS[quality - 1] if metric == "mse" and name not in VIDEO else None

    def checkpoint(self, name: str, quality: int, metric: str = "mse") -> Path:
        """The local copy of the weights, downloaded on first use.

        Raises:
            InputError: no such weights are published.
            WeightsError: the copy is damaged, or the weights cannot be downloaded.
        """
        url = _url(name, quality, metric)
        path = _kept(url)
        if path.is_file():
            if not _is_genuine(path, path.name):
                raise WeightsError(
                    f"{path}: damaged copy of the {name} weights (its SHA-256 is not the one in "
                    f"its name, or it is no checkpoint); delete it and fetch {url} again"
                )
            return path
        from latentopt.media.download import fetch

        try:
            fetch(url, path, lambda partial: _is_genuine(partial, path.name), _LARGEST)
        except OSError as error:
            raise WeightsError(
                f"cannot download the {name} weights ({error}); put the file {path.name} "
                f"from {url} into the folder {path.parent}, or pass a checkpoint of your own as "
                "weights (--weights FILE)"
            ) from error
        return path


def _urls(name: str, metric: str) -> dict[int, str]:
    return URLS[name].get(metric, {})


def _url(name: str, quality: int, metric: str) -> str:
    urls = _urls(name, metric)
    if not urls:
        raise InputError(
            f"CompressAI publishes no weights of {name}: "
            "pass your own checkpoint as weights (--weights FILE)"
        )
    if quality not in urls:
        raise InputError(f"{name} has no quality {quality}: valid are {min(urls)} to {max(urls)}")
    return urls[quality]


def _kept(url: str) -> Path:
    """Where torch.hub keeps what it downloads from ``url``."""
    return Path(_hub()) / "checkpoints" / url.rsplit("/", 1)[-1]


def _hub() -> str:
    """torch.hub's folder; where PyTorch is not imported yet, the one that it would have."""
    torch = sys.modules.get("torch")
    if torch:
        return str(at_home(torch.hub.get_dir()))
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or os.path.join(cache, "torch")
    return str(at_home(home) / "hub")


def _is_genuine(path: Path, name: str) -> bool:
    """Whether a file is what its name says.

    CompressAI writes the first digits of the SHA-256 into the name: ...-446d5c7f.pth.tar. Where it
    did not, at least it must be a checkpoint, and no page of a proxy that wants a password.
    """
    match = re.search(r"-([0-9a-f]{8,})\.", name)
    if match is None:
        return _is_checkpoint(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(match.group(1))


def _is_checkpoint(path: Path) -> bool:
    from latentopt.zoo.state import read_state_dict  # imports PyTorch, which takes seconds

    try:
        return bool(read_state_dict(path))
    except WeightsError:
        return False
