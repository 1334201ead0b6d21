"""The order of pages in the site: page to caption to entries. A page that stands nowhere here comes last."""

NAVIGATION: dict[str, dict[str, list[str]]] = {
    "index.md": {
        "Start": ["start/install", "start/first-novice"],
        "Guides": ["guides/index"],
        "Concepts": [
            "concepts/data-flow", "concepts/social-gain", "concepts/presence", "concepts/widening",
            "concepts/independence", "concepts/compilation", "concepts/resume", "concepts/statistics",
        ],
        "Topics": [
            "experts", "generations", "influence", "auxiliary-losses", "scorecard", "watch-and-play", "interop",
            "recipes", "scaling", "presets",
        ],
        "Papers": ["papers/ndousse2021", "papers/jaques2019", "reproduce", "results", "results/verdicts"],
        "Reference": ["tasks/index", "command-line", "api/index", "compare"],
        "Project": ["contributing", "changelog", "security", "code-of-conduct"],
    },
    "guides/index.md": {
        "": [
            "train", "watch", "evaluate", "new-task", "new-network", "new-loss", "new-reward", "new-learner",
            "new-study", "agent-elsewhere", "continue-training", "scale-out", "reproduce-a-figure", "read-a-verdict",
        ],
    },
    "tasks/index.md": {
        "": [
            "goal-cycle", "single-goal", "four-rooms", "maze", "sixteen-places", "key-door", "goal-sequence",
            "memory-sequence", "cleanup", "harvest", "box-trapped", "matrix-games", "coin-game",
        ],
    },
}  # fmt: skip


def tables_of_contents(pages: set[str]) -> dict[str, dict[str, list[str]]]:
    """`NAVIGATION` with the pages that exist, each without its ending, relative to the page that lists it."""
    listed, tables = set(), {}
    for page, captions in NAVIGATION.items():
        folder = page.removesuffix("index.md")
        tables[page] = {
            caption: [entry for entry in entries if f"{folder}{entry}.md" in pages]
            for caption, entries in captions.items()
        }
        listed |= {f"{folder}{entry}.md" for entries in captions.values() for entry in entries}
    rest = sorted(page for page in pages - listed - {"index.md"} if not page.startswith("api/"))
    for page in rest:
        folder = f"{page.rpartition('/')[0]}/"
        table = tables.get(f"{folder}index.md")
        (tables["index.md"]["Topics"] if table is None else table[""]).append(
            page.removesuffix(".md") if table is None else page.removeprefix(folder).removesuffix(".md")
        )
    return tables
