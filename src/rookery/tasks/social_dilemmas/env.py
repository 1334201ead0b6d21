"""The environment of social dilemmas: all agents move, eat and fire at the same time, then apples and waste grow."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8, UInt32

from rookery.gridworld.layout import sample_cells
from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.visibility import view_cells, visible_targets
from rookery.tasks.checks import check_agent_mask, check_joint_action, check_random_key
from rookery.tasks.social_dilemmas.beams import Beams
from rookery.tasks.social_dilemmas.dilemma_state import DilemmaState
from rookery.tasks.social_dilemmas.dilemma_tiles import APPLE, EMPTY, FIRE
from rookery.tasks.social_dilemmas.dilemma_views import observe_dilemma
from rookery.tasks.social_dilemmas.grid_ops import look_up, rectangle_bitmask
from rookery.tasks.social_dilemmas.map_parsing import DilemmaMap
from rookery.tasks.social_dilemmas.simultaneous_moves import resolve_moves, target_cells, turn_agents
from rookery.types import Env, PRNGKey, PyTree, TimeStep


class DilemmaRules(Protocol):
    """The rules of one social dilemma. Frozen and hashable."""

    num_agents: int
    max_steps: int

    @property
    def parsed_map(self) -> DilemmaMap: ...
    @property
    def view(self) -> ViewConfig: ...
    @property
    def action_names(self) -> tuple[str, ...]: ...
    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics that the environment counts for each agent."""
        ...

    def default_params(self) -> PyTree:
        """Arrays; must have a field `world: DilemmaParams`."""
        ...

    def apply_special_actions(
        self, state: DilemmaState, action: Int[Array, "A"], priority: UInt32[Array, "A"]
    ) -> tuple[Beams, dict[str, Float[Array, "A"]]]:
        """Effects of actions other than moving: changed tiles, beams, and the task's own metrics."""
        ...

    def respawn_resources(
        self,
        tiles: UInt8[Array, "H W"],
        occupied: Bool[Array, "H W"],
        cell_bits: UInt32[Array, "H W"],
        extra_bits: UInt32[Array, ""],
        params: PyTree,
    ) -> UInt8[Array, "H W"]:
        """The tiles after growth, from one random 32-bit word per cell and one more."""
        ...


class ActionResult(NamedTuple):
    """A step before growth."""

    state: DilemmaState
    reward: Float[Array, "A"]
    info: dict[str, Float[Array, "A"]]


