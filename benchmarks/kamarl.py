"""Playing and learning: this library against the reference code in PyTorch: `python benchmarks/kamarl.py --help`.

Both do the same work, in one call on one machine: one agent with the published network, without auxiliary loss (kamarl
has none), in Goal Cycle with three goals on 13×13 cells, pixels, episodes of 250 steps, minibatches of 512 sequences
of 16 steps, hidden states and advantages recomputed every second minibatch, no early stopping. kamarl plays one
environment and learns once from 64 episodes with 10 minibatches; Rookery plays 128 environments at once with 20
minibatches, as published. Rookery is then measured with less work: small networks (of 128 units and, as in the
studies, 64) and symbolic views at the same schedule, and the schedule of the studies (3 passes of 4 minibatches).

Needs checkouts of the repositories kandouss/kamarl and kandouss/marlgrid and an interpreter with torch, gym 0.26,
gym-minigrid 1.0.2 and numba; neither is needed for anything else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

MAX_STEPS, EPISODES, NUM_MINIBATCHES, RECOMPUTE_EVERY = 250, 64, 10, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kamarl", type=Path, required=True, help="checkout of kandouss/kamarl")
    parser.add_argument("--marlgrid", type=Path, required=True, help="checkout of kandouss/marlgrid")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has their dependencies")
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch")
    parser.add_argument("--reference", action="store_true", help=argparse.SUPPRESS)  # within that interpreter
    options = parser.parse_args()
    if options.reference:
        print(json.dumps(measure_reference(options)))
        return
    from rookery.training.devices import use_all_cores  # not installed in the other interpreter

    use_all_cores()
    command = [options.python, *sys.argv, "--reference"]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    reference = json.loads(output.splitlines()[-1])
    print(
        f"kamarl and marlgrid      {reference['rate']:10,.0f} environment steps/s, "
        f"{reference['parameters']:,} parameters"
    )
    machine = {}
    for setup in SETUPS:
        rate, machine = measure_rookery(setup)
        print(f"Rookery, {setup:16}{rate:10,.0f} environment steps/s, {rate / reference['rate']:.1f} times")
    print(", ".join(f"{name} {value}" for name, value in machine.items()), f"PyTorch {reference['torch']}", sep=", ")


SETUPS = {
    "published": "the network and schedule of Ndousse et al.",
    "mlp-128": "the MLP network of 128 units at the published schedule",
    "mlp-64": "the network of the studies at the published schedule",
    "studies": "the network and schedule of the studies",
}


def measure_rookery(setup: str) -> tuple[float, dict]:
    """Environment steps per second of a run's updates after the first one, and the machine."""
    import dataclasses

    from rookery.agents.networks import MLPNetwork, NdousseNetwork
    from rookery.gridworld.spec import ViewConfig
    from rookery.learning.ppo import PPO
    from rookery.storage.metrics import read_metrics
    from rookery.studies import budgets
    from rookery.training.config import GroupConfig, RecurrentPolicyConfig
    from rookery.training.devices import machine_info
    from rookery.training.presets import preset
    from rookery.training.trainer import train

    published = preset("paper")
    view = ViewConfig() if setup == "published" else ViewConfig(observation_type="symbolic")
    task = dataclasses.replace(published.task, views=(view,))
    networks = {"published": NdousseNetwork(), "mlp-128": MLPNetwork()}
    if setup == "studies":
        learner = budgets.novice_ppo("desk", task, None)
    else:
        learner = PPO(auxiliary=(), target_kl=None, rollback_kl=None)
    novice = GroupConfig(
        name="novice",
        slots=(0,),
        policy=RecurrentPolicyConfig(network=networks.get(setup, budgets.DESK_NETWORK)),
        learner=learner,
    )
    num_updates = 3 if setup == "published" else 10
    config = dataclasses.replace(
        published,
        name="speed",
        task=task,
        team=(novice,),
        total_timesteps=num_updates * published.num_envs * MAX_STEPS,
        checkpoint_interval=num_updates + 1,
    )
    with tempfile.TemporaryDirectory() as folder:
        train(config, Path(folder) / "run", quiet=True)
        rates = [row["time/steps_per_second"] for row in read_metrics(Path(folder) / "run")[1:]]
    return len(rates) / sum(1 / rate for rate in rates), machine_info()


