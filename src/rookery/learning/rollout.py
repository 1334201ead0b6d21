"""Play whole episodes with a team and keep, for each learner, what is its own."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rookery.agents.hearing import blank_board
from rookery.agents.team import (
    Group,
    Team,
    act,
    after_lesson,
    gather_view,
    initial_carry,
    lesson,
    note,
    teacher_memory,
    turn_over,
)
from rookery.errors import ConfigError
from rookery.types import Company, Env, Key, PyTree, Speech, Trajectory

TEACHING = 0x7EAC
"""Folded into a group's key for what its teacher draws."""


class Tally(NamedTuple):
    """What a batch of episodes came to, for every agent. Sums over each episode unless said otherwise."""

    episode_return: Float[Array, "E A"]
    events: dict[str, Float[Array, "E A"]]
    streak: Float[Array, "E A"]  # longest run of paid events without a punished one
    first_reward: Float[Array, "E A"]  # step of the first positive reward, counted from 1; the limit + 1 if none
    present: Bool[Array, "E A"]


def rollout(
    env: Env,
    team: Team,
    params: dict[str, PyTree],
    env_params: PyTree,
    key: Key,
    present: Bool[Array, "E A"],
    heeding: dict[str, Float[Array, ""]] | None = None,
) -> tuple[dict[str, Trajectory], Tally]:
    """Play E episodes of `max_steps` side by side, all from a reset to the end.

    Returns by learning group a trajectory whose leaves lead with the group's S slots, [S, T, E, ...], with what its
    methods ask to know of the others; and the tally. `heeding` has for learning groups with a teacher the share of
    steps in which they do as it says; the teachers of others are not asked.

    Whole episodes need no memory or world carried from update to update, and a reset is paid once an
    episode instead of at every step.
    """
    episodes = present.shape[0]
    asked = {name for group in team.learning for name in asks(group)}
    keep = ["heard", "message", "message_logits", "taught"] + ["logits"] * bool(asked & {"logits", "policies"})
    if "in_view" in asked and not hasattr(env, "in_view"):
        raise ConfigError("this task cannot tell whom an agent sees; give its environment a method in_view(state)")
    reset_key, act_key = jax.random.split(key)
    state, told = jax.vmap(env.reset, (0, None, 0))(jax.random.split(reset_key, episodes), env_params, present)
    carries = {group.name: initial_carry(group, episodes) for group in team.groups}
    heeding = heeding or {}
    teaching = {group.name: teacher_memory(group, episodes) for group in team.groups if group.name in heeding}
    never = jnp.zeros(episodes, bool)
    counts = Tally(
        episode_return=jnp.zeros((episodes, env.agents)),
        events=told.events,
        streak=jnp.zeros((episodes, env.agents)),
        first_reward=jnp.full((episodes, env.agents), env.max_steps + 1.0),
        present=present,
    )

    def step(loop, t):
        state, told, carries, teaching, over, counts, run, board = loop
        keys = jax.random.split(jax.random.fold_in(act_key, t), len(team.groups))
        action = jnp.zeros((episodes, env.agents), jnp.int32)
        carries, teaching, kept = dict(carries), dict(teaching), {}
        there = told.active & ~over[:, None]
        for number, group in team.in_turn:
            chosen, carries[group.name], extras = act(
                group, params[group.name], carries[group.name], told.observation, state, told.is_first, keys[number],
                board,
            )  # fmt: skip
            if group.name in teaching:
                advice_key, heed_key = jax.random.split(jax.random.fold_in(keys[number], TEACHING))
                advice, memory = lesson(group, teaching[group.name], state, told.is_first, advice_key)
                heeds = jax.random.bernoulli(heed_key, heeding[group.name], chosen.shape)
                chosen = jnp.where(heeds, advice, chosen)
                log_probs = jax.nn.log_softmax(extras["logits"])
                extras["log_prob"] = jnp.take_along_axis(log_probs, chosen[..., None], -1)[..., 0]
                extras["taught"] = advice
                teaching[group.name] = after_lesson(group, memory, state, chosen)
            board = note(board, group, chosen, extras, there)
            action = action.at[:, jnp.array(group.slots)].set(chosen.T)
            if group.learns:
                kept[group.name] = {
                    "observation": gather_view(told.observation, group.slots),
                    "action": chosen,
                    "log_prob": extras["log_prob"],
                    "mask": there[:, jnp.array(group.slots)].T,
                    **{name: extras[name] for name in keep if name in extras},
                }
        everyone = {"action": board.does, "present": there}
        if "in_view" in asked:
            everyone["in_view"] = jax.vmap(env.in_view)(state)  # type: ignore[attr-defined]
        state, after = jax.vmap(env.step, (0, 0, None))(state, action, env_params)
        reward = jnp.where(over[:, None], 0.0, after.reward)
        everyone["reward"] = reward
        for group in team.learning:
            slots = jnp.array(group.slots)
            kept[group.name] |= {
                "reward": reward[:, slots].T,
                "terminated": jnp.broadcast_to(after.terminated & ~over, (len(group.slots), episodes)),
            }
        run = jnp.where(reward < 0, 0.0, run + (reward > 0))
        counts = counts._replace(
            episode_return=counts.episode_return + reward,
            events={k: counts.events[k] + jnp.where(over[:, None], 0.0, v) for k, v in after.events.items()},
            streak=jnp.maximum(counts.streak, run),
            first_reward=jnp.where(reward > 0, jnp.minimum(counts.first_reward, t + 1.0), counts.first_reward),
        )
        known = {name: everyone[name] for name in asked if name in everyone}
        over = over | after.terminated
        return (state, after, carries, teaching, over, counts, run, turn_over(board)), (kept, known)

    board = blank_board(episodes, env.agents)
    start = (state, told, carries, teaching, never, counts, jnp.zeros((episodes, env.agents)), board)
    (_, last, *_, counts, _, board), (kept, known) = jax.lax.scan(step, start, jnp.arange(env.max_steps))
    opening = jnp.zeros((env.max_steps + 1, episodes), bool).at[0].set(True)
    trajectories = {}
    for group in team.learning:
        own = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), kept[group.name])  # [T, S, E] -> [S, T, E]
        final = gather_view(last.observation, group.slots)[:, None]
        heard, logits, speech = own.pop("heard", None), own.pop("logits", None), None
        if heard is not None:
            # What would be told next; of leaders, who have not acted yet, nothing.
            finally_heard = group.policy.hears.tell(board, group.policy.actions).astype(heard.dtype)
            finally_heard = jnp.broadcast_to(finally_heard, (len(group.slots), 1, *finally_heard.shape))
            heard = jnp.concatenate([heard, finally_heard], 1)
        if "message" in own:
            message, says = own.pop("message"), own.pop("message_logits")
            log_prob = jnp.take_along_axis(jax.nn.log_softmax(says), message[..., None], -1)[..., 0]
            speech = Speech(message=message, log_prob=log_prob, logits=says)
        trajectories[group.name] = Trajectory(
            observation=jnp.concatenate([own.pop("observation"), final], 1),
            is_first=jnp.broadcast_to(opening, (len(group.slots), *opening.shape)),
            heard=heard,
            logits=logits,
            speech=speech,
            company=_company(group, known, env.agents),
            **own,
        )
    return trajectories, counts


