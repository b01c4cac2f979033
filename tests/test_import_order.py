"""The shape of the package: which room may import which, no name twice, no `Any` in public."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import structure

import latentopt

ROOMS = (
    "errors",
    "atomic",
    "extras",
    "imports",
    "engine",
    "archive",
    "lattices",
    "densities",
    "pmf",
    "bitstream",
    "media",
    "latents",
    "quantizers",
    "adapters",
    "encoder",
    "codec",
    "training",
    "zoo",
    "bench",
    "report",
    "cli",
)
"""A room imports from itself and from those before it; docs/ARCHITECTURE.md says what each is."""

DOORS = ("__init__.py", "__main__.py")
"""The package's own modules, which may import from every room."""

SHARED_NAMES = {
    "__init__.py": "the room itself",
    "base.py": "what the classes of a room have in common; used through the room",
    "channel.py": "the protocol, and what implements it in each folder of latents/",
    "factorized.py": "the density, and the family of codecs that has no other",
    "registry.py": "what a room has by name, or for a type",
    "side.py": "of the side latent: adapters of codecs that have one, and its shift",
    "tables.py": "of one density, and those of all levels that a channel keeps",
}
COMMANDS = "cli/"
"""Files called as the commands are, which are called as what they do."""

PACKAGE = Path(latentopt.__file__).parent
MODULES = structure.modules(PACKAGE)


def imported_rooms(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The rooms that a module imports from, wherever in it and for whatever, and in which line."""
    for node in ast.walk(tree):
        for package, _, rest in (name.partition(".") for name in _names(node)):
            if package == "latentopt" and rest:
                yield _room_of(rest.split(".")[0]), getattr(node, "lineno", 0)


def _names(node: ast.AST) -> list[str]:
    """What a node imports; after a mere `import latentopt` it is what is taken from that."""
    if isinstance(node, ast.Import):
        hidden = [a.asname for a in node.names if a.name == "latentopt" and a.asname]
        assert not hidden, f"line {node.lineno}: latentopt under another name hides what is taken"
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: imports are absolute in this package"
        if node.module == "latentopt":
            return [f"latentopt.{alias.name}" for alias in node.names]
        return [str(node.module)]
    return [ast.unparse(node)] if isinstance(node, ast.Attribute) else []


def _room_of(name: str) -> str:
    """The room of a name in `latentopt`: a room's own, or of something that it offers."""
    if name == "__version__":
        return ROOMS[0]
    return name if name in ROOMS else str(getattr(latentopt, name).__module__).split(".")[1]


def upward(path: str, tree: ast.AST) -> list[str]:
    """Imports of a module from rooms after its own."""
    own = ROOMS.index(path.split("/")[0].removesuffix(".py"))
    return [
        f"{path}:{line} imports {room}"
        for room, line in imported_rooms(tree)
        if ROOMS.index(room) > own
    ]


def test_every_module_is_in_a_room() -> None:
    rooms = {path.split("/")[0].removesuffix(".py") for path in MODULES if path not in DOORS}
    assert rooms <= set(ROOMS)


@pytest.mark.parametrize("path", sorted(set(MODULES) - set(DOORS)))
def test_rooms_import_from_those_before(path: str) -> None:
    assert upward(path, MODULES[path]) == []


@pytest.mark.parametrize(
    "line",
    [
        "import latentopt.encoder.search",
        "from latentopt.codec.image import Codec",
        "from latentopt import zoo",
        "from latentopt import wrap",
        "import latentopt\nlatentopt.wrap(model)",
        "def f():\n    from latentopt.encoder import Effort",
        "if TYPE_CHECKING:\n    from latentopt.adapters import Adapter",
    ],
)
def test_an_import_from_a_later_room_is_found(line: str) -> None:
    assert len(upward("latents/lattice/coder.py", ast.parse(line))) == 1


@pytest.mark.parametrize("name", sorted({Path(path).name for path in MODULES}))
def test_no_two_modules_share_a_file_name(name: str) -> None:
    found = [path for path in MODULES if Path(path).name == name and not path.startswith(COMMANDS)]
    assert len(found) <= 1 or name in SHARED_NAMES


@pytest.mark.parametrize("path", MODULES)
def test_nothing_shipped_knows_the_folder_beside_the_checkout(path: str) -> None:
    assert "../shared" not in (PACKAGE / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", MODULES)
def test_no_any_in_public(path: str) -> None:
    assert structure.count_any(MODULES[path]) == 0
