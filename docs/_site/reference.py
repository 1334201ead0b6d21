"""The API reference as Markdown: one page per package, with every public name, from the source without importing it.

Docstrings are Markdown that also reads well as plain text, with `Args:`, `Returns:`, `Raises:` and `Source:` at the
start of a line. Annotations are shown as they are written, such as `Float[Array, "T E"]`. A field without a docstring
shows the comment behind it.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from pathlib import Path

import griffe

SOURCE = Path(__file__).resolve().parents[2] / "src"
LABEL = re.compile(r"^(Args|Returns|Raises|Yields|Source|Sources|Exit codes):(?: +|$)(.*)$")
ITEM = re.compile(r"^\s+((?:\*{0,2}[\w.]+)(?:, *\*{0,2}[\w.]+)*): (.*)$")
NOT_PROSE = re.compile(r"#?\s*(noqa|type: ignore|fmt:|pyright|pragma)")
WIDTH = 88


def reference_pages() -> dict[str, str]:
    """Page of the site, such as api/rookery.learning.md, to its Markdown."""
    root = griffe.load("rookery", search_paths=[str(SOURCE)], allow_inspection=False, resolve_aliases=False)
    packages = {package.path: package for package in _packages(root)}
    pages = {f"api/{path}.md": package_page(package) for path, package in packages.items() if path != "rookery"}
    pages["api/rookery.md"] = package_page(packages["rookery"], recurse=True)
    pages["api/index.md"] = index_page(root, packages)
    return pages


def index_page(root: griffe.Module, packages: dict[str, griffe.Module]) -> str:
    """Every name of `import rookery`, and every package."""
    lines = [
        "# API reference\n",
        "Every public name of the package, from its docstrings. `import rookery` offers those of the first table; all",
        "others are imported from their modules. Names that start with an underscore may change at any time.\n",
        'Annotations give dtype and shape: `Float[Array, "T E"]` is an array of floats with axes T and E. A module',
        "explains its letters at the top; most are A agents, B environments side by side, T steps, E episodes,",
        "H×W cells.\n",
        "| name | |",
        "|---|---|",
    ]
    for name, path in sorted(top_level_names().items(), key=lambda item: item[0].lower()):
        target = path.replace(":", ".")
        obj = root[target.removeprefix("rookery.")]
        lines.append(f"| {{py:obj}}`rookery.{name} <{target}>` | {first_sentence(obj)} |")
    lines += ["", "| package | |", "|---|---|"]
    for path in sorted(packages):
        lines.append(
            f"| [{path}]({path}.md) | {first_sentence(packages[path]) if path != 'rookery' else 'modules at the top'} |"
        )
    toctree = "\n".join(sorted(packages))
    return "\n".join(lines) + f"\n\n```{{toctree}}\n:hidden:\n\n{toctree}\n```\n"


def top_level_names() -> dict[str, str]:
    """The names of `import rookery`: name to "module:attribute"."""
    for node in ast.parse((SOURCE / "rookery/__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "_MODULES":
            return ast.literal_eval(node.value)
    raise LookupError("rookery/__init__.py has no _MODULES")


def package_page(package: griffe.Module, recurse: bool = False) -> str:
    """A package's public modules that are not packages, with every public name in them."""
    parts = [f"# {package.path}\n"]
    if package.docstring and not recurse:
        parts.append(to_markdown(package.docstring.value) + "\n")
    modules = [package, *(module for module in _modules(package) if not _is_package(module))]
    for module in modules:
        members = [member for member in module.members.values() if _is_documented(member, module)]
        if module is package:
            members = [] if recurse else members
            parts.append(f"```{{py:module}} {module.path}\n```\n")
        else:
            parts.append(f"## {module.name}\n\n```{{py:module}} {module.path}\n```\n")
            parts.append(to_markdown(module.docstring.value) + "\n" if module.docstring else "")
        parts += [directive(member, depth=0) for member in members]
    return "\n".join(parts)


def directive(obj: griffe.Object, depth: int) -> str:
    """One definition and its public members as directives of Sphinx's Python domain, with Markdown inside."""
    kind, signature, options = _head(obj)
    body = [f":{name}: {value}".rstrip() for name, value in options.items()]
    text = docstring_of(obj)
    if body:
        body.append("")
    if text:
        body += [text, ""]
    if isinstance(obj, griffe.Class):
        body += [directive(member, depth + 1) for member in obj.members.values() if _is_documented(member, obj)]
    fence = ":" * (8 - depth)
    return f"{fence}{{py:{kind}}} {signature}\n" + "\n".join(body).rstrip() + f"\n{fence}\n"


