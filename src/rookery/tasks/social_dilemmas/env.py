"""Joins a dilemma's rules to its world: everybody moves, eats and fires at once, then things grow."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8, UInt32

from rookery.gridworld.layout import sample_cells
from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.visibility import view_cells, visible_targets
from rookery.tasks.social_dilemmas.beams import Beams
from rookery.tasks.social_dilemmas.grid_ops import look_up, rectangle_bitmask
from rookery.tasks.social_dilemmas.map_parsing import DilemmaMap
from rookery.tasks.social_dilemmas.movement import resolve_moves, target_cells, turn_agents
from rookery.tasks.social_dilemmas.observation import observe_dilemma
from rookery.tasks.social_dilemmas.state import DilemmaState
from rookery.tasks.social_dilemmas.tiles import APPLE, EMPTY, FIRE
from rookery.types import Env, PRNGKey, PyTree, TimeStep


class DilemmaRules(Protocol):
    """What a dilemma's file offers beside its settings. Frozen and hashable."""

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
        """Names of what the environment counts for each agent."""
        ...

    def default_params(self) -> PyTree:
        """Arrays; must have a field `world: DilemmaWorldParams`."""
        ...

    def apply_special_actions(
        self, state: DilemmaState, action: Int[Array, "A"], priority: UInt32[Array, "A"]
    ) -> tuple[Beams, dict[str, Float[Array, "A"]]]:
        """What actions beyond moving do: the changed tiles, the beams, and counts of the task's own."""
        ...

    def respawn_resources(
        self,
        tiles: UInt8[Array, "H W"],
        occupied: Bool[Array, "H W"],
        cell_bits: UInt32[Array, "H W"],
        extra_bits,
        params,
    ) -> UInt8[Array, "H W"]:
        """The tiles after growth, from one random word a cell and one more."""
        ...


class ActionResult(NamedTuple):
    """A step but for growth."""

    state: DilemmaState
    reward: Float[Array, "A"]
    info: dict[str, Float[Array, "A"]]


