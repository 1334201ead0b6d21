"""Differences from Ndousse et al. 2021 that no comparison of two configurations shows, because presets share them.

`rookery.training.config_diff` compares a run with the preset `paper`, which itself departs from the paper: in its
experts, and where the paper is silent. Each study lists these as well.
"""

from __future__ import annotations

from typing import Any

from rookery.training.config import (
    FrozenPolicyConfig,
    GroupConfig,
    RandomPolicyConfig,
    RecurrentPolicyConfig,
    RunConfig,
    ScriptedPolicyConfig,
)

_NOT_GIVEN = "not given"
IMPLEMENTATION = (
    ("initialization", _NOT_GIVEN,
     "weights orthogonal (scale √2; last layer of the policy 0.01, of the value 1), biases 0; forget gate's bias 1"),
    ("estimator of the KL divergence", _NOT_GIVEN, "mean of ratio - 1 - log(ratio) over a minibatch (k3)"),
    ("checks of the KL divergence", "update ceases above 0.01, is taken back above 0.03",
     "before each gradient step, which is then not taken, and once more after the last one (the 21st check)"),
    ("sampling of sequences", "each minibatch is a uniform random sample of trajectories",
     "each pass over the batch is a random permutation of all its sequences, without replacement"),
    ("advantages", "normalization not given", "normalized over the batch of each agent"),
)  # fmt: skip
"""Setting, in the paper, here: of every agent that PPO trains."""
EXPERTS_IN_PAPER = (
    "two experts trained by the penalty curriculum, which see 7×7 cells and keep learning at 1e-5 (frozen in the "
    "transfer tests, and where they are imperfect)"
)


def deviations(config: RunConfig, published: RunConfig | None = None) -> list[dict[str, Any]]:
    """Rows as of `config_diff`: {'setting', 'paper', 'here'} each.

    Args:
      published: as of `config_diff`; runs of another paper have rows of their own and get none here.
    """
    if published is not None:
        return []
    rows = [
        {"setting": f"team.{group.name}", "paper": EXPERTS_IN_PAPER, "here": _describe_partner(group)}
        for group in config.team
        if group.learner is None
    ]
    if any(group.learner is not None and group.learner.kind == "ppo" for group in config.team):
        rows += [{"setting": setting, "paper": paper, "here": here} for setting, paper, here in IMPLEMENTATION]
    return rows


def _describe_partner(group: GroupConfig) -> str:
    """What an agent that does not learn knows and does."""
    policy, count = group.policy, len(group.slots)
    words: dict[type, str] = {
        ScriptedPolicyConfig: "scripted: see the whole map, plan shortest paths, find the order by trial; do not learn",
        RandomPolicyConfig: "move at random",
        FrozenPolicyConfig: f"trained before, see their own view ({policy.label}); do not learn",
        RecurrentPolicyConfig: f"not trained ({policy.label})",
    }
    text = words.get(type(policy), policy.label)
    if isinstance(policy, ScriptedPolicyConfig) and policy.observability == "partial":
        text = "scripted: see their own view and remember it; do not learn"
    return f"{count} agents: {text}" if count > 1 else f"1 agent: {text}"


def older_partner_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Implementation rows for results that were made before studies listed them; their partners are in their notes.

    Args:
      rows: their 'config_diff'.
    """
    runs = list(dict.fromkeys(run for row in rows for run in row["runs"]))
    listed = {row["setting"] for row in rows}
    return [
        {"setting": setting, "paper": paper, "here": here, "runs": runs}
        for setting, paper, here in IMPLEMENTATION
        if setting not in listed and runs
    ]
