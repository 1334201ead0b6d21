"""The scorecard in one tiny world, so that all its conditions are one compiled program."""

import dataclasses
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from rookery.agents.scripted.cycle_partner import CyclePartner
from rookery.scorecard.agents import PolicyAgent
from rookery.scorecard.protocol import Protocol, ScoreWorld
from rookery.scorecard.social_v1 import SOCIAL_V1
from rookery.tasks.goal_cycle import GoalCycle

STAY = 6
TASK = GoalCycle(height=7, width=9, num_obstacles=0, max_steps=48, dropout_slots=(1, 2))
"""Not square, so that a transposed axis shows."""
TINY: Protocol = dataclasses.replace(
    SOCIAL_V1,
    name="tiny",
    num_episodes=48,
    worlds=tuple(ScoreWorld(name=world.name, task=TASK) for world in SOCIAL_V1.worlds),
)


@dataclasses.dataclass(frozen=True)
class Student(CyclePartner):
    """Walks the hidden order as if it had been shown it: always, while partners are there, or once they have been.

    Parameters: index into KINDS. What it does is what a perfect follower would, without having to be trained.
    """

    KINDS = ("independent", "follows and forgets", "follows and remembers", "never acts")

    def init(self, key):
        return jnp.int32(0)

    def initial_carry(self, batch):
        return super().initial_carry(batch), jnp.zeros(batch, bool)

    def act(self, params, carry, obs, is_first, key):
        planner, has_seen = carry
        action, planner, extras = super().act(self.params("knows"), planner, obs, is_first, key)
        partners = obs[0].agent_mask[:, 1:].any(1)
        has_seen = partners | (has_seen & ~is_first)
        acts = jnp.stack([jnp.ones_like(partners), partners, has_seen, jnp.zeros_like(partners)])[params]
        return jnp.where(acts, action, STAY), (planner, has_seen), extras


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudentAgent(PolicyAgent):
    """One kind of student under test."""

    def policy(self, env):
        spec, task = env.spec, env.task
        return Student(task.num_goals, spec.height, spec.width), jnp.int32(Student.KINDS.index(self.name))


def student(kind: str) -> StudentAgent:
    return StudentAgent(name=kind, kind="test", observation_type="symbolic")


GOLDEN_CARD = Path(__file__).with_name("golden_card.json")
"""The probes of `follow_blue` on TINY. Only a protocol of another name or a mended formula may change it; then write
`golden_probes()` of the new card into it, and raise the version of the probe whose numbers changed."""


def follow_blue(observation, state, is_first):
    """Walk to the other agent in view with most prestige, else to the nearest goal, else ahead with turns.

    Whole numbers alone, without any choice at random: it plays the same on every machine.
    """
    t = 0 if is_first.all() else state
    rows, columns = np.indices(observation.shape[1:3])
    ahead, right = 5 - rows, columns - 3
    distance = np.abs(ahead) + np.abs(right)
    others, goals = observation[..., 3:7].any(-1), observation[..., 2] > 0
    others[:, 5, 3] = goals[:, 5, 3] = False  # its own cell
    score = np.where(others, 10_000 + 20 * observation[..., 7].astype(int), 0) + np.where(goals, 1_000, 0)
    score = np.where(score > 0, score - distance, 0).reshape(len(observation), -1)
    best = score.argmax(1)
    to_ahead, to_right = ahead.reshape(-1)[best], right.reshape(-1)[best]
    action = np.where(to_ahead > 0, 2, np.where(to_right < 0, 0, 1))
    return np.where(score.max(1) > 0, action, 1 if t % 3 == 2 else 2), t + 1


follow_blue.batched, follow_blue.observation_type = True, "symbolic"


def golden_probes() -> dict:
    """Numbers by probe: value, low and high."""
    return json.loads(GOLDEN_CARD.read_text(encoding="utf-8"))