@dataclasses.dataclass(frozen=True)
class DilemmaEnv(Env):
    """One world and its rules as pure functions; callers vmap over keys and states.

    Observation: u8[A, P, P, 3], P = view size × tile_size, turned to the agent's heading. Action: i32[A], an index
    into `action_names`; others do nothing. Reward: f32[A]. Episodes are truncated at `max_steps`, nothing ends
    them before.
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

    def default_params(self) -> PyTree:
        return self.task.default_params()

    def reset(
        self, key: PRNGKey, params: PyTree, agent_mask: Bool[Array, "A"] | None = None
    ) -> tuple[DilemmaState, TimeStep]:
        """Start an episode: starts and headings are drawn. Who is not `present` (default: all are) stays out of it."""
        start_key, heading_key, episode_key = jax.random.split(key, 3)
        room = self.task.parsed_map
        if len(room.assigned_spawn_cells):
            position = jnp.asarray(room.assigned_spawn_cells[: self.num_agents])
        else:
            position = sample_cells(start_key, jnp.asarray(room.spawn_cells), self.num_agents)
        state = DilemmaState(
            tiles=jnp.asarray(room.tiles),
            beam=jnp.zeros(room.tiles.shape, jnp.uint8),
            position=position,
            heading=jax.random.randint(heading_key, (self.num_agents,), 0, 4),
            agent_mask=jnp.ones(self.num_agents, bool) if agent_mask is None else agent_mask,
            step=jnp.int32(0),
            key=episode_key,
        )
        none = jnp.zeros(self.num_agents)
        return state, self._time_step(state, none, jnp.bool_(True), {name: none for name in self.task.metric_names})

    def step(self, state: DilemmaState, action: Int[Array, "A"], params: PyTree) -> tuple[DilemmaState, TimeStep]:
        """Everybody acts once; then apples and waste grow."""
        agents, cells = self.num_agents, state.tiles.size
        # All the luck of a step from one draw: that is cheaper than several.
        words = jax.random.bits(jax.random.fold_in(state.key, state.step), (2 * agents + 1 + cells,))
        move_lot, beam_lot, luck, word = jnp.split(words, (agents, 2 * agents, 2 * agents + 1))
        position = self.move_agents(state, action, move_lot)
        acted = self.apply_actions(state, action, position, beam_lot, params)
        after = acted.state
        occupied = rectangle_bitmask(after.position, after.position, after.agent_mask, after.tiles.shape) != 0
        tiles = self.task.respawn_resources(after.tiles, occupied, word.reshape(after.tiles.shape), luck[0], params)
        after = after.replace(tiles=tiles, step=state.step + 1)
        return after, self._time_step(after, acted.reward, jnp.bool_(False), acted.info)

    def move_agents(
        self, state: DilemmaState, action: Int[Array, "A"], priority: UInt32[Array, "A"]
    ) -> Int[Array, "A 2"]:
        """Where everybody stands after moving; `lot` decides who gets a contested cell."""
        target = target_cells(state.tiles, state.position, state.heading, action, state.agent_mask)
        return resolve_moves(state.position, target, state.agent_mask, priority)

    def apply_actions(
        self,
        state: DilemmaState,
        action: Int[Array, "A"],
        position: Int[Array, "A 2"],
        priority: UInt32[Array, "A"],
        params,
    ) -> ActionResult:
        """All of a step but growth, given where everybody has moved: turn, eat, fire. The step is not counted yet."""
        active, world = state.agent_mask, params.world
        heading = jnp.where(active, turn_agents(state.heading, action), state.heading)
        eats = active & (look_up(state.tiles, position[:, 0], position[:, 1]) == APPLE)
        eaten = rectangle_bitmask(position, position, eats, state.tiles.shape) != 0
        moved = state.replace(
            tiles=jnp.where(eaten, EMPTY, state.tiles).astype(jnp.uint8), position=position, heading=heading
        )
        beams, own = self.task.apply_special_actions(moved, action, priority)
        struck = beams.hits.sum(0)
        fires = active & (action == FIRE) & ("fire" in self.task.action_names)
        counts = {
            "apples": eats,
            "apple_steps": eats * (state.step + 1),
            "zaps": fires,
            "hits": beams.hits.sum(1),
            "times_zapped": struck,
            "cleaned": beams.cleaned,
        }
        counts = {name: value.astype(jnp.float32) for name, value in counts.items() if name in self.task.metric_names}
        reward = world.apple_reward * eats - world.fire_cost * fires - world.hit_cost * struck
        return ActionResult(moved.replace(tiles=beams.tiles, beam=beams.beam), reward, counts | own)

    def observe(self, state: DilemmaState) -> UInt8[Array, "A P P 3"]:
        """What every agent sees now."""
        return observe_dilemma(state, self.task.view)

    def render_views(self, state: DilemmaState, tile_size: int) -> UInt8[Array, "A P P 3"]:
        """What every agent sees now, at another size, for people."""
        return observe_dilemma(state, dataclasses.replace(self.task.view, tile_size=tile_size))

    def visible_cells(self, state: DilemmaState) -> Bool[Array, "A H W"]:
        """The map cells each agent sees now."""
        view = self.task.view

        def one(position, heading, active):
            row, col = view_cells(position, heading, view)
            row, col = (jnp.where(x < 0, 10**6, x) for x in (row, col))  # dropped, not wrapped round
            return jnp.zeros(state.tiles.shape, bool).at[row, col].set(active, mode="drop")

        return jax.vmap(one)(state.position, state.heading, state.agent_mask)

    def in_view(self, state: DilemmaState) -> Bool[Array, "A A"]:
        """Whom each agent sees now: those in its square, itself never."""
        clear = jnp.ones((self.task.view.size,) * 2, bool)
        found = jax.vmap(visible_targets, (0, 0, None, None, None))
        seen = found(state.position, state.heading, clear, state.position, self.task.view)
        return seen & state.agent_mask[:, None] & state.agent_mask & ~jnp.eye(self.num_agents, dtype=bool)

    def _time_step(self, state: DilemmaState, reward, is_first, info) -> TimeStep:
        return TimeStep(
            observation=self.observe(state),
            reward=reward,
            terminated=jnp.bool_(False),
            truncated=state.step >= self.max_steps,
            is_first=is_first,
            agent_mask=state.agent_mask,
            info=info,
        )
