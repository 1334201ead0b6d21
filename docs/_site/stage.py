"""Prepares the folder that Sphinx builds the site from: the pages of docs/, the API reference, and the results.

Usage: python docs/_site/stage.py FOLDER

Pages in docs/ are plain Markdown whose links work in the repository. For the site

- links that leave docs/ lead to a page that is made here (`PAGES`), to a study's report, or to the file in the
  repository (`ROOKERY_REPOSITORY`, an address such as https://github.com/OWNER/NAME); without that address they show
  the path;
- `README.md` of a folder becomes its `index.md`;
- `<!-- include: PATH -->` becomes that file, as code;
- `navigation.py` is added to the pages that it names as tables of contents.

A link to a file or heading that does not exist is an error.
"""

from __future__ import annotations

import html
import os
import posixpath
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from navigation import tables_of_contents
from reference import reference_pages

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "results/verdicts.md": "results/verdicts.md",
}
"""Markdown files of the repository that become pages, and where."""
NOT_PAGES = ("_site",)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
INCLUDE = re.compile(r"^<!-- include: (\S+) -->$", re.MULTILINE)
LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json"}


class BrokenLinkError(Exception):
    """A link to nothing; the message has the page and the link."""


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    shutil.rmtree(folder, ignore_errors=True)
    pages, extra = staged_pages(), folder / "extra"
    tables = tables_of_contents(set(pages))
    errors = []
    for target, (origin, text) in pages.items():
        try:
            text = rewrite(text, origin, target)
        except BrokenLinkError as error:
            errors.append(str(error))
        path = folder / "pages" / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + table_of_contents(tables.get(target, {})), encoding="utf-8")
    for source, target in other_files().items():
        for base in (folder / "pages", extra):  # pictures are read by Sphinx; pages and programs are copied as they are
            path = base / target
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, path)
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return 1 if errors else 0


def staged_pages() -> dict[str, tuple[str, str]]:
    """Page of the site to the file of the repository that it is made from ('' for a generated one) and its text."""
    pages = {}
    for path in sorted(DOCS.rglob("*.md")):
        name = path.relative_to(DOCS).as_posix()
        if not name.startswith(NOT_PAGES):
            pages[page_of(f"docs/{name}")] = (f"docs/{name}", path.read_text(encoding="utf-8"))
    for source, target in PAGES.items():
        if (ROOT / source).exists():
            pages[target] = (source, (ROOT / source).read_text(encoding="utf-8"))
    pages |= {name: ("", text) for name, text in reference_pages().items()}
    return pages


def other_files() -> dict[Path, str]:
    """Files that pages link to: pictures and programs in docs/, and the reports of studies."""
    files = {}
    for path in [*DOCS.rglob("*"), *(ROOT / "results").rglob("report.html")]:
        name = path.relative_to(ROOT).as_posix().removeprefix("docs/")
        if path.is_file() and path.suffix not in (".md", ".pyc") and not name.startswith(NOT_PAGES):
            files[path] = name
    return files


def page_of(path: str) -> str | None:
    """The page that the site makes of a Markdown file of the repository; None: it makes none."""
    if path in PAGES:
        return PAGES[path]
    if path == "README.md":
        return "index.md"
    if path.startswith("docs/") and path.endswith(".md") and not path.startswith("docs/_site/"):
        return re.sub(r"README\.md$", "index.md", path.removeprefix("docs/"))
    return None


def rewrite(text: str, origin: str, target: str) -> str:
    """A page with its links pointing into the site, and the files that it includes. Raises BrokenLinkError."""
    if not origin:
        return text
    parts, start = [], 0
    for fence in FENCE.finditer(text):  # code stays as it is
        parts += [_rewrite_links(text[start : fence.start()], origin, target), fence.group()]
        start = fence.end()
    text = "".join([*parts, _rewrite_links(text[start:], origin, target)])
    return INCLUDE.sub(lambda match: _include(match[1], origin), text)


def _include(path: str, origin: str) -> str:
    if not (ROOT / path).is_file():
        raise BrokenLinkError(f"{origin} includes {path}, which does not exist")
    code = (ROOT / path).read_text(encoding="utf-8").rstrip()
    return f"```{{code-block}} {LANGUAGES[Path(path).suffix]}\n:caption: {path}\n\n{code}\n```"


def _rewrite_links(text: str, origin: str, target: str) -> str:
    def link(match: re.Match[str]) -> str:
        image, label, address = match.groups()
        path, _, anchor = address.partition("#")
        if "://" in address or address.startswith("mailto:") or not path:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
        if not (ROOT / path).exists():
            raise BrokenLinkError(f"{origin} links to {path}, which does not exist")
        here = posixpath.dirname(target) or "."
        if (ROOT / path).is_dir():
            inside = next((name for name in ("README.md", "report.html") if (ROOT / path / name).exists()), None)
            path = f"{path}/{inside}" if inside and (inside == "report.html" or page_of(f"{path}/{inside}")) else path
        page = page_of(path)
        if page:
            return f"{image}[{label}]({posixpath.relpath(page, here)}{'#' * bool(anchor)}{anchor})"
        if ROOT / path in _OTHER_FILES:
            relative = posixpath.relpath(_OTHER_FILES[ROOT / path], here)
            return f"![{label}]({relative})" if image else f'<a href="{html.escape(relative)}">{label}</a>'
        repository = os.environ.get("ROOKERY_REPOSITORY", "").rstrip("/")
        if repository:
            return f"[{label}]({repository}/{'tree' if (ROOT / path).is_dir() else 'blob'}/HEAD/{path})"
        shown = f"`{path}`"
        return label if label == shown else shown if path.endswith(label.strip("`")) else f"{label} ({shown})"

    return LINK.sub(link, text)


def table_of_contents(table: dict[str, list[str]]) -> str:
    """The hidden tables of contents of a page, as Sphinx directives: one per caption."""
    blocks = []
    for caption, entries in table.items():
        options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
        blocks.append("\n".join(["", "```{toctree}", *options, "", *entries, "```", ""]))
    return "".join(blocks)


_OTHER_FILES = other_files()

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
