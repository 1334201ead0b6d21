"""Play whole episodes with a team and keep, for each learner, what is its own."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rookery.agents.team import Team, act, gather_view, initial_carry
from rookery.types import Env, Key, PyTree, Trajectory


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
) -> tuple[dict[str, Trajectory], Tally]:
    """Play E episodes of `max_steps` side by side, all from a reset to the end.

    Returns by learning group a trajectory whose leaves lead with the group's S slots, [S, T, E, ...]; and the
    tally. Whole episodes need no memory or world carried from update to update, and a reset is paid once an
    episode instead of at every step.
    """
    episodes = present.shape[0]
    reset_key, act_key = jax.random.split(key)
    state, told = jax.vmap(env.reset, (0, None, 0))(jax.random.split(reset_key, episodes), env_params, present)
    carries = {group.name: initial_carry(group, episodes) for group in team.groups}
    never = jnp.zeros(episodes, bool)
    counts = Tally(
        episode_return=jnp.zeros((episodes, env.agents)),
        events=told.events,
        streak=jnp.zeros((episodes, env.agents)),
        first_reward=jnp.full((episodes, env.agents), env.max_steps + 1.0),
        present=present,
    )

    def step(loop, t):
        state, told, carries, over, counts, run = loop
        keys = jax.random.split(jax.random.fold_in(act_key, t), len(team.groups))
        action = jnp.zeros((episodes, env.agents), jnp.int32)
        carries, kept = dict(carries), {}
        for group, group_key in zip(team.groups, keys, strict=True):
            chosen, carries[group.name], extras = act(
                group, params[group.name], carries[group.name], told.observation, state, told.is_first, group_key
            )
            action = action.at[:, jnp.array(group.slots)].set(chosen.T)
            if group.learns:
                kept[group.name] = {
                    "observation": gather_view(told.observation, group.slots),
                    "action": chosen,
                    "log_prob": extras["log_prob"],
                    "mask": (told.active & ~over[:, None])[:, jnp.array(group.slots)].T,
                }
        state, after = jax.vmap(env.step, (0, 0, None))(state, action, env_params)
        reward = jnp.where(over[:, None], 0.0, after.reward)
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
        return (state, after, carries, over | after.terminated, counts, run), kept

    start = (state, told, carries, never, counts, jnp.zeros((episodes, env.agents)))
    (_, last, *_, counts, _), kept = jax.lax.scan(step, start, jnp.arange(env.max_steps))
    opening = jnp.zeros((env.max_steps + 1, episodes), bool).at[0].set(True)
    trajectories = {}
    for group in team.learning:
        own = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), kept[group.name])  # [T, S, E] -> [S, T, E]
        final = gather_view(last.observation, group.slots)[:, None]
        trajectories[group.name] = Trajectory(
            observation=jnp.concatenate([own.pop("observation"), final], 1),
            is_first=jnp.broadcast_to(opening, (len(group.slots), *opening.shape)),
            **own,
        )
    return trajectories, counts


def draw_presence(env: Env, team: Team, key: Key, episodes: int, social_share: Float[Array, ""]) -> Bool[Array, "E A"]:
    """Who takes part in each episode: all of the team, or, in solo episodes, one learner alone.

    Each episode is social with probability `social_share`; solo episodes go round the learners in turn.
    """
    social = jax.random.uniform(key, (episodes,)) < social_share
    slots = jnp.array(team.learning_slots)
    soloist = slots[jnp.arange(episodes) % len(slots)]
    return social[:, None] | (jnp.arange(env.agents) == soloist[:, None])
