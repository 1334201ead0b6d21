"""The scorecard in one tiny world, so that all its conditions are one compiled program."""

import dataclasses

import jax.numpy as jnp

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
class Pupil(CyclePartner):
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
class PupilAgent(PolicyAgent):
    """One kind of pupil under test."""

    def policy(self, env):
        spec, task = env.spec, env.task
        return Pupil(task.num_goals, spec.height, spec.width), jnp.int32(Pupil.KINDS.index(self.name))


def pupil(kind: str) -> PupilAgent:
    return PupilAgent(name=kind, kind="test", observation_type="symbolic")
