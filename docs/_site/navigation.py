"""The order of pages in the site: page to caption to entries. Every page must stand here or in a folder's own list."""

NAVIGATION: dict[str, dict[str, list[str]]] = {
    "index.md": {
        "Start": ["start/install", "start/first-novice"],
        "Guides": ["guides/index"],
        "Concepts": [
            "concepts/data-flow", "concepts/social-gain", "concepts/presence", "concepts/independence",
            "concepts/compilation", "concepts/resume", "concepts/statistics",
        ],
        "Topics": ["experts", "influence", "watch-and-play", "interop", "presets"],
        "Papers": ["papers/ndousse2021", "papers/jaques2019", "reproduce", "results/verdicts"],
        "Reference": ["tasks/index", "api/index", "compare"],
        "Project": ["reliability", "contributing", "changelog", "security", "code-of-conduct"],
    },
    "guides/index.md": {
        "": [
            "train", "watch", "evaluate", "new-task", "new-network", "new-loss", "new-reward", "new-learner",
            "new-study", "agent-elsewhere", "continue-training", "scale-out", "reproduce-a-figure", "read-a-verdict",
        ],
    },
    "tasks/index.md": {
        "": [
            "goal-cycle", "single-goal", "four-rooms", "maze", "sixteen-places", "key-door", "goal-sequence", "cleanup",
            "harvest", "box-trapped", "matrix-games",
        ],
    },
}  # fmt: skip
