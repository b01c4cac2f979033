"""The `latentopt` command: encode an image or a clip, decode it, see what it holds, measure gains.

PyTorch and CompressAI take seconds to import. So only the file of the command that was asked for is
imported, and that imports what it needs once its arguments are known to be good.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn, Protocol, cast

from latentopt import __version__
from latentopt.cli.door import guarded
from latentopt.errors import InputError

COMMANDS = {
    "encode": "code an image or a clip",
    "decode": "decode to a PNG or a clip",
    "info": "show the header of a file",
    "explain": "show where the bits of a file went",
    "truncate": "cut a progressive file to fewer bytes, without its model",
    "compare": "measure how far a decoded image is from its original",
    "bdrate": "measure rate savings on a data set",
    "gaps": "measure how far a codec's latent is from what is coded of it",
    "finetune": "train a codec's decoder on what a preset really sends it",
    "verify": "check an archive against its manifest",
    "report": "make one HTML page of what bdrate measured",
    "zoo": "list, fetch and add codecs",
}
"""What each does; `latentopt.cli.NAME` is its :class:`Command`."""

_EPILOG = """examples:
  latentopt encode photo.png -o photo.lo
  latentopt info photo.lo
  latentopt decode photo.lo -o decoded.png
  latentopt compare photo.png decoded.png
  latentopt explain photo.lo
  latentopt bdrate --codec tiny-mbt2018-mean --data kodak
  latentopt report results/tiny-mbt2018-mean-kodak
  latentopt zoo list"""


class Command(Protocol):
    """What the module of a command holds."""

    EPILOG: str

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Declare the options that `run` reads."""

    @staticmethod
    def run(args: argparse.Namespace) -> int:
        """The exit code; raises LatentoptError on anything the user can fix."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command: 0, or another code with one line on stderr (door.py)."""
    words = sys.argv[1:] if argv is None else argv
    return guarded(lambda: _run(words))


_EMPTY = re.compile(r"(--[\w-]+=)?")


def _run(argv: Sequence[str]) -> int:
    _refuse_empty(argv)
    asked = next((word for word in argv if word in COMMANDS), None)
    args = _parser(asked).parse_args(argv)
    run: Callable[[argparse.Namespace], int] = args.run
    return run(args)


def _refuse_empty(argv: Sequence[str]) -> None:
    """Nothing is called by an empty name, for which pathlib takes the current folder."""
    for before, word in zip(["", *argv], argv):
        if _EMPTY.fullmatch(word):
            where = word or (f"what follows {before}" if before else "the first one")
            raise InputError(f"{where}: is empty; a variable that is not set, perhaps?")


class _Parser(argparse.ArgumentParser):
    """Reports a bad argument like any other error: by raising, in one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def _parser(asked: str | None) -> argparse.ArgumentParser:
    """Names all commands, but knows the arguments of the one that was ``asked`` for only."""
    parser = _Parser(
        prog="latentopt",
        description="Code images and video with trained neural codecs, made better, not retrained.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"latentopt {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        subparser = commands.add_parser(
            name,
            help=purpose,
            description=f"{purpose[0].upper()}{purpose[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if name == asked:
            command = cast(Command, import_module(f"latentopt.cli.{name}"))
            command.add_arguments(subparser)
            subparser.epilog = command.EPILOG
            subparser.set_defaults(run=command.run)
    return parser
