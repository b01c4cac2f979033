"""`latentopt zoo`: what codecs there are, and how to get more."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from latentopt.errors import WeightsError
from latentopt.zoo import catalog
from latentopt.zoo.hub import Published
from latentopt.zoo.names import VIDEO, spelling

EPILOG = """examples:
  latentopt zoo list
  latentopt zoo fetch mbt2018-mean 3
  latentopt zoo add mine checkpoint.pth.tar --codec mbt2018-mean --quality 2
  latentopt zoo remove mine

What is added is kept in $LATENTOPT_HOME, or else in ~/.local/share/latentopt."""

_UNREADABLE = "unreadable"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    listing = _command(commands, "list", _list, "show every codec and where its weights are")
    _add_metric(listing)
    listing.add_argument("--json", action="store_true", help="print JSON: docs/reference/json.md")
    _add_fetch(_command(commands, "fetch", _fetch, "download CompressAI's published weights"))
    _add_add(_command(commands, "add", _add, "give a checkpoint of yours a codec name"))
    remove = _command(commands, "remove", _remove, "forget a codec that was added")
    remove.add_argument("name", metavar="NAME", help="its name; all its qualities go")


def run(args: argparse.Namespace) -> int:
    action: Callable[[argparse.Namespace], int] = args.action
    return action(args)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    action: Callable[[argparse.Namespace], int],
    purpose: str,
) -> argparse.ArgumentParser:
    description = f"{purpose[0].upper()}{purpose[1:]}."
    parser = commands.add_parser(name, help=purpose, description=description, allow_abbrev=False)
    parser.set_defaults(action=action)
    return parser


def _add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("codec", metavar="CODEC", help="such as mbt2018-mean")
    parser.add_argument(
        "qualities", type=int, nargs="*", metavar="QUALITY", help="which (default: all)"
    )
    _add_metric(parser)


def _add_add(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", metavar="NAME", help="letters, digits, '-', '_' and '.'")
    add("checkpoint", type=Path, metavar="CHECKPOINT", help=".pt, .pth, .pth.tar or .safetensors")
    says = "default: what a .safetensors says"
    add("--codec", metavar="ARCHITECTURE", help=f"such as mbt2018-mean ({says})")
    add("--quality", type=int, metavar="Q", help=f"its quality ({says}, or 1)")
    add("--force", action="store_true", help="replace a codec of that name and quality")


def _add_metric(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--metric",
        choices=catalog.METRICS,
        default="mse",
        help="what the published weights were trained for (default: mse)",
    )


# -- commands ------------------------------------------------------------------------------------


def _list(args: argparse.Namespace) -> int:
    if args.json:
        print(json.dumps([_listed(name, args.metric) for name in catalog.names()], indent=2))
        return 0
    rows = [("codec", "architecture", "qualities")]
    for name in catalog.names():
        family = _family(name)
        rows.append((name, family, _qualities(name, args.metric)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    return 0


def _listed(name: str, metric: str) -> dict[str, object]:
    """A codec, with the status of the weights of each quality."""
    source, family = catalog.source_of(name), _family(name)
    statuses = {q: source.status(name, q, metric) for q in source.qualities(name, metric)}
    return {
        "name": name,
        "architecture": None if family == _UNREADABLE else family,
        "kind": "clip" if family in VIDEO else "image",
        "metric": metric,
        "qualities": [{"quality": q, "status": status} for q, status in statuses.items()],
    }


def _family(name: str) -> str:
    """The architecture; one damaged file shall not hide the other codecs."""
    try:
        return catalog.family(name)
    except WeightsError:
        return _UNREADABLE


def _qualities(name: str, metric: str) -> str:
    """The qualities of a codec, those with the same status together."""
    source = catalog.source_of(name)
    groups: dict[str, list[int]] = {}
    for quality in source.qualities(name, metric):
        groups.setdefault(source.status(name, quality, metric), []).append(quality)
    nothing = "not published" if isinstance(source, Published) else "none"
    return ", ".join(f"{_span(numbers)} {status}" for status, numbers in groups.items()) or nothing


def _span(numbers: list[int]) -> str:
    """Increasing whole numbers, runs shortened.

    >>> _span([1, 2, 3, 5])
    '1-3 5'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " ".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)


def _fetch(args: argparse.Namespace) -> int:
    codec = catalog.canonical(args.codec)
    source = catalog.source_of(codec)
    there = source.qualities(codec, args.metric)
    wanted = list(dict.fromkeys(args.qualities)) or list(there) or [1]
    wanted.sort(key=lambda quality: quality in there)  # what fails, before anything is fetched
    for quality in wanted:
        status = source.status(codec, quality, args.metric) if quality in there else ""
        path = source.checkpoint(codec, quality, args.metric)
        done = {"cached": "here already", "downloadable": "fetched"}
        print(f"{codec} {quality}: {done.get(status, f'{status}, nothing to fetch')}: {path}")
    return 0


def _add(args: argparse.Namespace) -> int:
    from latentopt.zoo import register

    path = register.add(args.name, args.checkpoint, args.codec, args.quality, args.force)
    quality = path.stem.rpartition("-")[2]
    print(f"{path}: use it as --codec {spelling(args.name)} --quality {quality}")
    return 0


def _remove(args: argparse.Namespace) -> int:
    from latentopt.zoo import register

    for path in register.remove(args.name):
        print(f"removed {path}")
    return 0
