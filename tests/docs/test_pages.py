"""README and docs point at things that exist: pages, headings, files of the repository."""

import re
import tomllib
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from latentopt.codec.recipe import PRESETS, Recipe

TOP = sorted(Path().glob("*.md"))
PAGES = TOP + sorted(Path("docs").rglob("*.md"))
GENERATED = ("docs/results", "docs/tables")
CODE = [
    path
    for folder in ("latentopt", "scripts", "tables", "tests")
    for path in sorted(Path(folder).rglob("*.py"))
]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", flags=re.S | re.M)
_OURS = re.compile(r"\b(?:docs|latentopt|scripts|tables|tests)/[\w./-]*\w\.(?:md|py|toml|json)\b")
_PAGE = re.compile(r"\bdocs/[\w./-]*\w\.md\b")


def read(path: str | Path) -> str:
    return Path(path).read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    return tomllib.loads(read("pyproject.toml"))["project"]


def text_of(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCED.sub("", read(page))


def anchors(page: Path) -> set[str]:
    """What a link can name after #: the headings, as GitHub spells them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ (.+)$", text_of(page), flags=re.M):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_resolve(page: Path) -> None:
    links = [link for link in _LINK.findall(text_of(page)) if "://" not in link]
    for link in links:
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_files_that_pages_name_exist(page: Path) -> None:
    """Paths in prose and in commands, such as scripts/timing.py."""
    text = _LINK.sub("]", read(page))
    missing = {name for name in _OURS.findall(text) if not Path(name).is_file()}
    assert not missing, page


def test_pages_that_code_names_exist() -> None:
    """Error messages, help and comments send readers to pages."""
    for path in CODE:
        missing = {name for name in _PAGE.findall(read(path)) if not Path(name).is_file()}
        assert not missing, path


def test_every_page_is_in_the_index() -> None:
    index = Path("docs/index.md")
    linked = {(index.parent / link).resolve() for link in _LINK.findall(read(index))}
    pages = [page for page in PAGES if page.is_relative_to("docs") and page != index]
    lost = [p for p in pages if p.resolve() not in linked and not str(p).startswith(GENERATED)]
    assert not lost


def test_architecture_has_every_room() -> None:
    text = read("docs/ARCHITECTURE.md")
    rooms = {path.parent.name for path in Path("latentopt").glob("*/__init__.py")}
    assert rooms and not {room for room in rooms if f"**{room}**" not in text}


def test_recipes_page_has_every_field_and_preset() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", read("docs/guide/recipes.md"), flags=re.M))
    assert rows >= {field.name for field in fields(Recipe)} | set(PRESETS)


def test_readme_installs_what_there_is() -> None:
    named = set(re.findall(r"'\.\[(\w+)\]'", read("README.md")))
    assert named and named <= set(project()["optional-dependencies"])


def test_licence_is_the_one_that_is_declared() -> None:
    assert project()["license"] == "BSD-3-Clause-Clear"
    assert read("LICENSE").startswith("The Clear BSD License\n")
    citation = read("CITATION.cff").splitlines()
    assert {"license: BSD-3-Clause-Clear", f"version: {project()['version']}"} <= set(citation)
