"""README and docs point at things that exist: pages, headings, files of the repository."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

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
_OURS = re.compile(r"\b(?:docs|latentopt|scripts|tables|tests)/[\w./-]*\w\.(?:md|py|toml|npz|json)\b")


def text_of(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


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
    missing = {name for name in _OURS.findall(page.read_text()) if not Path(name).is_file()}
    assert not missing, page


def test_pages_that_code_names_exist() -> None:
    """Error messages, help and comments send readers to pages."""
    named = re.compile(r"\bdocs/[\w./-]*\w\.md\b")
    for path in CODE:
        missing = {name for name in named.findall(path.read_text()) if not Path(name).is_file()}
        assert not missing, path


def test_every_page_is_in_the_index() -> None:
    index = Path("docs/index.md")
    linked = {(index.parent / link).resolve() for link in _LINK.findall(index.read_text())}
    pages = [page for page in PAGES if page.is_relative_to("docs") and page != index]
    lost = [p for p in pages if p.resolve() not in linked and not str(p).startswith(GENERATED)]
    assert not lost


def test_architecture_has_every_room() -> None:
    text = Path("docs/ARCHITECTURE.md").read_text()
    rooms = {path.parent.name for path in Path("latentopt").glob("*/__init__.py")}
    assert rooms and not {room for room in rooms if f"**{room}**" not in text}


def test_readme_installs_what_there_is() -> None:
    extras = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = set(re.findall(r"'\.\[(\w+)\]'", Path("README.md").read_text()))
    assert named and named <= set(extras)


def test_licence_is_the_one_that_is_declared() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert project["license"] == "BSD-3-Clause-Clear"
    assert "NO EXPRESS OR IMPLIED LICENSES TO ANY PARTY'S PATENT RIGHTS" in Path("LICENSE").read_text()
    assert "license: BSD-3-Clause-Clear" in Path("CITATION.cff").read_text()
    assert f"version: {project['version']}" in Path("CITATION.cff").read_text()
