"""What is wrong, in the words of the command: words of a recipe as the options that say them."""

from latentopt.errors import WordError, reason

_NO_OPTIONS = {"effort": "a preset's search"}


def as_option(word: str, value: object) -> str:
    """A word of a recipe, and what was said, as an option.

    >>> as_option("quant", "oct"), as_option("context", True), as_option("scales", None)
    ('--quant oct', '--context', '--scales')
    >>> as_option("postfilter", False), as_option("shift", False)
    ('--no-postfilter', '--shift none')
    """
    if word in _NO_OPTIONS:
        return _NO_OPTIONS[word]
    option = word.replace("_", "-")
    if value is False:
        return "--shift none" if word == "shift" else f"--no-{option}"
    is_said = isinstance(value, str | int | float) and value is not True
    return f"--{option} {value}" if is_said else f"--{option}"


def told(error: Exception) -> str:
    """Why something failed, in one line, whatever it is."""
    return (
        " ".join(error.said(as_option).split()) if isinstance(error, WordError) else reason(error)
    )