@dataclasses.dataclass(frozen=True)
class DilemmaEnv(Env):
    """A social dilemma as pure functions; callers vmap over keys and states.

    Observation: u8[A, P, P, 3], P = view size × tile_size, rotated so that the agent's heading is up. Action: i32[A],
    an index of `action_names`; other numbers do nothing. Reward: f32[A]. Episodes are truncated at `max_steps` and
    never terminated.
    """

    task: DilemmaRules  # type: ignore[assignment]

    can_render = True

    @property
    def num_agents(self) -> int:
        return self.task.num_agents

    @property
    def num_actions(self) -> int:
        return len(self.task.action_names)

    @property
    def action_names(self) -> tuple[str, ...]:
        return self.task.action_names

    @property
    def max_steps(self) -> int:
        return self.task.max_steps

    def observation_shape(self, slot: int) -> tuple[int, ...]:
        return self.task.view.shape

    def observation_type(self, slot: int) -> Literal["pixels"]:
        return "pixels"

    def default_params(self) -> PyTree:
        return self.task.default_params()

    def reset(
        self, key: PRNGKey, params: PyTree, agent_mask: Bool[Array, "A"] | None = None
    ) -> tuple[DilemmaState, TimeStep]:
        """Start an episode. Agents outside `agent_mask` (default: all are in it) take no part in it."""
        check_random_key(key)
        start_key, heading_key, episode_key = jax.random.split(key, 3)
        parsed_map = self.task.parsed_map
        if len(parsed_map.assigned_spawn_cells):
            position = jnp.asarray(parsed_map.assigned_spawn_cells[: self.num_agents])
        else:
            position = sample_cells(start_key, jnp.asarray(parsed_map.spawn_cells), self.num_agents)
        state = DilemmaState(
            tiles=jnp.asarray(parsed_map.tiles),
            beam=jnp.zeros(parsed_map.tiles.shape, jnp.uint8),
            position=position,
            heading=jax.random.randint(heading_key, (self.num_agents,), 0, 4),
            agent_mask=check_agent_mask(agent_mask, self.num_agents),
            step=jnp.int32(0),
            key=episode_key,
        )
        zeros = jnp.zeros(self.num_agents)
        return state, self._time_step(state, zeros, jnp.bool_(True), dict.fromkeys(self.task.metric_names, zeros))

    def step(self, state: DilemmaState, action: Int[Array, "A"], params: PyTree) -> tuple[DilemmaState, TimeStep]:
        """All agents act once; then apples and waste grow."""
        action = check_joint_action(action, self.num_agents)
        num_agents, num_cells = self.num_agents, state.tiles.size
        # One call for all random numbers of a step is cheaper than several.
        bits = jax.random.bits(jax.random.fold_in(state.key, state.step), (2 * num_agents + 1 + num_cells,))
        move_priority, beam_priority, extra_bits, cell_bits = jnp.split(
            bits, (num_agents, 2 * num_agents, 2 * num_agents + 1)
        )
        position = self.move_agents(state, action, move_priority)
        result = self.apply_actions(state, action, position, beam_priority, params)
        after = result.state
        occupied = rectangle_bitmask(after.position, after.position, after.agent_mask, after.tiles.shape) != 0
        tiles = self.task.respawn_resources(
            after.tiles, occupied, cell_bits.reshape(after.tiles.shape), extra_bits[0], params
        )
        after = after.replace(tiles=tiles, step=state.step + 1)
        return after, self._time_step(after, result.reward, jnp.bool_(False), result.info)

    def move_agents(
        self, state: DilemmaState, action: Int[Array, "A"], priority: UInt32[Array, "A"]
    ) -> Int[Array, "A 2"]:
        """Positions after moving; of agents that want the same cell, the one of the highest `priority` gets it."""
        target = target_cells(state.tiles, state.position, state.heading, action, state.agent_mask)
        return resolve_moves(state.position, target, state.agent_mask, priority)

    def apply_actions(
        self,
        state: DilemmaState,
        action: Int[Array, "A"],
        position: Int[Array, "A 2"],
        priority: UInt32[Array, "A"],
        params: PyTree,
    ) -> ActionResult:
        """A step before growth, given the positions after moving: agents turn, eat and fire. `step` stays the same."""
        agent_mask, world = state.agent_mask, params.world
        heading = jnp.where(agent_mask, turn_agents(state.heading, action), state.heading)
        eats = agent_mask & (look_up(state.tiles, position[:, 0], position[:, 1]) == APPLE)
        eaten = rectangle_bitmask(position, position, eats, state.tiles.shape) != 0
        moved = state.replace(
            tiles=jnp.where(eaten, EMPTY, state.tiles).astype(jnp.uint8), position=position, heading=heading
        )
        beams, task_info = self.task.apply_special_actions(moved, action, priority)
        times_zapped = beams.hits.sum(0)
        fires = agent_mask & (action == FIRE) & ("fire" in self.task.action_names)
        info = {
            "apples": eats,
            "apple_steps": eats * (state.step + 1),
            "zaps": fires,
            "hits": beams.hits.sum(1),
            "times_zapped": times_zapped,
            "cleaned": beams.cleaned,
        }
        info = {name: value.astype(jnp.float32) for name, value in info.items() if name in self.task.metric_names}
        reward = world.apple_reward * eats - world.fire_cost * fires - world.hit_cost * times_zapped
        return ActionResult(moved.replace(tiles=beams.tiles, beam=beams.beam), reward, info | task_info)

    def observe(self, state: DilemmaState) -> UInt8[Array, "A P P 3"]:
        """Observations of all agents in this state."""
        return observe_dilemma(state, self.task.view)

    def render_views(self, state: DilemmaState, tile_size: int) -> UInt8[Array, "A P P 3"]:
        """Observations of all agents in this state at another size, for people."""
        return observe_dilemma(state, dataclasses.replace(self.task.view, tile_size=tile_size))

    def visible_cells(self, state: DilemmaState) -> Bool[Array, "A H W"]:
        """The map cells that each agent sees now."""
        view = self.task.view

        def visible_to(position, heading, is_present):
            row, col = view_cells(position, heading, view)
            row, col = (
                jnp.where(x < 0, 10**6, x) for x in (row, col)
            )  # out of bounds on purpose: dropped instead of wrapped
            return jnp.zeros(state.tiles.shape, bool).at[row, col].set(is_present, mode="drop")

        return jax.vmap(visible_to)(state.position, state.heading, state.agent_mask)

    def in_view(self, state: DilemmaState) -> Bool[Array, "A A"]:
        """Which agents each agent sees now: those in its view, itself never."""
        all_visible = jnp.ones((self.task.view.size,) * 2, bool)
        targets_of = jax.vmap(visible_targets, (0, 0, None, None, None))
        in_view = targets_of(state.position, state.heading, all_visible, state.position, self.task.view)
        return in_view & state.agent_mask[:, None] & state.agent_mask & ~jnp.eye(self.num_agents, dtype=bool)

    def _time_step(self, state: DilemmaState, reward, is_first, info) -> TimeStep:
        return TimeStep(
            observation=self.observe(state),
            reward=reward.astype(jnp.float32),
            terminated=jnp.bool_(False),
            truncated=state.step >= self.max_steps,
            is_first=is_first,
            agent_mask=state.agent_mask,
            info=info,
        )
