"""Generations under a name."""

from __future__ import annotations

from collections.abc import Callable

from rookery.agents.networks import MLPNetwork
from rookery.errors import NotFoundError, suggest
from rookery.learning.ppo import PPO
from rookery.tasks.memory_sequence import MemorySequence
from rookery.training.config import GroupConfig, RandomPolicyConfig, RecurrentPolicyConfig, RunConfig
from rookery.training.generation_chain import GenerationsConfig
from rookery.training.schedules import Schedule

SEQUENCE = (4, 0, 7, 1, 1, 6, 3, 5, 2, 2)
"""The digits to be learned by heart."""
EXAMPLE_SEEN: Schedule = ((0.0, 1.0), (0.8, 0.0))
"""Probability of an episode with the example, by the fraction of training."""


def memory_sequence() -> GenerationsConfig:
    """Memory Sequence with one sequence for all of training, for a CPU.

    In an episode with the example it is seen at every step; such episodes become fewer. A schedule of `visibility`
    would hide it step by step, as in the paper, but leave the step in which it speaks alone.
    """
    task = MemorySequence(num_digits=8, sequence_length=len(SEQUENCE), num_trials=1, sequence=SEQUENCE, show_own=False)
    learner = GroupConfig(
        name="novice",
        slots=(0,),
        policy=RecurrentPolicyConfig(network=MLPNetwork(encoder_size=24, hidden_size=24, head_size=24)),
        learner=PPO(
            sequence_length=task.max_steps,
            num_minibatches=8,
            minibatch_size=24,
            recompute_every=2,
            gamma=0.99,
            gae_lambda=0.95,
            vf_coef=0.5,
            target_kl=None,
            rollback_kl=None,
            adam_eps=1e-5,
        ),
        learning_rate=2e-3,
        ent_coef=0.05,
    )
    run = RunConfig(
        name="memory-sequence",
        task=task,
        team=(learner, GroupConfig(name="predecessor", slots=(1,), policy=RandomPolicyConfig())),
        social_episode_prob=EXAMPLE_SEEN,
        num_envs=48,
        total_timesteps=150 * 48 * task.max_steps,
        checkpoint_interval=50,
        eval_episodes=64,
    )
    return GenerationsConfig(run=run, num_generations=4, population=2)


GENERATION_PRESETS: dict[str, Callable[[], GenerationsConfig]] = {"memory-sequence": memory_sequence}
"""Name to the function that makes the configuration."""


def generation_preset(name: str) -> GenerationsConfig:
    """A configuration by name. Raises NotFoundError, suggesting the nearest names."""
    if name not in GENERATION_PRESETS:
        raise NotFoundError(f"there are no generations called {name!r}; {suggest(name, GENERATION_PRESETS)}")
    return GENERATION_PRESETS[name]()
