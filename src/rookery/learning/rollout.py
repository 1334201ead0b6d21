"""Play whole episodes with a team and keep, for each learner, what is its own."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rookery.agents.communication import initial_comm_state
from rookery.agents.team import (
    AgentGroup,
    Team,
    act_group,
    advance,
    gather_observations,
    initial_carry,
    initial_teacher_carry,
    record_actions,
    sample_teacher_action,
    update_teacher_carry,
)
from rookery.errors import ConfigError
from rookery.types import Env, MessageTrajectory, OthersInfo, PRNGKey, PyTree, Trajectory

TEACHER_KEY_ID = 0x7EAC
"""Folded into a group's key for what its teacher draws."""


class EpisodeStats(NamedTuple):
    """What a batch of episodes came to, for every agent. Sums over each episode unless said otherwise."""

    episode_return: Float[Array, "E A"]
    task_metrics: dict[str, Float[Array, "E A"]]
    longest_streak: Float[Array, "E A"]  # longest run of paid events without a punished one
    steps_to_first_reward: Float[
        Array, "E A"
    ]  # step of the first positive reward, counted from 1; the limit + 1 if none
    agent_mask: Bool[Array, "E A"]


def rollout(
    env: Env,
    team: Team,
    params: dict[str, PyTree],
    env_params: PyTree,
    key: PRNGKey,
    agent_mask: Bool[Array, "E A"],
    teacher_action_prob: dict[str, Float[Array, ""]] | None = None,
) -> tuple[dict[str, Trajectory], EpisodeStats]:
    """Play E episodes of `max_steps` side by side, all from a reset to the end.

    Returns by learning group a trajectory whose leaves lead with the group's S slots, [S, T, E, ...], with what its
    methods ask to know of the others; and the tally. `heeding` has for learning groups with a teacher the share of
    steps in which they do as it says; the teachers of others are not asked.

    Whole episodes need no memory or world carried from update to update, and a reset is paid once an
    episode instead of at every step.
    """
    episodes = agent_mask.shape[0]
    asked = {name for group in team.learning_groups for name in requested_info(group)}
    keep = ["comms_obs", "message", "message_logits", "teacher_action"] + ["logits"] * bool(
        asked & {"logits", "influence"}
    )
    if "in_view" in asked and not hasattr(env, "in_view"):
        raise ConfigError("this task cannot tell whom an agent sees; give its environment a method in_view(state)")
    reset_key, act_key = jax.random.split(key)
    state, told = jax.vmap(env.reset, (0, None, 0))(jax.random.split(reset_key, episodes), env_params, agent_mask)
    carries = {group.name: initial_carry(group, episodes) for group in team.groups}
    teacher_action_prob = teacher_action_prob or {}
    teaching = {
        group.name: initial_teacher_carry(group, episodes) for group in team.groups if group.name in teacher_action_prob
    }
    never = jnp.zeros(episodes, bool)
    counts = EpisodeStats(
        episode_return=jnp.zeros((episodes, env.num_agents)),
        task_metrics=told.info,
        longest_streak=jnp.zeros((episodes, env.num_agents)),
        steps_to_first_reward=jnp.full((episodes, env.num_agents), env.max_steps + 1.0),
        agent_mask=agent_mask,
    )

    def step(loop, t):
        state, told, carries, teaching, over, counts, run, board = loop
        keys = jax.random.split(jax.random.fold_in(act_key, t), len(team.groups))
        action = jnp.zeros((episodes, env.num_agents), jnp.int32)
        carries, teaching, kept = dict(carries), dict(teaching), {}
        there = told.agent_mask & ~over[:, None]
        for number, group in team.acting_order:
            chosen, carries[group.name], extras = act_group(
                group, params[group.name], carries[group.name], told.observation, state, told.is_first, keys[number],
                board,
            )  # fmt: skip
            if group.name in teaching:
                advice_key, heed_key = jax.random.split(jax.random.fold_in(keys[number], TEACHER_KEY_ID))
                advice, memory = sample_teacher_action(group, teaching[group.name], state, told.is_first, advice_key)
                heeds = jax.random.bernoulli(heed_key, teacher_action_prob[group.name], chosen.shape)
                chosen = jnp.where(heeds, advice, chosen)
                log_probs = jax.nn.log_softmax(extras["logits"])
                extras["log_prob"] = jnp.take_along_axis(log_probs, chosen[..., None], -1)[..., 0]
                extras["teacher_action"] = advice
                teaching[group.name] = update_teacher_carry(group, memory, state, chosen)
            board = record_actions(board, group, chosen, extras, there)
            action = action.at[:, jnp.array(group.slots)].set(chosen.T)
            if group.learns:
                kept[group.name] = {
                    "observation": gather_observations(told.observation, group.slots),
                    "action": chosen,
                    "log_prob": extras["log_prob"],
                    "loss_mask": there[:, jnp.array(group.slots)].T,
                    **{name: extras[name] for name in keep if name in extras},
                }
        everyone = {"action": board.actions, "agent_mask": there}
        if "in_view" in asked:
            everyone["in_view"] = jax.vmap(env.in_view)(state)  # type: ignore[attr-defined]
        state, after = jax.vmap(env.step, (0, 0, None))(state, action, env_params)
        reward = jnp.where(over[:, None], 0.0, after.reward)
        everyone["reward"] = reward
        for group in team.learning_groups:
            slots = jnp.array(group.slots)
            kept[group.name] |= {
                "reward": reward[:, slots].T,
                "terminated": jnp.broadcast_to(after.terminated & ~over, (len(group.slots), episodes)),
            }
        run = jnp.where(reward < 0, 0.0, run + (reward > 0))
        counts = counts._replace(
            episode_return=counts.episode_return + reward,
            task_metrics={k: counts.task_metrics[k] + jnp.where(over[:, None], 0.0, v) for k, v in after.info.items()},
            longest_streak=jnp.maximum(counts.longest_streak, run),
            steps_to_first_reward=jnp.where(
                reward > 0, jnp.minimum(counts.steps_to_first_reward, t + 1.0), counts.steps_to_first_reward
            ),
        )
        known = {name: everyone[name] for name in asked if name in everyone}
        over = over | after.terminated
        return (state, after, carries, teaching, over, counts, run, advance(board)), (kept, known)

    board = initial_comm_state(episodes, env.num_agents)
    start = (state, told, carries, teaching, never, counts, jnp.zeros((episodes, env.num_agents)), board)
    (_, last, *_, counts, _, board), (kept, known) = jax.lax.scan(step, start, jnp.arange(env.max_steps))
    opening = jnp.zeros((env.max_steps + 1, episodes), bool).at[0].set(True)
    trajectories = {}
    for group in team.learning_groups:
        own = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), kept[group.name])  # [T, S, E] -> [S, T, E]
        final = gather_observations(last.observation, group.slots)[:, None]
        heard, logits, speech = own.pop("comms_obs", None), own.pop("logits", None), None
        if heard is not None:
            # What would be told next; of leaders, who have not acted yet, nothing.
            finally_heard = group.policy.communication.encode(board, group.policy.num_actions).astype(heard.dtype)
            finally_heard = jnp.broadcast_to(finally_heard, (len(group.slots), 1, *finally_heard.shape))
            heard = jnp.concatenate([heard, finally_heard], 1)
        if "message" in own:
            message, says = own.pop("message"), own.pop("message_logits")
            log_prob = jnp.take_along_axis(jax.nn.log_softmax(says), message[..., None], -1)[..., 0]
            speech = MessageTrajectory(message=message, log_prob=log_prob, logits=says)
        trajectories[group.name] = Trajectory(
            observation=jnp.concatenate([own.pop("observation"), final], 1),
            is_first=jnp.broadcast_to(opening, (len(group.slots), *opening.shape)),
            comms_obs=heard,
            logits=logits,
            messages=speech,
            others=_others_info(group, known, env.num_agents),
            **own,
        )
    return trajectories, counts


