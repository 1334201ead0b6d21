"""How well the next view is predicted with each error of the frame losses, on fixed trajectories.

`python benchmarks/prediction.py` trains encoder, recurrent cell and decoder with one loss alone, on the same episodes
for all: Goal Cycle of 13×13 cells with two trained experts; in half of the episodes the learner's slot has a third one,
in half an untrained policy. It prints what `NextFramePrediction.health` measures on other episodes. No reward is used,
so that an error is chosen by what it predicts and not by the return that it leads to.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from typing import Any

import jax
import jax.numpy as jnp

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.team import AgentGroup, Team
from rookery.agents.zoo import load_trained_agent
from rookery.interfaces import HealthInputs, LossInputs
from rookery.learning.auxiliary import NextFramePrediction
from rookery.learning.optimizers import apply_gradients, make_optimizer
from rookery.learning.ppo import PPO
from rookery.learning.rollout import rollout
from rookery.tasks.registry import get_task, make_env
from rookery.training.devices import machine_info
from rookery.types import Sequences, Trajectory

TASK = "goal-cycle-symbolic-v0"
EXPERT = "goal-cycle-lite-expert"
LENGTH = 25  # steps of a sequence
REFRESH = 50  # gradient steps between two computations of the recurrent states at the starts of sequences
SHOWN = (
    "error", "error_constant", "error_copy", "error_changed", "error_constant_changed", "error_copy_changed",
    "agents_found", "agents_recall", "agents_precision", "agents_recall_copy", "dead_units",
)  # fmt: skip


def play(env: Any, policy: RecurrentPolicy, params: Any, episodes: int, seed: int) -> Trajectory:
    """Episodes of this policy in slot 0, with experts in the other slots; leaves [T, E, ...]."""
    expert = load_trained_agent(EXPERT)
    groups = (
        AgentGroup("learner", (0,), policy, PPO()),
        AgentGroup("expert", tuple(range(1, env.num_agents)), expert.policy),
    )
    everyone = jnp.ones((episodes, env.num_agents), bool)
    params = {"learner": jax.tree.map(lambda x: jnp.asarray(x)[None], params), "expert": expert.params}
    run = jax.jit(lambda p, k: rollout(env, Team(groups), p, env.default_params(), k, everyone)[0]["learner"])
    return jax.tree.map(lambda x: x[0], run(params, jax.random.PRNGKey(seed)))


def fixed_trajectories(env: Any, policy: RecurrentPolicy, episodes: int, seed: int) -> Trajectory:
    """Half of the episodes of an untrained policy, half of an expert."""
    expert = load_trained_agent(EXPERT)
    untrained = play(env, policy, policy.init(jax.random.PRNGKey(seed)), episodes // 2, seed)
    trained = play(env, expert.policy, expert.params, episodes // 2, seed + 1)
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), untrained, trained)


def sequences(trajectory: Trajectory, states: Any, key: jax.Array, count: int) -> Sequences:
    """A minibatch of random sequences. `states`: before every step, [T, E, ...]."""
    steps, episodes = trajectory.action.shape
    number = jax.random.randint(key, (count,), 0, steps // LENGTH * episodes)
    start, episode = number // episodes * LENGTH, number % episodes
    after = start + jnp.arange(LENGTH + 1)[:, None]
    now, mask = after[:-1], jnp.ones((LENGTH, count), bool)
    return Sequences(
        observation=trajectory.observation[after, episode],
        is_first=trajectory.is_first[after, episode],
        action=trajectory.action[now, episode],
        reward=trajectory.reward[now, episode],
        terminated=trajectory.terminated[now, episode],
        loss_mask=mask,
        next_in_episode=mask,
        carry=jax.tree.map(lambda x: x[start, episode], states),
    )


def train(
    loss: NextFramePrediction, policy: RecurrentPolicy, data: Trajectory, held_out: Trajectory, options: Any, seed: int
) -> None:
    """Train by the loss alone, and print measures several times."""
    key = jax.random.PRNGKey(seed)
    params = {"policy": policy.init(key), "loss": loss.init(jax.random.fold_in(key, 1), policy)}
    optimizer = make_optimizer(None, 1e-5)

    def unroll(params, trajectory):
        initial = policy.initial_carry(trajectory.action.shape[1])
        return policy.unroll(params["policy"], initial, trajectory.observation[:-1], trajectory.is_first[:-1])

    def mean_loss(params, batch, key):
        observation, is_first = batch.observation[:-1], batch.is_first[:-1]
        hidden = policy.unroll(params["policy"], batch.carry, observation, is_first)[2]
        return loss.loss(params["loss"], LossInputs(policy, params["policy"], batch, hidden, key)).mean()

    @jax.jit
    def learn(params, opt_state, key, data):
        states = unroll(params, data)[3]

        def step(state, key):
            params, opt_state = state
            grads = jax.grad(mean_loss)(params, sequences(data, states, key, options.sequences), key)
            return apply_gradients(optimizer, params, opt_state, grads, options.learning_rate), None

        return jax.lax.scan(step, (params, opt_state), jax.random.split(key, REFRESH))[0]

    @jax.jit
    def measure(params, held_out):
        agent_scores = functools.partial(make_env(get_task(TASK)).agent_scores, 0)
        hidden = unroll(params, held_out)[2]
        return loss.health(params["loss"], HealthInputs(policy, params["policy"], held_out, hidden, agent_scores))

    opt_state, start = optimizer.init(params), time.process_time()
    rounds = max(1, options.steps // REFRESH)
    for number in range(1, rounds + 1):
        params, opt_state = learn(params, opt_state, jax.random.fold_in(key, number), data)
        if number % max(1, rounds // options.rows) == 0:
            health = {name: round(float(value), 4) for name, value in measure(params, held_out).items()}
            spent = {"gradient_steps": number * REFRESH, "cpu_seconds": round(time.process_time() - start)}
            row = {"loss": loss.error, "seed": seed, **spent, **{name: health[name] for name in SHOWN}}
            print(json.dumps(row), flush=True)


def channel_errors(trajectory: Trajectory, policy: RecurrentPolicy) -> list[float]:
    """Squared error per cell of the best constant, in the channels of tiles, of agents, and all others."""
    layout = policy.channel_layout
    assert layout is not None, "the task has symbolic observations"
    variance = (trajectory.observation.astype(jnp.float32) / 255).var((0, 1)).mean((0, 1))
    return [round(float(variance[jnp.array(channels)].sum()), 4) for channels in layout]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--errors", default="absolute,squared,balanced,cross-entropy", help="separated by commas")
    parser.add_argument("--steps", type=int, default=1500, help="gradient steps (default 1500)")
    parser.add_argument("--rows", type=int, default=5, help="rows of measures for each error (default 5)")
    parser.add_argument("--sequences", type=int, default=160, help=f"of {LENGTH} steps in a minibatch (default 160)")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3, help="of Adam (default 1.5e-3)")
    parser.add_argument("--size", type=int, default=64, help="of encoder, recurrent cell and decoder (default 64)")
    parser.add_argument("--episodes", type=int, default=128, help="to learn from; half as many to measure on")
    parser.add_argument("--seeds", type=int, default=1, help="initializations (default 1)")
    options = parser.parse_args()
    env = make_env(get_task(TASK))
    network = MLPNetwork(encoder_size=options.size, hidden_size=options.size, head_size=options.size // 2)
    policy = RecurrentPolicy(
        network, env.observation_shape(0), env.num_actions, observation_type=env.observation_type(0)
    )
    data = fixed_trajectories(env, policy, options.episodes, 1000)
    held_out = fixed_trajectories(env, policy, options.episodes // 2, 2000)
    constants = dict(zip(("tiles", "agents", "others"), channel_errors(data, policy), strict=True))
    print(json.dumps({"machine": machine_info(), "constant_squared_errors": constants}), flush=True)
    for seed in range(options.seeds):
        for error in options.errors.split(","):
            train(NextFramePrediction(error=error), policy, data, held_out, options, seed)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
