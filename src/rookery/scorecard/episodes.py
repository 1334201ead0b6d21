"""Play the episodes of one condition with any agent: the world and its partners are compiled, the agent is called.

Letters in shapes: E episodes side by side, T steps, A agents: the scored one in slot 0, N = 2 partners.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery import keys
from rookery.agents import scripted
from rookery.agents.scripted.cycle_partner import CyclePartner
from rookery.gridworld.observation import observe_with_view
from rookery.gridworld.presence import NEVER
from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.state import GridState
from rookery.interfaces import Policy
from rookery.limits import check_callable
from rookery.scorecard.agents import Chooser, ScoredAgent, checked_actions
from rookery.scorecard.condition_episodes import ConditionEpisodes
from rookery.scorecard.protocol import Protocol, ScoreCondition, ScoreWorld
from rookery.tasks.checks import start_backend
from rookery.tasks.grid_env import GridEnv
from rookery.training.evaluation import evaluation_key
from rookery.types import PRNGKey, PyTree
from rookery.viz.record_episode import recording_fields
from rookery.viz.recording import Recording
from rookery.viz.render_state import make_render_state

NUM_SCORE_AGENTS = 3
NUM_PARTNERS = NUM_SCORE_AGENTS - 1


class ArenaState(NamedTuple):
    """E episodes between two steps."""

    env_state: GridState
    is_first: Bool[Array, "E"]
    carry: PyTree  # of the partners, N·E: those in slot 1, then those in slot 2
    step: Int[Array, ""]


class ArenaStep(NamedTuple):
    """What is recorded of one step."""

    reward: Float[Array, "E A"]
    action: Int[Array, "E A"]
    entry: Int[Array, "E A"]
    position: Int[Array, "E A 2"]
    prestige: Float[Array, "E A"]
    agent_mask: Bool[Array, "E A"]
    first_state: GridState  # of the first episode, before the action


class ArenaSettings(NamedTuple):
    """What differs between conditions of one world: arrays, so that all of them are one compiled program."""

    env_params: PyTree
    agent_mask: Bool[Array, "A"]
    partner_params: PyTree
    shown_prestige: Float[Array, "T E A"]
    """What the scored agent sees of the others' prestige; NaN: the true one."""


@dataclasses.dataclass(frozen=True)
class Arena:
    """A world with its partners, ready for any agent in slot 0: pure functions on E episodes."""

    env: GridEnv
    partner: Policy
    num_episodes: int

    def reset(self, key: PRNGKey, settings: ArenaSettings) -> ArenaState:
        """The start of all episodes."""
        mask = jnp.broadcast_to(settings.agent_mask, (self.num_episodes, NUM_SCORE_AGENTS))
        env_state, timestep = jax.vmap(self.env.reset, (0, None, 0))(
            jax.random.split(key, self.num_episodes), settings.env_params, mask
        )
        carry = self.partner.initial_carry(NUM_PARTNERS * self.num_episodes)
        return ArenaState(env_state, timestep.is_first, carry, jnp.int32(0))

    def observe(self, state: ArenaState, settings: ArenaSettings) -> UInt8[Array, "E ..."]:
        """What the scored agent sees, with the prestige that the condition shows."""
        shown = settings.shown_prestige[jnp.minimum(state.step, self.env.max_steps - 1)]
        prestige = jnp.where(jnp.isnan(shown), state.env_state.prestige, shown)
        view, spec = self.env.spec.views[0], self.env.spec
        return jax.vmap(lambda s: observe_with_view(s, 0, view, spec))(state.env_state.replace(prestige=prestige))

    def advance(
        self, state: ArenaState, action: Int[Array, "E"], key: PRNGKey, settings: ArenaSettings
    ) -> tuple[ArenaState, ArenaStep]:
        """One step with the scored agent's action. `key`: for this step's partners."""
        before = state.env_state
        # Both partners as one batch: one program to compile instead of two.
        slots = jnp.repeat(jnp.arange(1, NUM_SCORE_AGENTS, dtype=jnp.int32), self.num_episodes)
        states, is_first = jax.tree.map(lambda x: jnp.concatenate([x] * NUM_PARTNERS), (before, state.is_first))
        partner_action, carry, _ = self.partner.act(
            settings.partner_params, state.carry, (states, slots), is_first, key
        )
        joint = jnp.concatenate([action[None], partner_action.reshape(NUM_PARTNERS, -1)]).T.astype(jnp.int32)
        after, timestep = jax.vmap(self.env.step, (0, 0, None))(before, joint, settings.env_params)
        record = ArenaStep(
            reward=timestep.reward,
            action=joint.astype(jnp.int8),
            entry=_entered_goals(self.env, before, after, timestep.reward),
            position=before.position.astype(jnp.int16),
            prestige=before.prestige,
            agent_mask=before.agent_mask,
            first_state=self.first_state(before),
        )
        return ArenaState(after, jnp.zeros_like(state.is_first), carry, state.step + 1), record

    def first_state(self, env_state: GridState) -> GridState:
        """The state of the first episode."""
        return jax.tree.map(lambda x: x[0], env_state)