def _head(obj: griffe.Object) -> tuple[str, str, dict[str, str]]:
    name = obj.path.removeprefix(f"{obj.module.path}.")
    options: dict[str, str] = {}
    if isinstance(obj, griffe.Function):
        in_class = isinstance(obj.parent, griffe.Class)
        for label, option in (("classmethod", "classmethod"), ("staticmethod", "staticmethod"), ("async", "async")):
            if label in obj.labels:
                options[option] = ""
        returns = f" -> {obj.returns}" if obj.returns is not None else ""
        return ("method" if in_class else "function"), f"{name}({_parameters(obj)}){returns}", options
    if isinstance(obj, griffe.Class):
        arguments = _class_parameters(obj)
        return "class", f"{name}({arguments})" if arguments else name, options
    assert isinstance(obj, griffe.Attribute)
    if obj.annotation is not None:
        options["type"] = _one_line(str(obj.annotation))
    if obj.value is not None and len(_one_line(str(obj.value))) <= WIDTH and not isinstance(obj.parent, griffe.Class):
        options["value"] = _one_line(str(obj.value))
    elif obj.value is not None and isinstance(obj.parent, griffe.Class) and "property" not in obj.labels:
        value = _one_line(str(obj.value))
        if len(value) <= WIDTH:
            options["value"] = value
    kind = "property" if "property" in obj.labels else "attribute" if isinstance(obj.parent, griffe.Class) else "data"
    if kind == "property":
        options.pop("value", None)
    return kind, name, options


def _parameters(function: griffe.Function) -> str:
    """Parameters as they are written, without self and cls."""
    parts: list[str] = []
    positional_only = False
    star = False
    for number, parameter in enumerate(function.parameters):
        if number == 0 and isinstance(function.parent, griffe.Class) and "staticmethod" not in function.labels:
            continue
        kind = parameter.kind
        if positional_only and kind is not griffe.ParameterKind.positional_only:
            parts.append("/")
            positional_only = False
        positional_only = positional_only or kind is griffe.ParameterKind.positional_only
        if kind is griffe.ParameterKind.keyword_only and not star:
            parts.append("*")
            star = True
        prefix = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(kind, "")
        star = star or kind is griffe.ParameterKind.var_positional
        text = prefix + parameter.name
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and not prefix:
            default = _one_line(str(parameter.default))
            text += f" = {default if len(default) <= WIDTH else '...'}"
        parts.append(text)
    return _one_line(", ".join(parts))


def _class_parameters(cls: griffe.Class) -> str:
    init = cls.members.get("__init__")
    return _parameters(init) if isinstance(init, griffe.Function) else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def docstring_of(obj: griffe.Object) -> str:
    """The docstring as Markdown; for a field without one, the comment behind it."""
    if obj.docstring is not None:
        return to_markdown(obj.docstring.value)
    if isinstance(obj, griffe.Attribute) and obj.lineno is not None and isinstance(obj.filepath, Path):
        text = _comments(obj.filepath).get(obj.endlineno or obj.lineno, "")
        return (
            ""
            if NOT_PROSE.match(text)
            else escape(re.split(r"\s+(?:#\s*)?(?:noqa|fmt:)", text)[0].lstrip("# ").strip())
        )
    return ""


def to_markdown(text: str) -> str:
    """A docstring with its labels in bold on lines of their own, its arguments as a list, and code set off."""
    lines: list[str] = []
    in_args = False
    for line in text.expandtabs().splitlines():
        label = LABEL.match(line)
        if label:
            in_args = label[1] == "Args"
            lines += ["", f"**{label[1]}:** {escape(label[2])}".rstrip(), *([""] if in_args else [])]
        elif in_args and (item := ITEM.match(line)):
            names = ", ".join(f"`{name.strip()}`" for name in item[1].split(","))
            lines.append(f"- {names}: {escape(item[2])}")
        elif line.startswith("    ") and not in_args:
            lines.append(line)  # code
        else:
            in_args = in_args and line.startswith(" ")
            lines.append(("  " if in_args else "") + escape(line.strip()) if line.strip() else "")
    return "\n".join(lines).strip("\n")


def escape(text: str) -> str:
    """Prose in which characters that Markdown would read as markup stay as they are; code in backticks is kept."""
    parts = re.split(r"(`[^`]*`)", text)
    for number in range(0, len(parts), 2):
        parts[number] = re.sub(r"([*_<>$\[\]#|{}])", r"\\\1", parts[number])
    return "".join(parts)


def first_sentence(obj: griffe.Object) -> str:
    """The first sentence of a docstring."""
    text = _one_line(obj.docstring.value.split("\n\n")[0]) if obj.docstring else ""
    return escape(re.split(r"(?<=[.:])\s", f"{text} ", maxsplit=1)[0].rstrip(": ").strip())


@functools.cache
def _comments(path: Path) -> dict[int, str]:
    """Line number to comment, for comments behind code."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    return {t.start[0]: t.string for t in tokens if t.type == tokenize.COMMENT and t.line[: t.start[1]].strip()}


def _packages(module: griffe.Module) -> list[griffe.Module]:
    found = [module] if _is_package(module) else []
    for child in _modules(module):
        found += _packages(child)
    return found


def _modules(module: griffe.Module) -> list[griffe.Module]:
    """Public modules in a package, by name."""
    found = (m for m in module.members.values() if not m.is_alias and isinstance(m, griffe.Module) and _is_public(m))
    return sorted(found, key=lambda child: child.name)


def _is_public(obj: griffe.Object) -> bool:
    return not obj.name.startswith("_")


def _is_documented(obj: griffe.Object | griffe.Alias, parent: griffe.Object) -> bool:
    """Public and defined here, not imported."""
    return not obj.is_alias and not isinstance(obj, griffe.Module) and _is_public(obj) and obj.parent is parent


def _is_package(module: griffe.Module) -> bool:
    return isinstance(module.filepath, Path) and module.filepath.name == "__init__.py"