def measure_reference(options) -> dict:
    """Environment steps per second of playing 64 episodes and learning from them once."""
    import numpy as np

    for name, kind in (("bool", bool), ("int", int), ("float", float), ("object", object)):
        if name not in vars(np):
            setattr(np, name, kind)  # names that NumPy has since removed
    for name in ("pyglet", "pyglet.gl", "baselines", "baselines.common", "baselines.common.vec_env"):
        sys.modules[name] = types.ModuleType(name)  # neither windows nor vectors of environments are needed
    sys.modules["pyglet"].gl = sys.modules["pyglet.gl"]  # type: ignore[attr-defined]
    sys.modules["baselines.common.vec_env"].VecEnv = object  # type: ignore[attr-defined]
    sys.path[:0] = [str(options.kamarl), str(options.marlgrid)]
    import torch
    from kamarl.agents import IndependentAgents
    from kamarl.ppo import PPOAgent
    from kamarl.utils import count_parameters
    from marlgrid.agents import GridAgentInterface
    from marlgrid.envs import env_from_config

    for check in ("check_forward_input", "check_forward_hidden"):  # PyTorch has since removed these checks
        setattr(torch.nn.RNNCellBase, check, lambda *arguments: None)
    torch.set_num_threads(options.threads)
    view = {
        "view_tile_size": 3, "view_size": 7, "view_offset": 1, "observation_style": "image", "prestige_beta": 0.99,
        "color": "prestige", "spawn_delay": 0,
    }  # fmt: skip
    convolution = {"kernel_size": 3, "padding": 0}
    network = {
        "conv_layers": [
            {"out_channels": 32, "stride": 3, **convolution},
            {"out_channels": 64, "stride": 1, **convolution},
            {"out_channels": 64, "stride": 1, **convolution},
        ],
        "input_trunk_layers": [192], "lstm_hidden_size": 192, "val_mlp_layers": [64, 64], "pi_mlp_layers": [64, 64],
    }  # fmt: skip
    learning = {
        "batch_size": EPISODES, "num_minibatches": NUM_MINIBATCHES, "minibatch_size": 512, "minibatch_seq_len": 16,
        "hidden_update_interval": RECOMPUTE_EVERY, "learning_rate": 1e-4, "kl_target": 1e9, "kl_hard_limit": 1e9,
        "clamp_ratio": 0.2, "lambda": 0.97, "gamma": 0.993, "entropy_bonus_coef": 1e-5, "value_loss_coef": 0.1,
    }  # fmt: skip
    world = {
        "env_class": "ClutteredGoalCycleEnv", "grid_size": 13, "max_steps": MAX_STEPS, "clutter_density": 0.15,
        "respawn": True, "ghost_mode": True, "reward_decay": False, "n_bonus_tiles": 3, "initial_reward": True,
        "penalty": -1.5,
    }  # fmt: skip
    interface = GridAgentInterface(**view)
    agent = PPOAgent(
        observation_space=interface.observation_space, action_space=interface.action_space, learning_config=learning,
        model_config=network,
    )  # fmt: skip
    agents = IndependentAgents(agent)
    env = env_from_config(world)
    env.add_agent(GridAgentInterface(**view))
    env.np_random = np.random.RandomState(0)  # the kind that gym had when it was written

    def play() -> int:
        observation, done, steps = env.reset(), False, 0
        with agents.episode(), torch.set_grad_enabled(False):
            while not done:
                action = agents.action_step(observation)
                next_observation, reward, dones, _ = env.step(action)
                agents.save_step(observation, action, reward, dones)
                observation, done, steps = next_observation, bool(np.array(dones).all()), steps + 1
        return steps

    play()  # so that compilation is not measured
    agent.clear_memory()
    start, steps, stdout = time.perf_counter(), 0, sys.stdout
    sys.stdout = sys.stderr
    while agent.counts["updates"] == 0:
        steps += play()
    sys.stdout = stdout
    rate = steps / (time.perf_counter() - start)
    return {"rate": rate, "steps": steps, "parameters": int(count_parameters(agent.ac)), "torch": torch.__version__}


if __name__ == "__main__":
    main()