def _entered_goals(env: GridEnv, before: GridState, after: GridState, reward: Float[Array, "E A"]) -> Int[Array, "E A"]:
    """The goal that each agent entered, -1 for none: every entry pays or costs something."""
    goals = jax.vmap(env.task.goal_cells)(before.task)
    on_goal = (after.position[:, :, None] == goals[:, None]).all(-1)  # E, A, K
    return jnp.where(reward != 0, jnp.argmax(on_goal, -1), -1).astype(jnp.int8)


def make_arena(world: ScoreWorld, agent: ScoredAgent, num_episodes: int) -> Arena:
    """A world as this agent observes it, and the partners of its conditions."""
    task = dataclasses.replace(
        world.task, views=(ViewConfig(observation_type=agent.observation_type),) * NUM_SCORE_AGENTS
    )
    env = GridEnv(task)
    if task.kind == "goal-cycle":
        partner: Policy = CyclePartner(task.num_goals, env.spec.height, env.spec.width)
    else:
        partner = scripted.make_expert(task)
    return Arena(env, partner, num_episodes)


def arena_settings(arena: Arena, condition: ScoreCondition, shown_prestige: np.ndarray | None) -> ArenaSettings:
    """The arrays of a condition."""
    num_steps = arena.env.max_steps
    leave_step = {"always": NEVER, "first half": num_steps // 2, "never": NEVER}[condition.presence]
    num_partners = 0 if condition.presence == "never" else len(condition.partners)
    env_params = arena.env.default_params()
    env_params = env_params.replace(world=env_params.world.replace(leave_step=jnp.float32(leave_step)))
    partner_params: PyTree = ()
    if isinstance(arena.partner, CyclePartner):
        partners = (*condition.partners, condition.partners[0])[:NUM_PARTNERS]
        by_slot = [CyclePartner.params(partner.behavior, partner.noise) for partner in partners]
        partner_params = jax.tree.map(lambda *x: jnp.repeat(jnp.stack(x), arena.num_episodes), *by_slot)
    if shown_prestige is None:
        shown_prestige = np.full((num_steps, arena.num_episodes, NUM_SCORE_AGENTS), np.nan, np.float32)
    return ArenaSettings(
        env_params,
        jnp.arange(NUM_SCORE_AGENTS) <= num_partners,
        partner_params,
        jnp.asarray(shown_prestige, jnp.float32),
    )


def play_condition(
    protocol: Protocol, condition: ScoreCondition, agent: ScoredAgent, earlier: dict[str, ConditionEpisodes]
) -> ConditionEpisodes:
    """All episodes of a condition.

    Args:
      earlier: conditions that were played before; changed colors are made from the true ones of the same partners.
    Raises: IncompatibleError for an agent that does not fit the world, or returns no actions; ConfigError for an
      adapter whose `player` returns no function.
    """
    start_backend()
    arena = make_arena(protocol.world(condition.world), agent, protocol.num_episodes)
    shown = changed_colors(protocol, condition, earlier)
    settings = arena_settings(arena, condition, shown)
    key = evaluation_key(protocol.seed, keys.SCORECARD_EPISODES)
    reset_key, partner_key, agent_key = jax.random.split(key, 3)
    choose = agent.player(arena.env, arena.num_episodes, agent_key)
    check_callable(f"{agent.name}: player()", choose, "a function that returns actions")
    steps, last = _play(arena, agent.name, choose, settings, reset_key, partner_key)
    return ConditionEpisodes(
        reward=steps.reward,
        entry=steps.entry,
        position=steps.position,
        prestige=steps.prestige,
        agent_mask=steps.agent_mask,
        film=_film(arena, condition, agent, steps, last) if condition.name == protocol.film_condition else None,
    )


@functools.lru_cache(maxsize=8)
def _compiled_arena(arena: Arena):
    """The start and one step of all episodes, compiled once for all conditions of a world and all agents.

    The scored agent stays outside: it may be of any library, and a card takes a minute for the compiler's sake alone.
    """

    def start(key, settings):
        state = arena.reset(key, settings)
        return state, arena.observe(state, settings)

    def step(state, action, partner_key, settings):
        state, record = arena.advance(state, action, jax.random.fold_in(partner_key, state.step), settings)
        return state, arena.observe(state, settings), record

    return jax.jit(start), jax.jit(step)


def _play(
    arena: Arena, name: str, choose: Chooser, settings: ArenaSettings, reset_key: PRNGKey, partner_key: PRNGKey
) -> tuple[Any, GridState]:
    """Play all episodes. `name`: of the agent, for messages.

    Returns: a `ArenaStep` with leaves [T, ...] of numpy, and the last state of the first episode.
    """
    start, step = _compiled_arena(arena)
    state, observation = start(reset_key, settings)
    records, actions = [], []
    for t in range(arena.env.max_steps):
        action = _checked_type(choose(observation, state.env_state, t), arena.num_episodes, name)
        state, observation, record = step(state, jnp.asarray(action, jnp.int32), partner_key, settings)
        records.append(record)
        actions.append(action)
    for action in jax.device_get(actions):
        checked_actions(action, (arena.num_episodes,), name)
    steps = jax.tree.map(lambda *leaves: np.stack(leaves), *jax.device_get(records))
    return steps, jax.device_get(arena.first_state(state.env_state))


def _checked_type(action: Any, num_episodes: int, name: str) -> Int[Array, "E"] | Int[np.ndarray, "E"]:
    """As `checked_actions`, but without the values of what JAX has yet to compute: the next step need not wait."""
    if isinstance(action, jax.Array) and action.shape == (num_episodes,) and jnp.issubdtype(action.dtype, jnp.integer):
        return action
    return checked_actions(action, (num_episodes,), name)


def changed_colors(
    protocol: Protocol, condition: ScoreCondition, earlier: dict[str, ConditionEpisodes]
) -> Float[np.ndarray, "T E A"] | None:
    """The prestige that the partners show in a condition; None: the true one. The agent's own is always true (NaN)."""
    if condition.colors == "true":
        return None
    true = next(
        other
        for other in protocol.conditions
        if other.colors == "true" and (other.world, other.partners) == (condition.world, condition.partners)
    )
    played = earlier[true.name]
    prestige = played.prestige.copy()
    if condition.colors == "swapped":
        prestige = prestige[:, :, [0, 2, 1]]
    elif condition.colors == "frozen":
        prestige[:] = prestige[0]
    elif condition.colors == "shuffled":
        random = np.random.default_rng(protocol.seed)
        prestige[:, :, 1:] = random.permuted(prestige[:, :, 1:], axis=0)
    else:
        prestige[:, :, 1] = _prestige_in_reverse(protocol, condition, played)
    prestige[:, :, 0] = np.nan
    return prestige


def _prestige_in_reverse(
    protocol: Protocol, condition: ScoreCondition, played: ConditionEpisodes
) -> Float[np.ndarray, "T E"]:
    """Prestige of the first partner if the reversed order were the right one (equation 4 of Ndousse et al. 2021)."""
    task = protocol.world(condition.world).task
    entry = played.entry[:, :, 1]
    prestige, last = np.zeros(entry.shape, np.float32), np.full(entry.shape[1], -1)
    for t in range(1, len(entry)):
        goal = entry[t - 1]
        correct = (goal >= 0) & ((last < 0) | (goal == (last - 1) % task.num_goals))
        faded = task.prestige_decay * prestige[t - 1] + task.goal_reward * correct
        prestige[t] = np.where((goal >= 0) & ~correct, 0.0, faded)
        last = np.where(correct, goal, last)
    return prestige


@functools.lru_cache(maxsize=8)
def _compiled_drawing(env: GridEnv):
    return jax.jit(jax.vmap(make_render_state(env)))


def _film(arena: Arena, condition: ScoreCondition, agent: ScoredAgent, steps: Any, last: GridState) -> Recording:
    """The first episode of a condition."""
    states = jax.tree.map(lambda a, b: np.concatenate([a, b[None]]), steps.first_state, last)
    frames = jax.device_get(_compiled_drawing(arena.env)(states))
    reward, action = np.asarray(steps.reward)[:, 0], np.asarray(steps.action)[:, 0]
    return Recording(
        task=arena.env.task.kind,
        agent_names=("agent", "partner 1", "partner 2"),
        roles=("frozen", "scripted", "scripted"),
        reward=reward,
        action=action,
        action_names=arena.env.action_names,
        **recording_fields(frames),
        note=f"{agent.name}: {condition.name}",
    )
