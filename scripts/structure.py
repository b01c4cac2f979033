"""Figures of the code's structure: `Any` in public signatures, longest class and function, forks.

    python scripts/structure.py [PACKAGE]

A name is public that does not begin with an underscore; special methods of public classes are, too.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "latentopt"
CODEC = ("codec", "codec.py", "video.py", "wrapping.py", "calibration.py", "explain.py")
"""The folder codec/, and what it was before it was one."""
_FORK = "isinstance"

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclass(frozen=True)
class Place:
    """A class or function, and how long it is."""

    lines: int
    name: str

    def __str__(self) -> str:
        return f"{self.lines} lines, {self.name}"


def modules(package: Path) -> dict[str, ast.Module]:
    """The parsed modules of a package by their path in it."""
    return {
        path.relative_to(package).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(package.rglob("*.py"))
    }


def count_any(tree: ast.AST) -> int:
    """Occurrences of `Any` in annotations of what is public: signatures, fields, aliases.

    >>> count_any(ast.parse("def f(x: Any, _: 'dict[str, Any]') -> int: y: Any = 1"))
    2
    >>> count_any(ast.parse("class A:\\n  x: Any\\n  _y: Any\\n  def __call__(self) -> Any: ..."))
    2
    """
    return sum(_mentions(annotation) for annotation in _annotations(tree))


def longest(trees: dict[str, ast.Module], *kinds: type[Definition]) -> Place:
    """The definition with most lines, from its first decorator on, of some kinds."""
    found = [
        Place((node.end_lineno or 0) - _start(node) + 1, f"{node.name} in {path}")
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, kinds)
    ]
    return max(found, key=lambda place: place.lines)


def count_forks(tree: ast.AST) -> int:
    """Calls of `isinstance`.

    >>> count_forks(ast.parse("a if isinstance(x, int) else b"))
    1
    """
    return sum(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == _FORK
        for node in ast.walk(tree)
    )


def _annotations(tree: ast.AST) -> Iterator[ast.expr]:
    """Of everything public in a module or class."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Definition) and _public(node.name):
            yield from _signature(node) if isinstance(node, Function) else _annotations(node)
        elif isinstance(node, ast.AnnAssign) and _public(ast.unparse(node.target)):
            yield node.annotation
        elif isinstance(node, ast.Assign) and _public(ast.unparse(node.targets[0])):
            yield node.value  # an alias, or else it mentions no type
        elif isinstance(node, ast.If):  # such as TYPE_CHECKING
            yield from _annotations(node)


def _signature(function: Function) -> Iterator[ast.expr]:
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    found = [argument.annotation for argument in arguments if argument]
    yield from (annotation for annotation in [*found, function.returns] if annotation)


def _mentions(annotation: ast.expr) -> int:
    """How often `Any` occurs, in quoted annotations as well."""
    total = 0
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "Any" in node.value:
            total += _mentions(ast.parse(node.value, mode="eval").body)
        total += isinstance(node, ast.Name) and node.id == "Any"
        total += isinstance(node, ast.Attribute) and node.attr == "Any"
    return total


def _public(name: str) -> bool:
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def _start(node: Definition) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def main(argv: list[str]) -> int:
    """Print the figures of a package, by default of this one."""
    trees = modules(Path(argv[0]) if argv else PACKAGE)
    counts = {path: count for path, tree in trees.items() if (count := count_any(tree))}
    codec = [tree for path, tree in trees.items() if path.split("/")[0] in CODEC]
    print(f"Any in public signatures: {sum(counts.values())}")
    for path, count in sorted(counts.items(), key=lambda item: -item[1]):
        print(f"  {count:3} {path}")
    print(f"longest class: {longest(trees, ast.ClassDef)}")
    print(f"longest function: {longest(trees, *Function.__args__)}")
    print(f"isinstance in codec/: {sum(map(count_forks, codec))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
