"""Optional dependencies: what needs them says so, in one line, where they are missing."""

from importlib.util import find_spec

from latentopt.errors import MissingExtraError


def need(extra: str, *modules: str) -> None:
    """Make sure that the modules of an extra can be imported; called where they are.

    Raises:
        MissingExtraError: one cannot; the message says what to install.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise MissingExtraError(
            f"this needs {' and '.join(missing)}: pip install 'latentopt[{extra}]'"
        )
