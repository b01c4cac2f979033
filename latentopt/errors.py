"""What latentopt raises on purpose; each message says what was wrong and what to do."""

from collections.abc import Callable


def printable(text: str) -> str:
    r"""A message without control characters: what files and servers say may reach a terminal.

    >>> printable("no\x1b[2J such\nfile")
    'no\\x1b[2J such file'
    """
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def counted(number: int, thing: str) -> str:
    """So many of a thing.

    >>> counted(1, "frame"), counted(0, "whole frame")
    ('1 frame', '0 whole frames')
    """
    return f"{number} {thing}{'' if number == 1 else 's'}"


class LatentoptError(Exception):
    """Base class: catching it catches everything latentopt raises on purpose."""


class LatentoptWarning(UserWarning):
    """What was done otherwise than one might think, though nothing failed."""


class UnsupportedModelError(LatentoptError):
    """The model's class has no adapter, or its parts are not what the adapter needs."""


class InputError(LatentoptError, ValueError):
    """An argument, image or latent that cannot be coded as given."""


class WordError(InputError):
    """What was said of a recipe is wrong, or does not go together.

    >>> error = WordError("{} excludes {}: leave it out", ("progressive", True), ("context", None))
    >>> str(error)
    'progressive=True excludes context: leave it out'
    >>> error.said(lambda word, value: f"--{word}")
    '--progressive excludes --context: leave it out'

    Args:
        text: has a pair of braces for each word.
        words: by name, with what was said, or None where the name is enough.
    """

    def __init__(self, text: str, *words: tuple[str, object]):
        self.text, self.words = text, words
        super().__init__(self.said(as_argument))

    def said(self, as_word: Callable[[str, object], str]) -> str:
        """The message, where words are written as ``as_word`` writes them."""
        return self.text.format(*(as_word(*word) for word in self.words))

    def __reduce__(self) -> tuple[type["WordError"], tuple[object, ...]]:
        return WordError, (self.text, *self.words)


def as_argument(word: str, value: object) -> str:
    """As Python has it."""
    return word if value is None else f"{word}={value!r}"


class BitstreamError(LatentoptError):
    """A stream that this codec cannot decode: corrupt, truncated, foreign, or of another codec."""


class TruncatedError(BitstreamError):
    """A video that ends early. Its ``frames`` whole frames have been decoded before."""

    def __init__(self, frames: int):
        super().__init__(f"truncated: the video ends after {counted(frames, 'whole frame')}")
        self.frames = frames


class MapError(BitstreamError):
    """An image's file of which a map is damaged. The ``maps`` maps before it are whole."""

    def __init__(self, what: str, maps: int):
        super().__init__(f"{what}; maps={maps} decodes those before it")
        self.what, self.maps = what, maps

    def __reduce__(self) -> tuple[type["MapError"], tuple[str, int]]:
        return MapError, (self.what, self.maps)


class WeightsError(LatentoptError):
    """Weights that are missing, unreadable, or of another architecture."""


class DataError(LatentoptError):
    """A data set or image file that is missing or unreadable."""


class RateRangeError(LatentoptError, ValueError):
    """A rate that a codec cannot give, or RD curves without a Bjøntegaard difference."""


class MissingExtraError(LatentoptError, ImportError):
    """An optional dependency is not installed."""


class TrainingError(LatentoptError):
    """Training that cannot go on: its loss is no number any more, or its files are damaged."""


def reason(error: Exception) -> str:
    r"""Why something failed, in one line; with the kind of exception where it is none of ours.

    >>> reason(InputError("no such\n file")), reason(ZeroDivisionError("by 0"))
    ('no such file', 'ZeroDivisionError: by 0')
    """
    said = str(error) if isinstance(error, LatentoptError) else f"{type(error).__name__}: {error}"
    return " ".join(said.split())