def requested_info(group: Any) -> tuple[str, ...]:
    """What the methods of a learning group (or of its configuration) ask to know: names of `intrinsic.WHAT`."""
    plugs = getattr(group.learner, "intrinsic", ())
    return tuple(dict.fromkeys(name for plug in plugs for name in plug.required_info))


def _others_info(group: AgentGroup, info: dict[str, jax.Array], num_agents: int) -> OthersInfo | None:
    """What the group asks to know of the others, [S, T, E, ...], each agent's own first."""
    fields = [name for name in requested_info(group) if name in ("action", "reward", "in_view", "agent_mask")]
    if not fields:
        return None
    order = [[(slot + n) % num_agents for n in range(num_agents)] for slot in group.slots]

    def seen_by(name: str, slot: int, own_first: list[int]):
        if name == "in_view":
            return info[name][:, :, slot][..., jnp.array(own_first[1:], int)]
        return info[name][..., jnp.array(own_first)]

    stacked: Any = {name: jnp.stack([seen_by(name, o[0], o) for o in order]) for name in fields}
    return OthersInfo(**stacked)


def sample_agent_mask(
    env: Env, team: Team, key: PRNGKey, num_envs: int, social_episode_prob: Float[Array, ""]
) -> Bool[Array, "E A"]:
    """Who takes part in each episode: all of the team, or, in solo episodes, one learner alone.

    Each episode is social with probability `social_episode_prob`; solo episodes go round the learners in turn.
    """
    social = jax.random.uniform(key, (num_envs,)) < social_episode_prob
    slots = jnp.array(team.learning_slots)
    soloist = slots[jnp.arange(num_envs) % len(slots)]
    return social[:, None] | (jnp.arange(env.num_agents) == soloist[:, None])
