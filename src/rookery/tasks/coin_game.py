"""Coin Game: two agents, a red and a blue one, and one coin that is red or blue; taking the other's coin hurts it.

Rules. The board is a torus. Both agents move at once to one of the four neighboring cells, and may share a cell. An
agent that reaches the coin takes it and gets 1, whatever its color; if it is the other agent's color, the other one
loses 2. If both reach it in the same step, both take it: each gets 1, and the one whose color it is also loses 2. Then
a new coin lies on a random cell without an agent. An episode starts with the agents on different cells.

If each agent takes the coins of its own color alone, a coin is worth 1 to both together; if both take every coin they
can, a coin taken by the wrong one is worth -1 to both together. Taking a coin always pays the taker.

Source: Lerer and Peysakhovich 2017, arXiv:1707.01068, who introduced the game; rules of Foerster et al. 2018,
arXiv:1709.04326: a 3×3 board, and a new coin of random color and position once one is taken. Their published code
alternates the colors instead (`coin_colors="alternating"`), and gives a coin that both reach to the red agent alone;
here it is taken by both, so that the game is the same from either side.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Float32, Int, Int32, UInt8

from rookery.errors import ConfigError
from rookery.gridworld.movement import direction_vector
from rookery.interfaces import Task
from rookery.limits import MAX_EPISODE_STEPS, MAX_WORLD_CELLS, check_at_most
from rookery.tasks.checks import check_agent_mask, check_cost, check_finite, check_joint_action, check_random_key
from rookery.tasks.float_params import float_params
from rookery.types import Env, PRNGKey, TimeStep

NUM_AGENTS = 2
ACTIONS = ("up", "right", "down", "left")
"""In the order of headings."""
PLANES = ("own agent", "other agent", "coin of own color", "coin of the other's color")
"""Channels of an observation."""
COIN_COLORS = ("random", "alternating")


class CoinRewards(struct.PyTreeNode):
    """Numbers that a schedule may change without recompiling."""

    coin_reward: Float32[Array, ""]  # to an agent that takes a coin
    taken_cost: Float32[Array, ""]  # >= 0, subtracted from an agent whose coin the other one takes


class CoinGameParams(struct.PyTreeNode):
    """Parameters in the form that every task has them in."""

    world: CoinRewards


class CoinGameState(struct.PyTreeNode):
    """One game; callers vmap. (row, col), (0, 0) at the top left."""

    position: Int32[Array, "2 2"]  # undefined for absent agents
    heading: Int32[Array, "2"]  # of the last move, 0 north (row - 1), 1 east, 2 south, 3 west; for drawings alone
    coin: Int32[Array, "2"]  # cell
    coin_color: Int32[Array, ""]  # the agent whose color it has
    agent_mask: Bool[Array, "2"]
    step: Int32[Array, ""]  # steps since reset
    key: PRNGKey  # of this episode; fold in `step`, and never use it twice


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoinGame(Task):
    """Settings. Raises: ConfigError for a value out of range."""

    kind: Literal["coin-game"] = "coin-game"
    height: int = 3
    width: int = 3
    coin_reward: float = 1.0
    taken_cost: float = 2.0
    coin_colors: str = "random"  # of a new coin, or "alternating": the other color than the one before
    egocentric: bool = True  # each agent sees the board with itself in the middle; False: as it lies
    max_steps: int = 50

    num_agents = NUM_AGENTS
    metric_names: ClassVar[tuple[str, ...]] = ("own_coins", "others_coins")
    """Coins taken of the agent's own color and of the other's."""

    def __post_init__(self) -> None:
        check_finite("coin_reward", self.coin_reward)
        check_cost("taken_cost", self.taken_cost)
        if self.coin_colors not in COIN_COLORS:
            raise ConfigError(f"coin_colors={self.coin_colors!r} must be one of {COIN_COLORS}")
        if min(self.height, self.width) < 1 or self.height * self.width < NUM_AGENTS + 1:
            raise ConfigError(
                f"height={self.height}, width={self.width} must be at least 1 and leave room for two agents and a coin"
            )
        check_at_most("cells of the board", self.height * self.width, MAX_WORLD_CELLS)
        if self.max_steps < 1:
            raise ConfigError(f"max_steps={self.max_steps} must be at least 1")
        check_at_most("max_steps", self.max_steps, MAX_EPISODE_STEPS)

    @property
    def action_names(self) -> tuple[str, ...]:
        return ACTIONS

    @property
    def rules_for_players(self) -> tuple[str, ...]:
        return (
            f"Each coin that you take pays {self.coin_reward:g}, whatever its color.",
            f"A coin of the other agent's color costs the other agent {self.taken_cost:g}; one of your color that it "
            f"takes costs you {self.taken_cost:g}. Edges of the board are joined.",
        )

    def default_params(self) -> CoinGameParams:
        return CoinGameParams(world=float_params(CoinRewards, self))

    def make_env(self) -> CoinGameEnv:
        return CoinGameEnv(self)

    def to_text(self, state: CoinGameState) -> str:
        """The board: agents R and B (X if both), the coin r or b."""
        rows = [["."] * self.width for _ in range(self.height)]
        rows[state.coin[0]][state.coin[1]] = "rb"[int(state.coin_color)]
        for agent, (row, col) in enumerate(state.position):
            if state.agent_mask[agent]:
                rows[row][col] = "X" if rows[row][col] == "R" else "RB"[agent]
        return "\n".join("".join(row) for row in rows)


@dataclasses.dataclass(frozen=True)
class CoinGameEnv(Env):
    """The game as pure functions; callers vmap over keys and states.

    Observation: u8[2, H, W, 4], 0 or 255, one plane for each of `PLANES`: an agent sees its own things first, so that
    one policy can play both sides. Action: i32[2], an index of `ACTIONS`; with any other number the agent stays.
    Reward: f32[2]. Truncated at `max_steps`, never terminated.
    """

    task: CoinGame

    num_agents: ClassVar[int] = NUM_AGENTS
    num_actions: ClassVar[int] = len(ACTIONS)
    can_render = True

    @property
    def action_names(self) -> tuple[str, ...]:
        return ACTIONS

    @property
    def max_steps(self) -> int:
        return self.task.max_steps

    def observation_shape(self, slot: int) -> tuple[int, ...]:
        return (self.task.height, self.task.width, len(PLANES))

    def default_params(self) -> CoinGameParams:
        return self.task.default_params()

    def reset(
        self, key: PRNGKey, params: CoinGameParams, agent_mask: Bool[Array, "2"] | None = None
    ) -> tuple[CoinGameState, TimeStep]:
        """Start an episode: agents and the coin on different cells, the coin of random color."""
        check_random_key(key)
        cell_key, color_key, episode_key = jax.random.split(key, 3)
        cells = jax.random.permutation(cell_key, self.task.height * self.task.width)[: NUM_AGENTS + 1]
        cells = jnp.stack(jnp.divmod(cells, self.task.width), -1).astype(jnp.int32)
        state = CoinGameState(
            position=cells[:NUM_AGENTS],
            heading=jnp.zeros(NUM_AGENTS, jnp.int32),
            coin=cells[NUM_AGENTS],
            coin_color=jax.random.randint(color_key, (), 0, NUM_AGENTS),
            agent_mask=check_agent_mask(agent_mask, NUM_AGENTS),
            step=jnp.int32(0),
            key=episode_key,
        )
        nothing = jnp.zeros(NUM_AGENTS)
        return state, self._time_step(state, nothing, jnp.bool_(True), (nothing, nothing))

    def step(
        self, state: CoinGameState, action: Int[Array, "2"], params: CoinGameParams
    ) -> tuple[CoinGameState, TimeStep]:
        """Both agents move at once; a coin that is reached is taken, and a new one appears."""
        action = check_joint_action(action, NUM_AGENTS)
        moves = state.agent_mask & (action >= 0) & (action < len(ACTIONS))
        heading = jnp.where(moves, action, state.heading).astype(jnp.int32)
        board = jnp.array([self.task.height, self.task.width])
        position = (state.position + direction_vector(heading) * moves[:, None]) % board
        takes = state.agent_mask & (position == state.coin).all(-1)
        is_own = jnp.arange(NUM_AGENTS) == state.coin_color
        loses = is_own & (takes & ~is_own).any() & state.agent_mask
        reward = params.world.coin_reward * takes - params.world.taken_cost * loses
        after = state.replace(position=position.astype(jnp.int32), heading=heading, step=state.step + 1)
        coin, coin_color = self._new_coin(after)
        after = after.replace(
            coin=jnp.where(takes.any(), coin, state.coin),
            coin_color=jnp.where(takes.any(), coin_color, state.coin_color),
        )
        taken = ((takes & is_own).astype(jnp.float32), (takes & ~is_own).astype(jnp.float32))
        return after, self._time_step(after, reward, jnp.bool_(False), taken)

    def _new_coin(self, state: CoinGameState) -> tuple[Int32[Array, "2"], Int32[Array, ""]]:
        """Cell and color of the coin that follows one taken in this state: no agent stands on the cell."""
        cell_key, color_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        cells = jnp.arange(self.task.height * self.task.width)
        own_cell = state.position[:, 0] * self.task.width + state.position[:, 1]
        is_free = ~((cells[:, None] == own_cell) & state.agent_mask).any(-1)
        cell = jnp.argmax(jnp.where(is_free, jax.random.uniform(cell_key, cells.shape), -1.0))
        color = jax.random.randint(color_key, (), 0, NUM_AGENTS)
        if self.task.coin_colors == "alternating":
            color = 1 - state.coin_color
        return jnp.stack(jnp.divmod(cell, self.task.width)).astype(jnp.int32), color.astype(jnp.int32)

    def observe(self, state: CoinGameState) -> UInt8[Array, "2 H W 4"]:
        """Observations of both agents; absent ones see nothing and are not seen."""
        board = (self.task.height, self.task.width)

        def plane(cell, shown):
            return jnp.zeros(board, bool).at[cell[0], cell[1]].set(shown)

        agents = jax.vmap(plane)(state.position, state.agent_mask)
        coins = jax.vmap(plane, (None, 0))(state.coin, jnp.arange(NUM_AGENTS) == state.coin_color)
        both = jnp.stack([
            jnp.stack([agents[a], agents[1 - a], coins[a], coins[1 - a]], -1) & state.agent_mask[a]
            for a in range(NUM_AGENTS)
        ])  # fmt: skip
        if self.task.egocentric:
            middle = jnp.array(board) // 2
            both = jax.vmap(lambda x, cell: jnp.roll(x, middle - cell, (0, 1)))(both, state.position)
        return 255 * both.astype(jnp.uint8)

    def in_view(self, state: CoinGameState) -> Bool[Array, "2 2"]:
        """Both agents see each other."""
        return state.agent_mask.all() & ~jnp.eye(NUM_AGENTS, dtype=bool)

    def relative_positions(self, state: CoinGameState) -> Int[Array, "2 2 2"]:
        """The shortest way around the torus to each agent: cells up, and to the right."""
        board = jnp.array([self.task.height, self.task.width])
        offset = (state.position - state.position[:, None] + board // 2) % board - board // 2
        return offset * jnp.array([-1, 1])

    def _time_step(
        self,
        state: CoinGameState,
        reward: Float[Array, "2"],
        is_first: Bool[Array, ""],
        taken: tuple[Float[Array, "2"], Float[Array, "2"]],
    ) -> TimeStep:
        return TimeStep(
            observation=self.observe(state),
            reward=reward.astype(jnp.float32),
            terminated=jnp.bool_(False),
            truncated=state.step >= self.max_steps,
            is_first=is_first,
            agent_mask=state.agent_mask,
            info=dict(zip(self.task.metric_names, taken, strict=True)),
        )
