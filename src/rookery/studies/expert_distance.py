"""What agents do next to experts, step by step: how near they stay, when they enter goals, whose entries they repeat.

Letters: T steps, E episodes, A agents; the agent under evaluation is agent 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rookery.agents.team import Team
from rookery.gridworld.state import GridState
from rookery.intervals import Interval
from rookery.keys import EXPERT_DISTANCE_EPISODES
from rookery.scorecard.condition_episodes import repeats
from rookery.storage.atomic import write_json
from rookery.studies.claims import judge_difference
from rookery.studies.episode_scan import EpisodeStep, scan_episodes
from rookery.studies.frozen_evaluation import EvalCondition, read_measurement
from rookery.studies.mechanisms import ALIVE_FRACTION, CheckOutcome, MeasuredCheck
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import UNDECIDED, Claim, Condition, Verdict
from rookery.training.evaluation import evaluation_key
from rookery.types import Env, PRNGKey, PyTree

TOO_FAR = 10**6
"""Cells; stands for the distance to an agent that is absent."""
REPEAT_WINDOW = 10
"""Steps within which entering the goal that an expert entered last counts as repeating its entry."""
_CELLS_PER_ROW = 10**5
"""More than any grid has columns: (row, column) as one number."""
ENTRY_MEASURES = {
    "step_of_second_entry": "step of the second goal entered, right or wrong",
    "entries_before_closed_cycle": "entries before an expert has closed its cycle",
    "repeated_fraction": "fraction of entries after the first that repeat an expert's",
}
_STORED_TYPES = {"distance": tuple[float, ...], **dict.fromkeys(ENTRY_MEASURES, float)}
_STORED: Any = TypedDict("_STORED", _STORED_TYPES)  # pyright: ignore (of names known at run time)


def distance_to_nearest(state: GridState) -> Float[Array, ""]:
    """Fewest steps, ignoring walls, from agent 0 to another agent that is present; NaN if there is none."""
    distance = jnp.abs(state.position[1:] - state.position[0]).sum(-1)
    nearest = jnp.min(jnp.where(state.agent_mask[1:], distance, TOO_FAR))
    return jnp.where(nearest < TOO_FAR, nearest * 1.0, jnp.nan)


class EpisodeTrace(NamedTuple):
    """What is recorded of episodes in which all agents take part."""

    distance: Float[Array, "T"]  # to the nearest other agent, mean over episodes
    correct: Bool[Array, "T E A"]  # entered a goal and was paid
    wrong: Bool[Array, "T E A"]  # entered a goal and was punished
    position: Int[Array, "T E A 2"]  # after the step


def trace_episodes(env: Env, team: Team, params: dict[str, PyTree], key: PRNGKey, num_episodes: int) -> EpisodeTrace:
    """Play episodes of a task with goals and mistakes."""

    def record(step: EpisodeStep) -> EpisodeTrace:
        info = step.next_timestep.info
        return EpisodeTrace(
            distance=jnp.nanmean(jax.vmap(distance_to_nearest)(step.next_state)),
            correct=info["goals"] > 0,
            wrong=info["mistakes"] > 0,
            position=step.next_state.position.astype(jnp.int16),
        )

    return scan_episodes(env, team, params, key, num_episodes, record)


def entry_measures(trace: EpisodeTrace, num_goals: int) -> dict[str, float]:
    """`ENTRY_MEASURES` of agent 0, means over episodes.

    An episode without a second entry counts as T + 1. An expert has closed its cycle when it has been paid for every
    goal in order, from then on all agents that watched it know the order; where none does, the whole episode counts.
    What repeats an expert's entry is as in the scorecard: the goal that this expert entered last, in an earlier step.
    The repeated fraction is over all entries; 0 where there are none.
    """
    correct, wrong, position = (np.asarray(x) for x in (trace.correct, trace.wrong, trace.position))
    entered = correct | wrong
    own = entered[:, :, 0]
    num_steps = len(own)
    count = own.cumsum(0)
    second = np.where((count >= 2).any(0), (count >= 2).argmax(0) + 1, num_steps + 1)
    closed = (correct[:, :, 1:].cumsum(0) >= num_goals).any(2)
    before = (own & ~closed).sum(0)
    cell = np.where(entered, position[..., 0].astype(int) * _CELLS_PER_ROW + position[..., 1], -1)
    experts = np.moveaxis(cell[:, :, 1:], -1, 0)
    repeated = np.any([repeats(cell[:, :, 0], expert, REPEAT_WINDOW) for expert in experts], axis=0)
    later = own & (count >= 2)
    values = (second.mean(), before.mean(), (later & repeated).sum() / max(later.sum(), 1))
    return {name: float(value) for name, value in zip(ENTRY_MEASURES, values, strict=True)}


def following_measures(
    session: Session, eval_condition: EvalCondition, conditions: tuple[Condition, ...], max_episodes: int = 250
) -> dict[str, Any]:
    """How agents follow, with the agent in slot 0 and the evaluation condition's partners in the other slots.

    Returns: {'distance_to_expert': {condition: one list per seed}}, cells to the nearest other agent after each step;
      {'entries': {condition: {name: one number per seed}}}, `ENTRY_MEASURES`.
    """
    evaluator = session.evaluator(eval_condition)
    num_episodes = min(max_episodes, session.eval_episodes)
    compiled: dict = {}
    profiles: dict[str, list[list[float]]] = {}
    entries: dict[str, dict[str, list[float]]] = {}
    for condition in conditions:
        for agent in condition.agents.evaluated_agents(session):
            seed = session.seed if agent.seed is None else agent.seed
            path = session.measurements_dir / f"{evaluator.measurement_key(agent, seed)}-entries.json"
            if not path.exists():
                setup = evaluator.build_team(agent)
                play = compiled.setdefault(
                    setup.team.groups[0].policy,
                    jax.jit(lambda p, k, s=setup: trace_episodes(s.env, s.team, p, k, num_episodes)),
                )
                trace = jax.device_get(play(setup.params, evaluation_key(seed, EXPERT_DISTANCE_EPISODES)))
                measured = entry_measures(trace, evaluator.task.num_goals)
                distance = [round(float(x), 4) for x in trace.distance]
                write_json(path, {"distance": distance, **{name: round(x, 4) for name, x in measured.items()}})
            stored = read_measurement(path, _STORED)
            profiles.setdefault(condition.label, []).append(stored["distance"])
            by_name = entries.setdefault(condition.label, {name: [] for name in ENTRY_MEASURES})
            for name, values in by_name.items():
                values.append(stored[name])
    return {"distance_to_expert": profiles, "entries": entries}


def stays_nearer(text: str, condition: str, other: str) -> Claim:
    """Over the second half of an episode the condition's agents stay nearer to an expert than another's."""

    def judge(results: Results) -> Verdict:
        means = []
        for name in (condition, other):
            profile = np.array(results.extra["distance_to_expert"][name])
            means.append(profile[:, profile.shape[1] // 2 :].mean(1))
        quantity = f"cells to the nearest expert: '{condition}' minus '{other}'; claimed < 0"
        return judge_difference(means[0], means[1], quantity, below=0.0)

    return Claim(text=text, judge=judge)


def second_entries(results: Results, condition: str) -> np.ndarray:
    """Step of the second entry, mean over episodes, f[seeds]; `never_step` stands for none in an episode."""
    return np.array(results.extra["entries"][condition]["step_of_second_entry"], float)


def never_step(results: Results) -> int:
    """One more than the steps of an episode."""
    return len(next(iter(results.extra["distance_to_expert"].values()))[0]) + 1


def enters_twice(condition: str) -> MeasuredCheck:
    """The control of a claim about second entries must make some.

    An episode without one counts as one step more than it has; a mean of a whole step less is little to ask.
    """

    def measure(results: Results) -> CheckOutcome:
        steps, never = second_entries(results, condition), never_step(results)
        hits = int((steps < never - 1).sum())
        listed = ", ".join(f"{step:.1f}" for step in steps)
        reason = (
            f"{hits} of {len(steps)} seeds enter a second goal in more than a few episodes (mean step {listed}, where "
            f"{never} stands for never), so there is nothing to compare with"
        )
        return CheckOutcome(hits >= ALIVE_FRACTION * len(steps), reason)

    return MeasuredCheck(mechanism="a second entry", condition=condition, measure=measure)


def entries_differ(text: str, measure: str, larger: str, smaller: str, *, since: int) -> Claim:
    """One of `ENTRY_MEASURES` is larger for one condition's agents than for another's.

    What is a fraction of entries after the first is undefined for a seed that has none, which is left out.
    """

    def judge(results: Results) -> Verdict:
        values, left_out = [], 0
        for name in (larger, smaller):
            of_seeds = np.array(results.extra["entries"][name][measure], float)
            if measure == "repeated_fraction":
                defined = second_entries(results, name) < never_step(results)
                left_out += int((~defined).sum())
                of_seeds = of_seeds[defined]
            values.append(of_seeds)
        quantity = f"{ENTRY_MEASURES[measure]}: '{larger}' minus '{smaller}'; claimed > 0"
        if not all(map(len, values)):
            return Verdict(UNDECIDED, f"{quantity}: undefined in every seed of one of them", Interval.unknown())
        detail = f"{left_out} of the seeds, which never enter a second goal, are left out" if left_out else ""
        first, second = values
        return judge_difference(first, second, quantity, above=0.0, detail=detail)

    return Claim(text=text, judge=judge, since=since)
