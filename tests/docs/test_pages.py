"""Links, generated sections and the navigation of the pages."""

import re
import runpy
import sys
import tomllib

import pytest

from rookery.studies.study_list import STUDIES
from tests.docs.blocks import FENCE, PAGES, ROOT

LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
SITE = ROOT / "docs" / "_site"


def prose(page: str) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as the site and code hosts make them."""
    found: set[str] = set()
    for heading in HEADING.findall(prose(page)):
        text = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        number = 1
        while (anchor := text if number == 1 else f"{text}-{number - 1}") in found:
            number += 1
        found.add(anchor)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_installed_from_an_index(page):
    """There is no release on one: another package could have the name."""
    assert not re.search(r"pip install ['\"]?rookery", (ROOT / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_imports_the_example_package_says_how_to_install_it(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert "from rookery_extras" not in text or "pip install -e examples/rookery_extras" in text


@pytest.mark.parametrize("page", [*PAGES, "results/verdicts.md"])
def test_links_lead_somewhere(page):
    for target in LINK.findall(prose(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page} links to {target}, which does not exist"
        if anchor:
            other = file.resolve().relative_to(ROOT).as_posix()
            assert anchor in anchors(other), (
                f"{page} links to {target}; {other} has {', '.join(sorted(anchors(other)))}"
            )


@pytest.mark.parametrize("page", PAGES)
def test_a_link_that_names_a_file_leads_to_it(page):
    for text, target in re.findall(r"\[`?([\w./-]+\.(?:py|md|json|toml))`?\]\(([^()\s#]+)", prose(page)):
        assert text.rpartition("/")[2] == target.rpartition("/")[2], f"{page} calls {target} {text}"


@pytest.mark.parametrize("script", ["docs/tasks/write_interfaces.py", "docs/papers/write_outcomes.py"])
def test_generated_sections_are_up_to_date(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [script, "--check"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    assert end.value.code == 0, f"{capsys.readouterr().out}; run python {script}"


def test_every_page_stands_in_the_navigation_once():
    pages = {re.sub(r"README\.md$", "index.md", page[5:]) for page in PAGES if page.startswith("docs/")}
    tables = runpy.run_path(str(SITE / "navigation.py"))["tables_of_contents"](pages)
    entries = [
        f"{page.removesuffix('index.md')}{entry}.md"
        for page, captions in tables.items()
        for names in captions.values()
        for entry in names
    ]
    assert sorted(entries) == sorted(pages - {"index.md"})


def test_every_task_that_is_shipped_has_a_page():
    from rookery.tasks.registry import TASKS

    text = "".join(prose(page) + (ROOT / page).read_text() for page in PAGES if page.startswith("docs/tasks/"))
    missing = [task_id for task_id in TASKS if f"`{task_id}`" not in text and not task_id.endswith("-symbolic-v0")]
    assert missing == []


def test_no_page_installs_from_an_index():
    # With extras, where the package is installed already, pip adds what the extra needs.
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert not re.search(r"pip install (-\S+ )*['\"`]?rookery(?!\[)['\"`]?(\s|$)", text, re.MULTILINE), page


def test_every_extra_is_described():
    page = (ROOT / "docs/start/install.md").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert [name for name in extras if f"`{name}`" not in page] == []


def test_every_study_has_a_row_with_its_file():
    page = (ROOT / "docs/reproduce.md").read_text()
    assert [name for name in STUDIES if name not in page] == []
    files = re.findall(r"`(studies/[\w/.]+)`", page)
    assert [file for file in files if not (ROOT / "src/rookery" / file).exists()] == []


def test_verdicts_that_pages_quote_are_those_of_the_results():
    page = (ROOT / "docs/guides/read-a-verdict.md").read_text()
    quoted = re.search(r"claimed > 0: ([-\d.]+ \[[-\d., ]+\])", page)
    assert quoted
    assert quoted[1] in (ROOT / "results/verdicts.md").read_text()


def test_the_reference_has_every_public_name():
    pytest.importorskip("griffe", reason="the API reference is made by griffe, of the extra docs", exc_type=ImportError)
    sys.path.insert(0, str(SITE))
    try:
        pages = runpy.run_path(str(SITE / "reference.py"))["reference_pages"]()
    finally:
        sys.path.remove(str(SITE))
    import rookery

    assert all(f"`rookery.{name} <" in pages["api/index.md"] for name in rookery.__all__)
    text = pages["api/rookery.learning.md"]
    assert 'gae(reward: Float[Array, "T"]' in text.replace("'T'", '"T"')
    assert "- `reward`: for action t." in text
    assert "extrinsic reward for the action that led to this observation" in pages["api/rookery.md"]