def asks(group: Any) -> tuple[str, ...]:
    """What the methods of a learning group (or of its configuration) ask to know: names of `intrinsic.WHAT`."""
    plugs = getattr(group.learner, "intrinsic", ())
    return tuple(dict.fromkeys(name for plug in plugs for name in plug.sees))


def _company(group: Group, known: dict[str, jax.Array], agents: int) -> Company | None:
    """What the group asks to know of the others, [S, T, E, ...], each agent's own first."""
    fields = [name for name in asks(group) if name in ("action", "reward", "in_view", "present")]
    if not fields:
        return None
    order = [[(slot + n) % agents for n in range(agents)] for slot in group.slots]

    def seen_by(name: str, slot: int, own_first: list[int]):
        if name == "in_view":
            return known[name][:, :, slot][..., jnp.array(own_first[1:], int)]
        return known[name][..., jnp.array(own_first)]

    stacked: Any = {name: jnp.stack([seen_by(name, o[0], o) for o in order]) for name in fields}
    return Company(**stacked)


def draw_presence(env: Env, team: Team, key: Key, episodes: int, social_share: Float[Array, ""]) -> Bool[Array, "E A"]:
    """Who takes part in each episode: all of the team, or, in solo episodes, one learner alone.

    Each episode is social with probability `social_share`; solo episodes go round the learners in turn.
    """
    social = jax.random.uniform(key, (episodes,)) < social_share
    slots = jnp.array(team.learning_slots)
    soloist = slots[jnp.arange(episodes) % len(slots)]
    return social[:, None] | (jnp.arange(env.agents) == soloist[:, None])
