"""Numbers folded into random keys: one place, so that no two uses of one key sample the same numbers.

A key that serves several purposes is split by `jax.random.fold_in(key, NUMBER)`. The numbers below are part of what a
seed means: changing one changes every run.
"""

from __future__ import annotations

# Folded into `PRNGKey(seed)`: what the seed is used for.
TRAINING = 0
EVALUATION = 1
DEMONSTRATIONS = 2
NEW_LAYERS = 3
"""Last layers of an agent that continues with resets."""
LATER_EPISODES = 0xE915
"""An adapter's episodes after the first; their number is folded in next. `Env.reset` splits the seed's key itself, so a
number folded in without this may give the key of a step of the first episode."""

# Folded into the key of an evaluation: which episodes are played. A run's own evaluations use 0, those of a team the
# number of the batch, from 1, which stays below the first of these.
RECORDED_EPISODES = 10_000
EXPERT_DISTANCE_EPISODES = 20_000
FRAME_PREDICTION_EPISODES = 30_000
TRACED_EPISODES = 40_000
SCORECARD_EPISODES = 50_000
ACCUMULATION_EPISODES = 70_000
WIDENING_EPISODES = 60_000
"""Of cultural transmission at a border; the number of the update is folded in as well."""
THEORY_EXAMPLE = 77

# Folded into `THEORY_EXAMPLE`'s key.
THEORY_PARAMS = 1
THEORY_HEALTH = 99
"""The episodes on which the loss is measured."""
THEORY_UPDATES = 100
"""The number of the update is added."""

# Folded into a clone's training key.
CLONE_EPOCHS = 1
"""Order of the sequences; the number of the epoch is added."""

# Folded into a replica's training key. Updates use their own numbers, from 0, which stay below the first of these.
FIRST_GROUP_PARAMS = 1_000_000
"""Initial parameters of the first learning group; the group's number is added."""

# Folded into a learner's keys.
AUXILIARY_LOSS_PARAMS = 0xA0C5
"""Into the key of a Q-learner's policy parameters."""
INTRINSIC_REWARD_PARAMS = 1_000
"""Into the key of the auxiliary losses' parameters, whose own numbers count from 0."""
LOSSES = 0x1055
"""Into the key of an update: random numbers for auxiliary losses and losses of intrinsic rewards."""

# Folded into a policy's keys.
MESSAGE_HEAD_PARAMS = 1
"""Into the key of the heads' parameters."""
MESSAGE_SAMPLING = 1
"""Into the key of an action: samples the message."""

# Folded into the key of an episode.
PARTNER_AGENTS = 0x0AC7
"""Random numbers of the partners of an agent that another library trains, apart from the environment's."""

EPISODE_RANGES = 0x4A6E
"""Into the key of a layout: how many goals and obstacles an episode has, where the task samples that."""

# Folded into the key of a step.
TEACHER_ACTION = 0x7EAC
"""Samples what a group's teacher does, and when its students follow it."""
POST_STEP = 0x5E7D
"""Random numbers of a task's `post_step`, apart from those of movement."""
PRESENCE = 0xD0CE
"""Which agents leave and return within an episode, apart from movement and `post_step`."""
AGENT_VISIBILITY = 0xFADE
"""Which fading agents of Goal Sequence and Memory Sequence are visible, apart from movement and `post_step`."""
